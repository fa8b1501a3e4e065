//! The one pure function that moves an instance.

use std::sync::Arc;

use crate::attempt::ContextWrites;
use crate::history::Event;
use crate::instance::InstanceState;
use crate::record::{ExecutionRecord, InstanceIdentity, TaskRecord};
use crate::time::Timestamp;

/// Everything that one step forward changes. A store commits it whole or not at all.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Whose transition it is.
    pub identity: Arc<InstanceIdentity>,
    /// Its number: 1 creates the instance, every later one is one more than the instance's last.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// What the instance is after it.
    pub state: InstanceState,
    /// What changes in the context.
    pub writes: ContextWrites,
    /// Executions that were recorded for the first time, or changed; the number names the row.
    pub executions: Vec<ExecutionRecord>,
    /// Tasks that were created or changed; the id names the row.
    pub tasks: Vec<TaskRecord>,
    /// What to tell about it, in order.
    pub events: Vec<Event>,
}
