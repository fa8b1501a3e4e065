//! One run of a workflow: everything that a decision about it needs, and nothing else.
//!
//! An [`WorkflowInstance`] is what a store loads and what a transition is decided on. What only people look at (ended
//! executions, history) stays in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attempt::ContextData;
use crate::chain::ChainHash;
use crate::failure::{Failure, InstanceError};
use crate::id::{ExecutionNumber, InstanceId, TaskId};
use crate::json::Json;
use crate::name::{StepName, UserId};
use crate::record::{InstanceIdentity, InstanceSummary, KeptMessage, TaskRecord};
use crate::status::{StepStatus, WorkflowStatus};
use crate::time::Timestamp;

/// One run of a workflow, as of its last transition.
#[derive(Clone, Debug)]
pub struct WorkflowInstance {
    /// What never changes.
    pub identity: Arc<InstanceIdentity>,
    /// The number of the last transition; each one adds 1.
    pub seq: u64,
    /// The link of that transition in the chain over its history.
    pub chain: ChainHash,
    /// Where it stands.
    pub state: InstanceState,
    /// The data that its steps share.
    pub context: Arc<ContextData>,
    /// The results that something active still refers to, and the inputs of groups that run.
    ///
    /// [`ExecutionNumber::INPUT`] stands for the instance's own input.
    pub results: BTreeMap<ExecutionNumber, Json>,
    /// Its pending human tasks, by the execution that waits for them.
    pub tasks: BTreeMap<ExecutionNumber, TaskRecord>,
    /// The messages that came before their steps were reached, by number.
    pub messages: BTreeMap<u32, KeptMessage>,
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
    /// Since when an operator holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// How many messages were kept so far; the last one's number.
    #[serde(default)]
    pub messages: u32,
    /// What each webhook step has taken so far.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub callbacks: BTreeMap<StepName, CallbackState>,
    /// The executions that would have to be undone if the instance failed, in the order of their ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoable: Vec<Arrival>,
    /// What it will have come to once everything is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoing: Option<Undoing>,
    /// Where a failed instance would go on if it was retried; those that waited in a join are still joining.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frontier: Vec<Active>,
}

/// What a webhook step has taken so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallbackState {
    /// How many deliveries.
    pub taken: u32,
    /// The ids of the last of them, where they had any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// What an instance will have come to once everything is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undoing {
    /// Failed or canceled.
    pub end: WorkflowStatus,
    /// Why.
    pub error: InstanceError,
    /// Who canceled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
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
    /// Where it belongs.
    #[serde(default, skip_serializing_if = "Place::is_graph")]
    pub place: Place,
    /// The steps with `join: any` that have run without waiting for this branch: it ends when it comes there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub absorbed_at: BTreeSet<StepName>,
    /// Why it is held back until somebody lets its component run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
}

/// Where an execution belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In the graph: edges lead to it and on from it.
    #[default]
    Graph,
    /// It is a member of a group, or runs for an item.
    Member {
        /// The execution of the group, or of the step that runs for each item.
        of: ExecutionNumber,
        /// Its place among the members or items, from 0.
        slot: u32,
    },
    /// It is given the results of a parallel group.
    Callback {
        /// The execution of the group.
        of: ExecutionNumber,
    },
    /// It undoes what an execution did.
    Undo {
        /// The execution that is undone.
        of: ExecutionNumber,
    },
}

impl Place {
    /// Whether it is a step of the graph.
    #[must_use]
    pub const fn is_graph(&self) -> bool {
        matches!(self, Self::Graph)
    }

    /// The execution that it is a part of.
    #[must_use]
    pub const fn part_of(&self) -> Option<ExecutionNumber> {
        match self {
            Self::Graph => None,
            Self::Member { of, .. } | Self::Callback { of } | Self::Undo { of } => Some(*of),
        }
    }

