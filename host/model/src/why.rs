//! Why an instance is where it is: what each branch waits for, and how it came to that.
//!
//! Told from the plan, the instance and its history alone: what a transition has not written is not told. Nothing is
//! decided here, and nothing is asked of a clock.

mod cancel;
mod edges;
mod now;
mod past;
mod words;

use serde::Serialize;

use crate::definition::Outcome;
use crate::expression::ValueRead;
use crate::failure::{Failure, InstanceError};
use crate::history::{HistoryEntry, Hook};
use crate::id::{ExecutionNumber, InstanceId, TaskId};
use crate::instance::WorkflowInstance;
use crate::name::{GroupId, PredicateName, SignalName, StepName, UserId, WorkflowName};
use crate::plan::Plan;
use crate::status::WorkflowStatus;
use crate::time::Timestamp;

/// What an instance is doing, and how it came to that.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The instance.
    pub instance: InstanceId,
    /// Where it stands.
    pub status: WorkflowStatus,
    /// What holds now: what each branch waits for, oldest first, or how it ended.
    pub now: Vec<Point<Now>>,
    /// How it came here, in order.
    pub past: Vec<Point<Past>>,
}

/// One thing that is told of an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point<What> {
    /// Since when it holds, or when it happened.
    pub at: Timestamp,
    /// The step that it is about.
    pub step: Option<StepName>,
    /// The execution that it is about.
    pub execution: Option<ExecutionNumber>,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// The same as a sentence for people.
    pub text: String,
}

/// What holds of an instance now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Now {
    /// An operator holds it.
    Held {
        /// Who.
        by: Option<UserId>,
    },
    /// What it did is being undone.
    Undoing {
        /// What it will have come to then.
        end: WorkflowStatus,
        /// Why.
        error: InstanceError,
        /// How many executions are still to be undone, the one under way not among them.
        left: usize,
    },
    /// A person is to complete a task.
    Person {
        /// The task.
        task: TaskId,
        /// What to do.
        title: String,
        /// Who shall do it.
        assignee: Option<UserId>,
        /// Whose members may do it.
        group: Option<GroupId>,
        /// Until when.
        due_at: Option<Timestamp>,
        /// Whether it was told to be overdue.
        overdue: bool,
        /// When it is given up.
        timeout_at: Option<Timestamp>,
    },
    /// A time is to come.
    Time {
        /// The time.
        until: Timestamp,
    },
    /// A callback is to come.
    Callback {
        /// Whether it must be signed.
        signed: bool,
        /// When it is given up.
        timeout_at: Option<Timestamp>,
    },
    /// A signal is to come.
    Signal {
        /// Its name.
        signal: SignalName,
        /// When it is given up.
        timeout_at: Option<Timestamp>,
    },
    /// Other branches may still come.
    Join {
        /// Where the branches are that can.
        others: Vec<StepName>,
        /// Where those came from that have.
        arrived: Vec<StepName>,
    },
    /// A retry delay is to pass.
    Retry {
        /// The attempt that failed.
        attempt: u32,
        /// How many there may be.
        attempts_max: u32,
        /// When the next one may begin.
        until: Timestamp,
        /// Why it failed.
        failure: Option<Failure>,
    },
    /// It is ready, and its component may not run.
    Parked {
        /// Why, in a sentence.
        reason: String,
    },
    /// It is ready, and there is no room yet.
    Room,
    /// It was reached, and nothing begins while the instance is held.
    Reached,
    /// An attempt is under way.
    Attempt {
        /// Which.
        attempt: u32,
        /// How many there may be.
        attempts_max: u32,
    },
    /// It has failed for good, and `on-failure` runs before that is acted on.
    FailureHook {
        /// Why it failed.
        failure: Failure,
    },
    /// Another instance is to finish.
    Child {
        /// That instance.
        child: InstanceId,
        /// Its workflow.
        workflow: Option<WorkflowName>,
        /// When it is given up.
        timeout_at: Option<Timestamp>,
    },
    /// Its parts run.
    Parts {
        /// How many parts there are.
        total: u32,
        /// How many have succeeded.
        succeeded: u32,
        /// How many have failed.
        failed: u32,
        /// How many run or wait.
        under_way: u32,
        /// How many are still to be begun.
        left: u32,
        /// How many must succeed.
        needed: u32,
        /// Why it will fail once those under way have ended.
        failure: Option<Failure>,
    },
    /// A message came early, and is kept.
    KeptMessage {
        /// Its number.
        message: u32,
    },
    /// Every branch came to its end.
    Completed,
    /// It failed.
    Failed {
        /// Why.
        error: InstanceError,
    },
    /// Where it would go on if it was retried.
    RetryFrom {
        /// The steps; none where it can not be retried.
        steps: Vec<StepName>,
    },
    /// Somebody canceled it.
    Canceled {
        /// Why, in their words.
        reason: String,
        /// Who.
        by: Option<UserId>,
    },
}

