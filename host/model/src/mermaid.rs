//! Diagrams as text: Mermaid and Graphviz, with the state of an instance in colours.

use std::fmt::Write as _;

use crate::definition::{Edge, Outcome, WorkflowDefinition};
use crate::graph::{GraphNode, label_of};
use crate::name::StepName;
use crate::status::StepType;

/// How far an instance has come, for colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphState {
    /// Steps that succeeded or were skipped.
    pub completed: Vec<StepName>,
    /// Steps that failed for good.
    pub failed: Vec<StepName>,
    /// Steps that run or wait.
    pub current: Vec<StepName>,
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
    #[must_use]
    pub fn to_mermaid_with(&self, state: &GraphState) -> String {
        let mut text = String::from("graph TD\n");
        for node in self.graph().nodes {
            let _ = writeln!(text, "    {}{}", self.node_id(&node.id), mermaid_shape(&node));
        }
        for edge in &self.edges {
            let (source, target) = (self.node_id(&edge.source), self.node_id(&edge.target));
            let label = edge_label(edge).map(|label| format!("|{}|", escaped(&label))).unwrap_or_default();
            let _ = writeln!(text, "    {source} -->{label} {target}");
        }
        for (steps, colour) in [(&state.completed, "#90EE90"), (&state.failed, "#FFB6C1"), (&state.current, "#FFD700")]
        {
            for step in steps {
                let _ = writeln!(text, "    style {} fill:{colour}", self.node_id(step));
            }
        }
        text
    }

    /// The definition as a Graphviz diagram.
    #[must_use]
    pub fn to_dot_with(&self, state: &GraphState) -> String {
        let mut text = format!("digraph {:?} {{\n", self.name.as_str());
        for node in self.graph().nodes {
            let colour = if state.failed.contains(&node.id) {
                ", style=filled, fillcolor=\"#FFB6C1\""
            } else if state.current.contains(&node.id) {
                ", style=filled, fillcolor=\"#FFD700\""
            } else if state.completed.contains(&node.id) {
                ", style=filled, fillcolor=\"#90EE90\""
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "    {:?} [label={:?}, shape={}{colour}];",
                node.id.as_str(),
                marked_label(&node),
                dot_shape(node.step_type)
            );
        }
        for edge in &self.edges {
            let label = edge_label(edge).map(|label| format!(" [label={label:?}]")).unwrap_or_default();
            let _ = writeln!(text, "    {:?} -> {:?}{label};", edge.source.as_str(), edge.target.as_str());
        }
        text.push_str("}\n");
        text
    }

    /// A name that Mermaid takes for a node and that no other step of the definition has.
    fn node_id(&self, step: &StepName) -> String {
        // Mermaid takes two hyphens, or one at the end, for the beginning of an arrow.
        let is_arrow = step.as_str().contains("--") || step.as_str().ends_with('-');
        let mut id = if is_arrow { step.as_str().replace('-', "_") } else { step.to_string() };
        while RESERVED.contains(&id.to_lowercase().as_str())
            || (id != step.as_str() && self.steps.contains_key(id.as_str()))
        {
            id.push('_');
        }
        id
    }
}

fn marked_label(node: &GraphNode) -> String {
    let label = label_of(&node.id);
    match (node.is_initial, node.is_terminal) {
        (true, true) => format!("START: END: {label}"),
        (true, false) => format!("START: {label}"),
        (false, true) => format!("END: {label}"),
        (false, false) => label,
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

const fn dot_shape(step_type: StepType) -> &'static str {
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

fn edge_label(edge: &Edge) -> Option<String> {
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