    /// The execution of the group that it belongs to and ends with.
    #[must_use]
    pub const fn group(&self) -> Option<ExecutionNumber> {
        match self {
            Self::Graph | Self::Undo { .. } => None,
            Self::Member { of, .. } | Self::Callback { of } => Some(*of),
        }
    }
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
    /// Which item of the result is meant, where it is not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
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
        /// When to remind, if that is still to come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remind_at: Option<Timestamp>,
        /// When it becomes overdue, if that is still to come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overdue_at: Option<Timestamp>,
        /// When it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<Timestamp>,
    },
    /// A time is to come.
    AwaitingTime {
        /// The time.
        until: Timestamp,
    },
    /// A callback or a signal is to come.
    AwaitingMessage {
        /// When it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<Timestamp>,
    },
    /// Another instance is to finish.
    AwaitingChild {
        /// That instance.
        child: InstanceId,
        /// When it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<Timestamp>,
    },
    /// Its parts run: members, items, the callback.
    RunningParts(Parts),
}

/// How far the parts of a group have come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// How many parts there are in all.
    pub total: u32,
    /// The next one to be begun.
    pub next: u32,
    /// Those that succeeded, with what they returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<PartEnd>,
    /// How many failed for good.
    #[serde(default)]
    pub failed: u32,
    /// Why the group will fail once the parts under way have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A part that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEnd {
    /// Its place among the parts, from 0.
    pub slot: u32,
    /// Its execution.
    pub execution: ExecutionNumber,
    /// Whether that has a result.
    pub has_result: bool,
}

impl Phase {
    /// The status that users see.
    #[must_use]
    pub const fn status(&self) -> StepStatus {
        match self {
            Self::Joining => StepStatus::Pending,
            Self::Scheduled { .. } => StepStatus::Scheduled,
            Self::Running | Self::FailureHook { .. } | Self::RunningParts(_) => StepStatus::Running,
            Self::AwaitingTask { .. }
            | Self::AwaitingTime { .. }
            | Self::AwaitingMessage { .. }
            | Self::AwaitingChild { .. } => StepStatus::Waiting,
        }
    }

    /// Whether only somebody or something outside, time, or its own parts will move it.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        match self {
            Self::Joining
            | Self::AwaitingTask { .. }
            | Self::AwaitingTime { .. }
            | Self::AwaitingMessage { .. }
            | Self::AwaitingChild { .. }
            | Self::RunningParts(_)
            | Self::Scheduled { not_before: Some(_) } => true,
            Self::Scheduled { not_before: None } | Self::Running | Self::FailureHook { .. } => false,
        }
    }

    /// Whether time alone will move it on.
    const fn passes_by_itself(&self) -> bool {
        matches!(self, Self::AwaitingTime { .. } | Self::Scheduled { .. })
    }

    /// Whether the time has come that it waits for; a retry is no such thing, as its attempt begins by itself.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        !matches!(self, Self::Scheduled { .. }) && self.wake_at().is_some_and(|at| at <= now)
    }

    /// The next time at which something is to be done about it.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self {
            Self::Scheduled { not_before } => *not_before,
            Self::AwaitingTime { until } => Some(*until),
            Self::AwaitingMessage { timeout_at } | Self::AwaitingChild { timeout_at, .. } => *timeout_at,
            Self::AwaitingTask { remind_at, overdue_at, timeout_at, .. } => {
                [remind_at, overdue_at, timeout_at].into_iter().flatten().min().copied()
            }
            Self::Joining | Self::Running | Self::FailureHook { .. } | Self::RunningParts(_) => None,
        }
    }
}

impl Control {
    /// The active execution of that number, if it has not ended.
    #[must_use]
    pub fn find_active(&self, number: ExecutionNumber) -> Option<&Active> {
        self.active.iter().find(|active| active.number == number)
    }

