//! Diagrams as Mermaid text, with the state of an instance in colours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::definition::{Edge, Outcome, WorkflowDefinition};
use crate::graph::{GraphNode, WorkflowGraph};
use crate::name::StepName;
use crate::status::StepType;

/// How far an instance has come, for colours. Steps are named as in its history: a member of a group is `group/member`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphState {
    /// Steps that succeeded or were skipped.
    pub completed: Vec<StepName>,
    /// Steps that failed for good.
    pub failed: Vec<StepName>,
    /// Steps that run or wait.
    pub current: Vec<StepName>,
    /// Steps that were canceled.
    pub canceled: Vec<StepName>,
}

impl GraphState {
    /// The steps of each kind with their colour.
    pub(crate) const fn coloured(&self) -> [(&Vec<StepName>, &'static str); 4] {
        [
            (&self.completed, "#90EE90"),
            (&self.failed, "#FFB6C1"),
            (&self.current, "#FFD700"),
            (&self.canceled, "#D3D3D3"),
        ]
    }
}

/// What Mermaid takes for words of its own, so that no node can be called so.
const RESERVED: &[&str] = &[
    "end",
    "graph",
    "subgraph",
    "style",
    "class",
    "classdef",
    "click",
    "default",
    "linkstyle",
    "direction",
    "flowchart",
];

impl WorkflowDefinition {
    /// The definition as a Mermaid diagram.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        self.to_mermaid_with(&GraphState::default())
    }

    /// The definition as a Mermaid diagram, with one `style` line for each step that an instance has come to.
    ///
    /// A group is a `subgraph` with its members inside; one without members is a node.
    #[must_use]
    pub fn to_mermaid_with(&self, state: &GraphState) -> String {
        let graph = self.graph();
        let ids = mermaid_ids(&graph);
        let mut text = String::from("graph TD\n");
        for node in &graph.nodes {
            draw_in_mermaid(&mut text, node, &ids, 1);
        }
        for edge in &self.edges {
            let (source, target) = (&ids[&edge.source], &ids[&edge.target]);
            let label = edge_label(edge).map(|label| format!("|{}|", escaped(&label))).unwrap_or_default();
            let _ = writeln!(text, "    {source} -->{label} {target}");
        }
        for (steps, colour) in state.coloured() {
            // A style of what is not drawn would draw it.
            for id in steps.iter().filter_map(|step| ids.get(step)) {
                let _ = writeln!(text, "    style {id} fill:{colour}");
            }
        }
        text
    }
}

/// A name for each node that Mermaid takes for one, and that no other has.
fn mermaid_ids(graph: &WorkflowGraph) -> BTreeMap<StepName, String> {
    let mut taken: BTreeSet<_> = graph.nodes.iter().map(|node| node.id.to_string()).collect();
    let mut ids = BTreeMap::new();
    for node in graph.nodes.iter().flat_map(GraphNode::with_members) {
        let name = node.id.as_str();
        // Mermaid takes two hyphens, or one at the end, for the beginning of an arrow.
        let is_arrow = name.contains("--") || name.ends_with('-');
        let mut id = if is_arrow { name.replace(['-', '/'], "_") } else { name.replace('/', "_") };
        while RESERVED.contains(&id.to_lowercase().as_str()) || (id != name && taken.contains(&id)) {
            id.push('_');
        }
        taken.insert(id.clone());
        ids.insert(node.id.clone(), id);
    }
    ids
}

fn draw_in_mermaid(text: &mut String, node: &GraphNode, ids: &BTreeMap<StepName, String>, depth: usize) {
    let (indent, id) = ("    ".repeat(depth), &ids[&node.id]);
    if node.members.is_empty() {
        let _ = writeln!(text, "{indent}{id}{}", mermaid_shape(node));
        return;
    }
    let _ = writeln!(text, "{indent}subgraph {id}[{}]", marked_label(node));
    for member in &node.members {
        draw_in_mermaid(text, member, ids, depth + 1);
    }
    for (from, to) in ways_inside(node) {
        let _ = writeln!(text, "{indent}    {} --> {}", ids[&from.id], ids[&to.id]);
    }
    let _ = writeln!(text, "{indent}end");
}

/// Which member follows which without an edge: in a sequential group the next one, in a parallel one the callback.
pub(crate) fn ways_inside(node: &GraphNode) -> Vec<(&GraphNode, &GraphNode)> {
    match (node.step_type, node.members.as_slice()) {
        (StepType::Sequential, members) => members.windows(2).map(|pair| (&pair[0], &pair[1])).collect(),
        (StepType::Parallel, [others @ .., last])
            if Some(&last.id) == node.id.part(StepName::CALLBACK).ok().as_ref() =>
        {
            others.iter().map(|other| (other, last)).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn marked_label(node: &GraphNode) -> String {
    let label = &node.label;
    match (node.is_initial, node.is_terminal) {
        (true, true) => format!("START: END: {label}"),
        (true, false) => format!("START: {label}"),
        (false, true) => format!("END: {label}"),
        (false, false) => label.clone(),
    }
}

fn mermaid_shape(node: &GraphNode) -> String {
    let label = marked_label(node);
    match node.step_type {
        StepType::Machine => format!("[{label}]"),
        StepType::Human => format!("{{{{{label}}}}}"),
        StepType::Gateway => format!("{{{label}}}"),
        StepType::Webhook => format!("[/{label}/]"),
        StepType::Timer => format!("([{label}])"),
        StepType::Signal => format!(">{label}]"),
        StepType::Sequential | StepType::Parallel | StepType::Conditional | StepType::ForEach => {
            format!("[[{label}]]")
        }
        StepType::Workflow => format!("[({label})]"),
    }
}

pub(crate) fn edge_label(edge: &Edge) -> Option<String> {
    let outcome = match edge.outcome {
        Outcome::Success => None,
        Outcome::Failure => Some("failure"),
        Outcome::Timeout => Some("timeout"),
    };
    let predicate = || edge.predicate.as_ref().map(ToString::to_string);
    let condition = edge.condition.clone().or_else(predicate).or_else(|| edge.default.then(|| "default".to_owned()));
    match (outcome, condition) {
        (None, condition) => condition,
        (Some(outcome), None) => Some(outcome.to_owned()),
        (Some(outcome), Some(condition)) => Some(format!("{outcome}: {condition}")),
    }
}

/// Writes what Mermaid would take for its own as character codes.
fn escaped(label: &str) -> String {
    label.chars().fold(String::new(), |mut text, c| {
        match c {
            '"' => text.push_str("#quot;"),
            '|' | '[' | ']' | '{' | '}' | '`' | ';' | '#' | '\\' => {
                let _ = write!(text, "#{};", u32::from(c));
            }
            c if c.is_control() => text.push(' '),
            c => text.push(c),
        }
        text
    })
}
