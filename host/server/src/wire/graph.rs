//! How far an instance has come, as colours of its graph.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::mermaid::GraphState;
use stepcell_model::name::StepName;
use stepcell_model::record::ExecutionRecord;
use stepcell_model::status::StepStatus;

/// How far each step has come: what its last execution came to, unless it is active again.
///
/// The items of one step count together: one that failed is what matters of them.
#[must_use]
pub fn state_of(instance: &WorkflowInstance, executions: &[ExecutionRecord]) -> GraphState {
    let mut last: BTreeMap<&StepName, &ExecutionRecord> = BTreeMap::new();
    for record in executions {
        let known = last.entry(&record.step).or_insert(record);
        let is_item_of_same = record.item.is_some() && record.part_of == known.part_of;
        let matters_more = match (record.status, known.status) {
            (StepStatus::Failed, _) | (_, StepStatus::Canceled) if is_item_of_same => true,
            (_, StepStatus::Failed) | (StepStatus::Canceled, _) if is_item_of_same => false,
            _ => record.number > known.number,
        };
        if matters_more {
            *known = record;
        }
    }
    let current: Vec<StepName> = instance.state.control.active.iter().map(|active| active.step.clone()).collect();
    let ended = |wanted: &[StepStatus]| {
        let fits = |record: &&&ExecutionRecord| wanted.contains(&record.status) && !current.contains(&record.step);
        last.values().filter(fits).map(|record| record.step.clone()).collect()
    };
    let completed = ended(&[StepStatus::Succeeded, StepStatus::Skipped]);
    let failed = ended(&[StepStatus::Failed]);
    let canceled = ended(&[StepStatus::Canceled]);
    GraphState { completed, failed, current, canceled }
}

/// The graph as JSON, with a word at each node for how far it has come.
///
/// # Panics
/// Never: a graph is names and words.
#[must_use]
pub fn graph_json(definition: &WorkflowDefinition, state: &GraphState) -> Value {
    let mut graph = serde_json::to_value(definition.graph()).expect("a graph is names and words");
    graph["nodes"].as_array_mut().into_iter().flatten().for_each(|node| note_state(node, state));
    graph
}

fn note_state(node: &mut Value, state: &GraphState) {
    let is_in = |steps: &[StepName]| steps.iter().any(|step| node["id"] == *step.as_str());
    let word = match () {
        () if is_in(&state.current) => Some("current"),
        () if is_in(&state.failed) => Some("failed"),
        () if is_in(&state.completed) => Some("completed"),
        () if is_in(&state.canceled) => Some("canceled"),
        () => None,
    };
    node["state"] = json!(word);
    let members = node.get_mut("members").and_then(Value::as_array_mut);
    members.into_iter().flatten().for_each(|member| note_state(member, state));
}
