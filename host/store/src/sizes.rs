//! How much a transition adds to what its instance keeps: one rule for every back end.

use stepcell_model::attempt::ContextData;
use stepcell_model::json::Json;
use stepcell_model::record::{ExecutionRecord, MessageChange, TaskRecord};
use stepcell_model::transition::Transition;

/// The bytes that a transition writes: input and metadata at the start, then values of the context, inputs and outputs of
/// executions, tasks, messages, the result, and the row of history, whose text is `events`.
///
/// What it replaces or removes is not taken off: what history tells of it stays.
pub(crate) fn stored_bytes(transition: &Transition, events: &str) -> u64 {
    let Transition { identity, seq, state, writes, executions, tasks, messages, .. } = transition;
    let started = if *seq == 1 { identity.input.len_bytes() + values(&identity.metadata) } else { 0 };
    let written = writes.iter().map(|(key, value)| key.as_str().len() + json(value.as_ref())).sum::<usize>();
    let executed = executions.iter().map(execution).sum::<usize>();
    let asked = tasks.iter().map(task).sum::<usize>();
    let kept = messages.iter().map(message).sum::<usize>();
    (started + written + executed + asked + kept + json(state.result.as_ref()) + events.len()) as u64
}

fn values(values: &ContextData) -> usize {
    values.iter().map(|(key, value)| key.as_str().len() + value.len_bytes()).sum()
}

fn json(value: Option<&Json>) -> usize {
    value.map_or(0, Json::len_bytes)
}

fn execution(execution: &ExecutionRecord) -> usize {
    json(execution.input.as_ref()) + json(execution.output.as_ref())
}

fn task(task: &TaskRecord) -> usize {
    let texts = [task.description.as_ref(), task.comment.as_ref()];
    task.title.len() + texts.into_iter().flatten().map(String::len).sum::<usize>() + json(task.form_schema.as_ref())
}

fn message(change: &MessageChange) -> usize {
    match change {
        MessageChange::Kept(message) => message.payload.len_bytes(),
        MessageChange::Removed(_) => 0,
    }
}
