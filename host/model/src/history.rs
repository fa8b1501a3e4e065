//! What happened to an instance, in order: the append-only record behind events, history and explanations.

use serde::{Deserialize, Serialize};

use crate::attempt::AttemptTrace;
use crate::expression::ValueRead;
use crate::failure::{Failure, InstanceError};
use crate::id::{ExecutionNumber, InstanceId, TaskId};
use crate::name::{ContextKey, GroupId, StepName, UserId};
use crate::status::StepType;
use crate::time::Timestamp;

/// One row of history: everything that one transition did.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// The row's place among all rows of the store; resume a subscription with it.
    pub position: u64,
    /// Whose history it is.
    pub instance: InstanceId,
    /// The number of the transition, from 1.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// Something that happened to an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The instance was started.
    WorkflowStarted {
        /// Who started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
    /// Every active branch waits.
    WorkflowWaiting,
    /// Something can move again, or an operator holds it no more.
    WorkflowResumed {
        /// Who let it go on, where somebody held it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// An operator holds it: nothing new starts.
    WorkflowPaused {
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// A failed instance goes on.
    WorkflowRetried {
        /// The steps that it goes on from.
        steps: Vec<StepName>,
        /// Who let it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// It will fail or be canceled once its executions are undone, latest first.
    CompensationStarted {
        /// The executions that are to be undone, in that order.
        executions: Vec<ExecutionNumber>,
    },
    /// Every branch came to its end.
    WorkflowCompleted,
    /// A step failed for good, or no edge could be taken.
    WorkflowFailed {
        /// Why.
        error: InstanceError,
    },
    /// Somebody canceled it.
    WorkflowCanceled {
        /// Why, in their words.
        reason: String,
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// A step was reached.
    StepActivated {
        /// The execution that this makes.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// What kind of step.
        step_type: StepType,
        /// The execution it was reached from; none at the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<ExecutionNumber>,
        /// The others that it was reached from at once, as where a join is tried again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        with: Vec<ExecutionNumber>,
        /// The index of the edge that was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edge: Option<u32>,
        /// The execution that it is a part of: its group's, or that of what it undoes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part_of: Option<ExecutionNumber>,
        /// The item that it runs for, counted from 0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<u32>,
    },
    /// A branch came to a step with `join: any` that had run already, and ended there.
    BranchAbsorbed {
        /// The step.
        step: StepName,
        /// The execution that came.
        from: ExecutionNumber,
        /// The index of the edge that was taken.
        edge: u32,
    },
    /// A further branch arrived at a step that waits in a join.
    BranchJoined {
        /// The execution that waits.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The execution that arrived.
        from: ExecutionNumber,
        /// The index of the edge that was taken.
        edge: u32,
    },
    /// An attempt began.
    StepStarted {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// Which attempt.
        attempt: u32,
    },
    /// The step is held back, because its component may not run.
    StepParked {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// Why, in a sentence.
        reason: String,
    },
    /// An attempt failed and will be followed by another.
    StepRetryScheduled {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When the next one may begin.
        retry_at: Timestamp,
        /// What the attempt cost and said; none where the host went down in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<AttemptTrace>,
    },
    /// The step succeeded.
    StepCompleted {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The attempt that succeeded; 0 where the step is none that is attempted.
        attempt: u32,
        /// The context keys it wrote.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wrote: Vec<ContextKey>,
        /// What the attempt cost and said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<AttemptTrace>,
    },
    /// `can-execute` said no.
    StepSkipped {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// What the attempt cost and said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<AttemptTrace>,
    },
    /// The step failed for good.
    StepFailed {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The last attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// What the last attempt cost and said; none where the host went down in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<AttemptTrace>,
    },
    /// The step was canceled with its branch or instance.
    StepCanceled {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
    },
    /// `on-success` or `on-failure` was called and ended.
    HookEnded {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// `on-success` or `on-failure`.
        hook: Hook,
        /// Why the hook itself failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// The context keys it wrote.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        wrote: Vec<ContextKey>,
        /// What it cost and said, where it ran in a cell of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<AttemptTrace>,
    },
    /// Which edges were looked at after a step, and what came of each.
    EdgesDecided {
        /// The execution whose edges they are.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The edges that were looked at, in order.
        edges: Vec<EdgeDecision>,
    },
    /// A human task was created.
    TaskCreated {
        /// The task.
        task: TaskId,
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// Whom it is assigned to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignee: Option<UserId>,
        /// Whose members may do it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupId>,
    },
    /// Somebody took an unassigned task.
    TaskClaimed {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepName,
        /// Who.
        user: UserId,
    },
    /// A task was given to somebody else.
    TaskReassigned {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepName,
        /// Who had it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<UserId>,
        /// Who has it now.
        to: UserId,
        /// Why.
        reason: String,
        /// Who gave it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<UserId>,
    },
    /// The time to remind of a task has come.
    TaskReminded {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepName,
    },
    /// A task was not done until it was due.
    TaskOverdue {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepName,
    },
    /// A callback or a signal came before its step was reached, and is kept.
    MessageKept {
        /// The message.
        message: u32,
        /// The step that will take it.
        step: StepName,
    },
    /// A step took the callback or the signal that it waited for.
    MessageTaken {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The number under which it was kept, if it came early.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<u32>,
    },
    /// A step of type workflow was reached, and its instance is started.
    ChildStarted {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The instance.
        child: InstanceId,
    },
    /// The instance that a step waited for is finished.
    ChildEnded {
        /// The execution.
        execution: ExecutionNumber,
        /// The step.
        step: StepName,
        /// The instance.
        child: InstanceId,
    },
    /// A task was completed.
    TaskCompleted {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepName,
        /// Who.
        user: UserId,
        /// What they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// A task went with its branch or instance.
    TaskCanceled {
        /// The task.
        task: TaskId,
        /// The step.
        step: StepName,
    },
}

impl Event {
    /// What an attempt or a hook cost and said, where the event is the end of one.
    #[must_use]
    pub const fn trace(&self) -> Option<&AttemptTrace> {
        match self {
            Self::StepRetryScheduled { trace, .. }
            | Self::StepCompleted { trace, .. }
            | Self::StepSkipped { trace, .. }
            | Self::StepFailed { trace, .. }
            | Self::HookEnded { trace, .. } => trace.as_ref(),
            _ => None,
        }
    }
}

/// A function of a step that the engine calls beside `execute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Called after `execute` returned.
    OnSuccess,
    /// Called once the step has failed for good.
    OnFailure,
}

/// What came of one edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeDecision {
    /// The edge's index in the definition.
    pub edge: u32,
    /// Where it leads.
    pub target: StepName,
    /// Whether it was taken.
    pub taken: bool,
    /// The values that its condition read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<ValueRead>,
}