/// What happened to an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Past {
    /// It was started.
    Started {
        /// Who started it.
        by: Option<UserId>,
        /// The instance whose step started it.
        parent: Option<InstanceId>,
    },
    /// An edge was decided.
    Edge {
        /// Its index in the definition.
        edge: u32,
        /// Where it leads.
        target: StepName,
        /// How its source ended.
        outcome: Outcome,
        /// Whether it was taken.
        taken: bool,
        /// Why.
        reason: EdgeReason,
        /// The text of its condition.
        condition: Option<String>,
        /// The predicate that is its condition.
        predicate: Option<PredicateName>,
        /// The values that the condition read.
        read: Vec<ValueRead>,
    },
    /// A branch arrived at a step that waited for others.
    Joined {
        /// Where it came from.
        from: StepName,
    },
    /// A branch ended at a step that had run for another.
    Absorbed {
        /// Where it came from.
        from: StepName,
    },
    /// The step succeeded.
    Succeeded {
        /// At which attempt; 0 where the step is none that is attempted.
        attempt: u32,
    },
    /// The step said that it need not run.
    Skipped,
    /// It was held back, because its component may not run.
    Parked {
        /// Why, in a sentence.
        reason: String,
    },
    /// An attempt failed, and another one was to follow.
    Retried {
        /// The attempt that failed.
        attempt: u32,
        /// How many there may be.
        attempts_max: u32,
        /// Why it failed.
        failure: Failure,
        /// When the next one might begin.
        retry_at: Timestamp,
    },
    /// The step failed for good.
    Failed {
        /// The last attempt; 0 where the step is none that is attempted.
        attempt: u32,
        /// How many there may be.
        attempts_max: Option<u32>,
        /// Why.
        failure: Failure,
    },
    /// The step was canceled.
    Canceled {
        /// Why.
        reason: String,
    },
    /// A hook failed.
    HookFailed {
        /// Which.
        hook: Hook,
        /// Why.
        failure: Failure,
    },
    /// A step begins to undo another.
    Undoes {
        /// What is undone.
        undone: ExecutionNumber,
    },
    /// Somebody took a task.
    TaskClaimed {
        /// The task.
        task: TaskId,
        /// Who.
        user: UserId,
    },
    /// A task was given to somebody else.
    TaskReassigned {
        /// The task.
        task: TaskId,
        /// Who had it.
        from: Option<UserId>,
        /// Who has it now.
        to: UserId,
        /// Why.
        reason: String,
        /// Who gave it.
        by: Option<UserId>,
    },
    /// A task was not done until it was due.
    TaskOverdue {
        /// The task.
        task: TaskId,
    },
    /// A task was completed.
    TaskCompleted {
        /// The task.
        task: TaskId,
        /// Who.
        user: UserId,
        /// What they said.
        comment: Option<String>,
    },
    /// A message came early, and was kept.
    MessageKept {
        /// Its number.
        message: u32,
    },
    /// A step took its callback or its signal.
    MessageTaken {
        /// The number under which it was kept, if it came early.
        message: Option<u32>,
    },
    /// Another instance was started for a step.
    ChildStarted {
        /// That instance.
        child: InstanceId,
    },
    /// An operator held the instance.
    Paused {
        /// Who.
        by: Option<UserId>,
    },
    /// An operator let it go on.
    Resumed {
        /// Who.
        by: Option<UserId>,
    },
    /// An operator let it go on after it had failed.
    TriedAgain {
        /// Where it went on.
        steps: Vec<StepName>,
        /// Who.
        by: Option<UserId>,
    },
    /// What it did began to be undone.
    Undoing {
        /// The executions, in the order in which they are undone.
        executions: Vec<ExecutionNumber>,
    },
    /// Every branch came to its end.
    WorkflowCompleted,
    /// It failed.
    WorkflowFailed {
        /// Why.
        error: InstanceError,
    },
    /// Somebody canceled it.
    WorkflowCanceled {
        /// Why, in their words.
        reason: String,
        /// Who.
        by: Option<UserId>,
    },
}

/// Why an edge was taken or passed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeReason {
    /// It has no condition.
    Unconditional,
    /// Its condition held.
    Held,
    /// Its condition did not hold.
    NotHeld,
    /// It is the default, and no other edge was taken.
    Default,
    /// It is the default, and another edge was taken.
    DefaultNotNeeded,
    /// A parallel gateway takes every edge.
    Parallel,
    /// An exclusive gateway had taken one before it.
    NotLookedAt,
    /// The gateway's component named it.
    Named,
    /// The gateway's component did not name it.
    NotNamed,
}

/// Tells why an instance is where it is. `history` is all of it, in order.
#[must_use]
pub fn explain(plan: &Plan, instance: &WorkflowInstance, history: &[HistoryEntry]) -> Explanation {
    Explanation {
        instance: instance.identity.id,
        status: instance.state.status,
        now: now::told(plan, instance, history),
        past: past::told(plan, instance, history),
    }
}
