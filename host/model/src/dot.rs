//! Diagrams as Graphviz text, with the state of an instance in colours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::definition::WorkflowDefinition;
use crate::graph::{GraphNode, WorkflowGraph};
use crate::mermaid::{GraphState, edge_label, marked_label, ways_inside};
use crate::name::StepName;
use crate::status::StepType;

impl WorkflowDefinition {
    /// The definition as a Graphviz diagram. A group is a cluster with its members inside; one without members is a node.
    #[must_use]
    pub fn to_dot_with(&self, state: &GraphState) -> String {
        let graph = self.graph();
        let nodes = by_name(&graph);
        let mut text = format!("digraph {:?} {{\n", self.name.as_str());
        if graph.nodes.iter().any(is_cluster) {
            text.push_str("    compound=true;\n");
        }
        for node in &graph.nodes {
            draw(&mut text, node, state, 1);
        }
        for edge in &self.edges {
            let (from, to) = (nodes[&edge.source], nodes[&edge.target]);
            let label = edge_label(edge).map(|label| format!("label={label:?}"));
            draw_edge(&mut text, "    ", from, to, label);
        }
        text.push_str("}\n");
        text
    }
}

fn by_name(graph: &WorkflowGraph) -> BTreeMap<StepName, &GraphNode> {
    graph.nodes.iter().map(|node| (node.id.clone(), node)).collect()
}

const fn is_cluster(node: &GraphNode) -> bool {
    !node.members.is_empty()
}

fn cluster_of(node: &GraphNode) -> String {
    format!("cluster_{}", node.id)
}

fn draw(text: &mut String, node: &GraphNode, state: &GraphState, depth: usize) {
    let indent = "    ".repeat(depth);
    let (name, label, colour) = (node.id.as_str(), marked_label(node), colour_of(node, state));
    if !is_cluster(node) {
        let colour = colour.map(|colour| format!(", style=filled, fillcolor=\"{colour}\"")).unwrap_or_default();
        let _ = writeln!(text, "{indent}{name:?} [label={label:?}, shape={}{colour}];", shape(node.step_type));
        return;
    }
    let colour = colour.map(|colour| format!(" style=filled; fillcolor=\"{colour}\";")).unwrap_or_default();
    let _ = writeln!(text, "{indent}subgraph {:?} {{", cluster_of(node));
    let _ = writeln!(text, "{indent}    label={label:?};{colour}");
    for member in &node.members {
        draw(text, member, state, depth + 1);
    }
    for (from, to) in ways_inside(node) {
        draw_edge(text, &format!("{indent}    "), from, to, None);
    }
    let _ = writeln!(text, "{indent}}}");
}

/// The colour of the state that matters most where a step has several.
fn colour_of(node: &GraphNode, state: &GraphState) -> Option<&'static str> {
    let [completed, failed, current, canceled] = state.coloured();
    let has_come = |(steps, _): &(&Vec<StepName>, _)| steps.contains(&node.id);
    [failed, current, completed, canceled].into_iter().find(has_come).map(|(_, colour)| colour)
}

/// Draws an edge. Graphviz leads edges to nodes alone, so one of a cluster leads to a node in it and is cut at its border.
fn draw_edge(text: &mut String, indent: &str, from: &GraphNode, to: &GraphNode, label: Option<String>) {
    let tail = is_cluster(from).then(|| format!("ltail={:?}", cluster_of(from)));
    let head = is_cluster(to).then(|| format!("lhead={:?}", cluster_of(to)));
    let attributes: Vec<_> = label.into_iter().chain(tail).chain(head).collect();
    let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
    let (from, to) = (end_of(from, <[GraphNode]>::last), end_of(to, <[GraphNode]>::first));
    let _ = writeln!(text, "{indent}{:?} -> {:?}{attributes};", from.id.as_str(), to.id.as_str());
}

/// The node in a cluster, or in those in it, that an edge is drawn to.
fn end_of(mut node: &GraphNode, pick: impl Fn(&[GraphNode]) -> Option<&GraphNode>) -> &GraphNode {
    while let Some(member) = pick(&node.members) {
        node = member;
    }
    node
}

const fn shape(step_type: StepType) -> &'static str {
    match step_type {
        StepType::Machine => "box",
        StepType::Human => "hexagon",
        StepType::Gateway => "diamond",
        StepType::Webhook => "parallelogram",
        StepType::Timer => "oval",
        StepType::Signal => "cds",
        StepType::Sequential | StepType::Parallel | StepType::Conditional | StepType::ForEach => "box3d",
        StepType::Workflow => "folder",
    }
}
