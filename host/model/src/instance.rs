//! One run of a workflow: everything that a decision about it needs, and nothing else.
//!
//! An [`WorkflowInstance`] is what a store loads and what a transition is decided on. What only people look at (ended
//! executions, history) stays in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attempt::ContextData;
use crate::failure::{Failure, InstanceError};
use crate::id::{ExecutionNumber, TaskId};
use crate::json::Json;
use crate::name::{StepName, UserId};
use crate::record::{InstanceIdentity, InstanceSummary, TaskRecord};
use crate::status::{StepStatus, WorkflowStatus};
use crate::time::Timestamp;

/// One run of a workflow, as of its last transition.
#[derive(Clone, Debug)]
pub struct WorkflowInstance {
    /// What never changes.
    pub identity: Arc<InstanceIdentity>,
    /// The number of the last transition; each one adds 1.
    pub seq: u64,
    /// Where it stands.
    pub state: InstanceState,
    /// The data that its steps share.
    pub context: Arc<ContextData>,
    /// The results that an active execution still refers to; [`ExecutionNumber::INPUT`] is the instance's own input.
    pub results: BTreeMap<ExecutionNumber, Json>,
    /// Its pending human tasks, by the execution that waits for them.
    pub tasks: BTreeMap<ExecutionNumber, TaskRecord>,
}

/// The part of an instance that each transition replaces as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceState {
    /// Where it stands.
    pub status: WorkflowStatus,
    /// The step that runs, waits or failed; the oldest active one where there are several.
    pub current_step: Option<StepName>,
    /// Why it failed or was canceled.
    pub error: Option<InstanceError>,
    /// What it came to, once completed: the result of the branch that ended last.
    pub result: Option<Json>,
    /// When it finished.
    pub completed_at: Option<Timestamp>,
    /// When the engine must look at it again although nothing happens from outside, such as at a retry.
    pub wake_at: Option<Timestamp>,
    /// The rest, which only the engine reads.
    pub control: Control,
}

impl InstanceState {
    /// The state as lists show it, with whose it is and the number of its transition.
    #[must_use]
    pub fn summary(&self, identity: &Arc<InstanceIdentity>, seq: u64) -> InstanceSummary {
        InstanceSummary {
            identity: Arc::clone(identity),
            seq,
            status: self.status,
            current_step: self.current_step.clone(),
            error: self.error.clone(),
            result: self.result.clone(),
            completed_at: self.completed_at,
        }
    }
}

/// What drives an instance. Kept as one JSON document, so it may grow without a migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// How many executions were activated so far; the last one's number.
    pub executions: u32,
    /// How many of them have ended.
    pub ended: u32,
    /// The executions that have not ended, oldest first.
    pub active: Vec<Active>,
    /// How many events were recorded so far.
    #[serde(default)]
    pub events: u32,
    /// About how many bytes its history takes: inputs, outputs, context writes and log lines.
    #[serde(default)]
    pub history_bytes: u64,
    /// Who acted last: started it, or completed its last human task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

/// An execution that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Its number.
    pub number: ExecutionNumber,
    /// Its step.
    pub step: StepName,
    /// What it is doing.
    pub phase: Phase,
    /// Where it was reached from: one for each branch that arrived, in order of arrival; empty at the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<Arrival>,
    /// How many attempts were begun.
    #[serde(default)]
    pub attempts: u32,
    /// When it was reached.
    pub activated_at: Timestamp,
    /// When its first attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

/// A branch that arrived at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// The step it came from.
    pub step: StepName,
    /// The execution it came from.
    pub execution: ExecutionNumber,
    /// Whether that execution has a result, kept in [`WorkflowInstance::results`].
    pub has_result: bool,
}

/// What an active execution is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for other branches that may still arrive.
    Joining,
    /// It is ready to run, at the earliest at `not_before`.
    Scheduled {
        /// The end of the retry delay, if there is one.
        not_before: Option<Timestamp>,
    },
    /// An attempt is under way, or was when the host went down.
    Running,
    /// It has failed for good, and `on-failure` is to run, or was running when the host went down.
    FailureHook {
        /// Why it failed.
        failure: Failure,
        /// Whether the hook was begun before; a hook is not begun a second time after a crash.
        begun: bool,
    },
    /// A person is to complete its task.
    AwaitingTask {
        /// The task.
        task: TaskId,
    },
}

impl Phase {
    /// The status that users see.
    #[must_use]
    pub const fn status(&self) -> StepStatus {
        match self {
            Self::Joining => StepStatus::Pending,
            Self::Scheduled { .. } => StepStatus::Scheduled,
            Self::Running | Self::FailureHook { .. } => StepStatus::Running,
            Self::AwaitingTask { .. } => StepStatus::Waiting,
        }
    }

    /// Whether only somebody or something outside, or time, will move it.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        match self {
            Self::Joining | Self::AwaitingTask { .. } | Self::Scheduled { not_before: Some(_) } => true,
            Self::Scheduled { not_before: None } | Self::Running | Self::FailureHook { .. } => false,
        }
    }
}

impl Control {
    /// The active execution of that number, if it has not ended.
    #[must_use]
    pub fn find_active(&self, number: ExecutionNumber) -> Option<&Active> {
        self.active.iter().find(|active| active.number == number)
    }

    /// The results that active executions refer to.
    #[must_use]
    pub fn referenced_results(&self) -> BTreeSet<ExecutionNumber> {
        self.active.iter().flat_map(Active::referenced_results).collect()
    }
}

impl Active {
    /// The executions whose results this one refers to.
    pub fn referenced_results(&self) -> impl Iterator<Item = ExecutionNumber> + '_ {
        let of_start = self.arrivals.is_empty().then_some(ExecutionNumber::INPUT);
        let of_branches = self.arrivals.iter().filter(|arrival| arrival.has_result).map(|arrival| arrival.execution);
        of_start.into_iter().chain(of_branches)
    }
}

impl WorkflowInstance {
    /// The instance as lists show it.
    #[must_use]
    pub fn summary(&self) -> InstanceSummary {
        self.state.summary(&self.identity, self.seq)
    }

    /// What the step before `active` returned: one branch's result as it is, several as an object by step name.
    ///
    /// `None` at the start, and after a step that was skipped.
    #[must_use]
    pub fn previous_result(&self, active: &Active) -> Option<Json> {
        combine_results(active, |number| self.results.get(&number).cloned())
    }
}

/// What came to an execution, from the results of those before it.
pub(crate) fn combine_results(active: &Active, result_of: impl Fn(ExecutionNumber) -> Option<Json>) -> Option<Json> {
    let result = |arrival: &Arrival| if arrival.has_result { result_of(arrival.execution) } else { None };
    match active.arrivals.as_slice() {
        [] => None,
        [only] => result(only),
        several => {
            let by_step = several.iter().map(|arrival| {
                let value = result(arrival).map_or(serde_json::Value::Null, |json| json.tree().clone());
                (arrival.step.to_string(), value)
            });
            Some(serde_json::Value::Object(by_step.collect()).into())
        }
    }
}
