//! Reads what belongs to one instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use stepcell_model::attempt::ContextData;
use stepcell_model::id::{ExecutionNumber, InstanceId, TaskId};
use stepcell_model::instance::{Control, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::record::{ExecutionRecord, InstanceIdentity, InstanceSummary, KeptMessage, TaskRecord};

use super::transition::text_of;
use super::{rows, statements};
use crate::error::StoreError;
use crate::query::LIST_LEN_MAX;
use crate::results;

pub(super) fn load(connection: &Connection, id: InstanceId) -> Result<Option<WorkflowInstance>, StoreError> {
    let sql = where_(statements::SELECT_INSTANCES, statements::INSTANCE_BY_ID);
    let read = |row: &rows::Columns<'_>| {
        let (seq, chain) = (row.count("seq")?, row.chain("chain")?);
        Ok((row.value::<i64>("key")?, rows::identity(row)?, seq, chain, rows::state(row)?))
    };
    let Some((key, identity, seq, chain, state)) = rows::find(connection, &sql, [id.as_uuid().as_bytes()], read)?
    else {
        return Ok(None);
    };
    Ok(Some(WorkflowInstance {
        seq,
        chain,
        context: Arc::new(load_context(connection, id)?),
        results: load_results(connection, key, &identity, &state.control)?,
        tasks: load_pending_tasks(connection, key)?,
        messages: load_messages(connection, key, &state.control)?,
        identity: Arc::new(identity),
        state,
    }))
}

pub(super) fn find(connection: &Connection, id: InstanceId) -> Result<Option<InstanceSummary>, StoreError> {
    let sql = where_(statements::SELECT_INSTANCES, statements::INSTANCE_BY_ID);
    rows::find(connection, &sql, [id.as_uuid().as_bytes()], rows::summary)
}

pub(super) fn load_context(connection: &Connection, id: InstanceId) -> Result<ContextData, StoreError> {
    let id = [id.as_uuid().as_bytes()];
    Ok(rows::list(connection, statements::LIST_CONTEXT_VALUES, id, rows::context_value)?.into_iter().collect())
}

pub(super) fn list_executions(connection: &Connection, id: InstanceId) -> Result<Vec<ExecutionRecord>, StoreError> {
    rows::list(connection, statements::LIST_EXECUTIONS, [id.as_uuid().as_bytes()], rows::execution)
}

pub(super) fn list_failed_executions(
    connection: &Connection,
    instance: Option<InstanceId>,
) -> Result<Vec<(InstanceId, ExecutionRecord)>, StoreError> {
    let read = |row: &rows::Columns<'_>| Ok((InstanceId::from_uuid(row.uuid("id")?), rows::execution(row)?));
    match instance {
        None => rows::list(connection, statements::LIST_FAILED_EXECUTIONS, [LIST_LEN_MAX], read),
        Some(id) => {
            let params = params![LIST_LEN_MAX, id.as_uuid().as_bytes()];
            rows::list(connection, statements::LIST_FAILED_EXECUTIONS_OF, params, read)
        }
    }
}

pub(super) fn find_task(connection: &Connection, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
    let sql = where_(statements::SELECT_TASKS, statements::TASK_BY_ID);
    rows::find(connection, &sql, [id.as_uuid().as_bytes()], rows::task)
}

/// Whether another process changed an instance since the last look.
pub(super) fn has_nudges(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(statements::FIND_NUDGE)?.exists([])?)
}

/// Takes the instances that other processes changed.
pub(super) fn take_nudges(connection: &Connection) -> Result<Vec<InstanceId>, StoreError> {
    let read = |row: &rows::Columns<'_>| Ok(InstanceId::from_uuid(row.uuid("id")?));
    rows::list(connection, statements::TAKE_NUDGES, [], read)
}

/// One statement out of what is selected and a condition, both by name.
pub(super) fn where_(select: &str, condition: &str) -> String {
    format!("{select} WHERE {condition}")
}

fn load_results(
    connection: &Connection,
    key: i64,
    identity: &InstanceIdentity,
    control: &Control,
) -> Result<BTreeMap<ExecutionNumber, Json>, StoreError> {
    let mut numbers = control.referenced_results();
    numbers.remove(&ExecutionNumber::INPUT);
    let mut found = BTreeMap::new();
    if !numbers.is_empty() {
        let params = params![key, text_of(&numbers)?];
        found.extend(rows::list(connection, statements::LIST_RESULTS, params, rows::result)?);
    }
    results::referenced(identity.id, &identity.input, control, |number| found.remove(&number).flatten())
}

/// Asks only where a message was ever kept, which is rare.
fn load_messages(
    connection: &Connection,
    key: i64,
    control: &Control,
) -> Result<BTreeMap<u32, KeptMessage>, StoreError> {
    if control.messages == 0 {
        return Ok(BTreeMap::new());
    }
    let messages = rows::list(connection, statements::LIST_MESSAGES, [key], rows::message)?;
    Ok(messages.into_iter().map(|message| (message.number, message)).collect())
}

fn load_pending_tasks(connection: &Connection, key: i64) -> Result<BTreeMap<ExecutionNumber, TaskRecord>, StoreError> {
    let sql = where_(statements::SELECT_TASKS, statements::PENDING_TASKS_OF_INSTANCE);
    let tasks = rows::list(connection, &sql, [key], rows::task)?;
    Ok(tasks.into_iter().map(|task| (task.execution, task)).collect())
}