    /// The results that active executions refer to, and those that a retry or a compensation would need.
    #[must_use]
    pub fn referenced_results(&self) -> BTreeSet<ExecutionNumber> {
        let undoable = self.undoable.iter().filter(|done| done.has_result).map(|done| done.execution);
        let active = self.active.iter().chain(&self.frontier).flat_map(Active::referenced_results);
        active.chain(undoable).collect()
    }
}

impl InstanceState {
    /// Whether only somebody outside will move the instance: it is finished, held, waits for a person or a message, or runs
    /// components that somebody has to let run again.
    ///
    /// Timers and retry delays pass by themselves, so an instance that waits for one is not settled. For the other
    /// instances that it waits for, see [`Self::children`].
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.status {
            WorkflowStatus::Completed | WorkflowStatus::Failed | WorkflowStatus::Canceled | WorkflowStatus::Paused => {
                true
            }
            WorkflowStatus::Waiting | WorkflowStatus::Running => self.control.active.iter().all(|active| {
                active.parked.is_some() || (active.phase.is_waiting() && !active.phase.passes_by_itself())
            }),
            WorkflowStatus::Pending => false,
        }
    }

    /// The instances that it waits for.
    pub fn children(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.control.active.iter().filter_map(|active| match active.phase {
            Phase::AwaitingChild { child, .. } => Some(child),
            _ => None,
        })
    }
}

impl Active {
    /// Whether nothing leads to it, as to the initial step. The callback of a group without members is given no results
    /// either, but that is what its group has.
    #[must_use]
    pub const fn is_start(&self) -> bool {
        self.arrivals.is_empty() && self.place.is_graph()
    }

    /// The executions whose results this one refers to.
    pub fn referenced_results(&self) -> impl Iterator<Item = ExecutionNumber> + '_ {
        let of_start = self.is_start().then_some(ExecutionNumber::INPUT);
        let of_branches = self.arrivals.iter().filter(|arrival| arrival.has_result).map(|arrival| arrival.execution);
        let of_parts = match &self.phase {
            Phase::RunningParts(parts) => parts.ended.as_slice(),
            _ => &[],
        };
        let of_parts = of_parts.iter().filter(|end| end.has_result).map(|end| end.execution);
        // Its own number stands for its input, which its parts refer to and its record keeps.
        let own = matches!(self.phase, Phase::RunningParts(_) | Phase::AwaitingChild { .. }).then_some(self.number);
        of_start.into_iter().chain(of_branches).chain(of_parts).chain(own)
    }
}

impl WorkflowInstance {
    /// The instance as lists show it.
    #[must_use]
    pub fn summary(&self) -> InstanceSummary {
        self.state.summary(&self.identity, self.seq)
    }

    /// Whether it has every result that it refers to, so that it can go on without being read again.
    #[must_use]
    pub fn has_its_results(&self) -> bool {
        self.state.control.referenced_results().iter().all(|number| self.results.contains_key(number))
    }

    /// What comes to `active`: what the step before returned, at the start the instance's initial data.
    #[must_use]
    pub fn incoming(&self, active: &Active) -> Option<Json> {
        match active.is_start() {
            true => self.results.get(&ExecutionNumber::INPUT).cloned(),
            false => self.previous_result(active),
        }
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
    use serde_json::Value;

    let result = |arrival: &Arrival| {
        let whole = if arrival.has_result { result_of(arrival.execution) } else { None };
        match arrival.item {
            None => whole,
            Some(item) => whole.and_then(|list| list.tree().get(item as usize).cloned()).map(Json::from),
        }
    };
    let value = |arrival: &Arrival| result(arrival).map_or(Value::Null, |json| json.tree().clone());
    match (active.place, active.arrivals.as_slice()) {
        (Place::Callback { .. }, results) => Some(Value::Array(results.iter().map(value).collect()).into()),
        (_, []) => None,
        (_, [only]) => result(only),
        (_, several) => {
            let by_step = several.iter().map(|arrival| (arrival.step.to_string(), value(arrival)));
            Some(Value::Object(by_step.collect()).into())
        }
    }
}
