//! The one pure function that moves an instance.
//!
//! [`start`] gives the first transition, [`advance`] every later one: for live work, recovery, tests and simulation
//! alike. Neither reads a clock, a store or randomness. What they decide is a [`Transition`]; a store commits it whole
//! or not at all, and [`WorkflowInstance::apply`] brings the instance in memory to the same point.

mod child;
mod draft;
mod flow;
mod human;
mod join;
mod machine;
mod operate;
mod parts;
mod undo;
mod wait;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::draft::Draft;
pub use self::draft::{HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX};
pub use self::flow::JOINED_LEN_BYTES_MAX;
pub use self::join::ACTIVE_MAX;
use self::join::Activation;
pub(crate) use self::machine::PURE_REPEATS_MAX;
pub use self::machine::{CONTEXT_KEYS_MAX, CONTEXT_LEN_BYTES_MAX};
pub use self::parts::ITEMS_MAX;
pub use self::undo::Compensation;
use crate::attempt::{AttemptReport, ContextData, ContextWrites, HookReport};
use crate::chain::ChainHash;
use crate::history::Event;
use crate::id::{ExecutionNumber, InstanceId, TaskId};
use crate::instance::{Arrival, Control, InstanceState, WorkflowInstance};
use crate::json::Json;
use crate::letter::{ChildOutcome, Letter};
use crate::name::{GroupId, SignalName, StepName, UserId};
use crate::plan::Plan;
use crate::record::{ExecutionRecord, InstanceIdentity, MessageChange, TaskRecord};
use crate::schema::FieldError;
use crate::status::{StepStatus, WorkflowStatus};
use crate::time::Timestamp;

/// Everything that one step forward changes. A store commits it whole or not at all.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Whose transition it is.
    pub identity: Arc<InstanceIdentity>,
    /// Its number: 1 creates the instance, every later one is one more than the instance's last.
    pub seq: u64,
    /// The link of the instance's last transition, which its own goes on from: see [`crate::chain`].
    pub chain: ChainHash,
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
    /// Messages that are kept, or not needed any more.
    pub messages: Vec<MessageChange>,
    /// What other instances are to be told.
    pub letters: Vec<Letter>,
    /// What to tell about it, in order.
    pub events: Vec<Event>,
}

/// How many messages an instance keeps for steps that were not reached yet. Protects the store.
pub const KEPT_MESSAGES_MAX: usize = 100;

/// How many bytes those messages have together. Protects memory: they are loaded with their instance.
pub const KEPT_MESSAGES_LEN_BYTES_MAX: usize = 4 << 20;

/// How many bytes one message has. What a step may return is bounded alike.
pub const MESSAGE_LEN_BYTES_MAX: usize = 1 << 20;

/// Something that happened and that an instance must react to.
#[derive(Clone, Debug)]
pub enum Cause {
    /// An attempt of a scheduled execution begins.
    AttemptStarted {
        /// The execution.
        execution: ExecutionNumber,
    },
    /// A scheduled execution is held back, because its component may not run.
    AttemptParked {
        /// The execution.
        execution: ExecutionNumber,
        /// Why, in a sentence.
        reason: String,
    },
    /// The attempt under way has ended.
    AttemptEnded {
        /// The execution.
        execution: ExecutionNumber,
        /// What it was given; kept in its record.
        input: Json,
        /// How it ended.
        report: AttemptReport,
    },
    /// `on-failure` of an execution that failed for good begins.
    FailureHookStarted {
        /// The execution.
        execution: ExecutionNumber,
    },
    /// `on-failure` has ended.
    FailureHookEnded {
        /// The execution.
        execution: ExecutionNumber,
        /// What the execution's last attempt was given.
        input: Option<Json>,
        /// How the hook ended.
        report: HookReport,
    },
    /// The host came back after it went down: whatever was under way is not any more.
    HostRestarted,
    /// Somebody takes an unassigned task.
    TaskClaimed {
        /// The task.
        task: TaskId,
        /// Who.
        actor: Actor,
    },
    /// A task is given to somebody else.
    TaskReassigned {
        /// The task.
        task: TaskId,
        /// Who shall do it now.
        to: UserId,
        /// Why.
        reason: String,
        /// Who gives it.
        by: Option<UserId>,
    },
    /// Somebody has done a task.
    TaskCompleted {
        /// The task.
        task: TaskId,
        /// Who.
        actor: Actor,
        /// What they answered.
        data: Json,
        /// What they said beside it.
        comment: Option<String>,
    },
    /// A time has come that something waits for.
    TimeCame,
    /// A callback came for a webhook step; whoever calls has checked that it is genuine.
    Delivered {
        /// The step.
        step: StepName,
        /// What tells it from others, where the sender says so.
        id: Option<String>,
        /// What it says.
        payload: Json,
    },
    /// Somebody sends the instance a message by name.
    Signaled {
        /// The name.
        signal: SignalName,
        /// What it says.
        payload: Json,
    },
    /// The instance that a step waited for is finished.
    ChildEnded {
        /// The execution that waited.
        execution: ExecutionNumber,
        /// That instance.
        child: InstanceId,
        /// How it finished.
        outcome: ChildOutcome,
    },
    /// An operator holds the instance: nothing new starts.
    Paused {
        /// Who.
        by: Option<UserId>,
    },
    /// An operator lets the instance go on.
    Resumed {
        /// Who.
        by: Option<UserId>,
    },
    /// An operator lets a failed instance go on.
    Retried {
        /// The step to go on from; without it, where it failed.
        from: Option<RetryPoint>,
        /// Who.
        by: Option<UserId>,
    },
    /// Somebody cancels the instance.
    Canceled {
        /// Why, in their words.
        reason: String,
        /// Who.
        by: Option<UserId>,
        /// What becomes of what it did.
        compensation: Compensation,
    },
}

/// A step that a failed instance goes on from, with what came to it before.
#[derive(Clone, Debug)]
pub struct RetryPoint {
    /// The step, one of the graph.
    pub step: StepName,
    /// What came to it. The results meant must be among the instance's.
    pub arrivals: Vec<Arrival>,
    absorbed_at: BTreeSet<StepName>,
}

/// Somebody who acts on a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// The groups they are a member of.
    pub groups: Vec<GroupId>,
    /// What they may do beyond their own tasks.
    pub standing: Standing,
}

/// What somebody may do beyond their own tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Only tasks that are theirs, their groups' or nobody's.
    Member,
    /// Any task.
    Admin,
}

impl Actor {
    /// A user who is in no group and no admin.
    #[must_use]
    pub const fn user(user: UserId) -> Self {
        Self { user, groups: Vec::new(), standing: Standing::Member }
    }
}

/// Why an instance can not react to a cause. Nothing has changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The execution is not where the cause needs it to be. While running that means another worker was first:
    /// reload and decide again.
    #[error("execution {execution} can not go from {from} to {to}: {why}")]
    InvalidTransition {
        /// The execution.
        execution: ExecutionNumber,
        /// Where it stands, or `ended`.
        from: &'static str,
        /// Where it was to go.
        to: StepStatus,
        /// What stands in the way.
        why: &'static str,
    },
    /// The instance is finished.
    #[error("the instance is already {status}; nothing was changed")]
    AlreadyCompleted {
        /// How it finished.
        status: WorkflowStatus,
    },
    /// No such task waits in this instance.
    #[error("the instance has no pending task {task}")]
    TaskNotPending {
        /// The task.
        task: TaskId,
    },
    /// The task is not this user's to do.
    #[error("`{user}` may not act on the task of step `{step}`: {why}")]
    TaskUnauthorized {
        /// Who tried.
        user: UserId,
        /// The step.
        step: StepName,
        /// Whose task it is.
        why: String,
    },
    /// No step waits for this message, and none that is still to come will.
    #[error("nobody waits for {what}, and nobody will: {}", waited_for(known))]
    NobodyWaits {
        /// What came.
        what: String,
        /// What steps of the definition wait for.
        known: Vec<String>,
    },
    /// The message was taken before; repeating it has no effect.
    #[error("the step `{step}` has taken this message before; nothing was changed")]
    Repeated {
        /// The step.
        step: StepName,
    },
    /// Too many messages are kept for steps that were not reached yet.
    #[error(
        "{KEPT_MESSAGES_MAX} messages already wait for steps that were not reached; `{step}` can not be given another"
    )]
    TooManyMessages {
        /// The step.
        step: StepName,
    },
    /// No time has come that something waits for.
    #[error("nothing is due")]
    NothingDue,
    /// The instance as a whole is not where this can happen.
    #[error("can not {what} an instance that is {status}: {why}")]
    WrongState {
        /// What was tried.
        what: &'static str,
        /// Where the instance stands.
        status: WorkflowStatus,
        /// What stands in the way.
        why: &'static str,
    },
    /// The answer does not fit the form, or can not be kept.
    #[error("the data does not fit the form of step `{step}`: {}", told(errors))]
    InvalidData {
        /// The step.
        step: StepName,
        /// Every field that is wrong.
        errors: Vec<FieldError>,
    },
}

fn waited_for(known: &[String]) -> String {
    match known {
        [] => "no step of its workflow waits for such a thing".to_owned(),
        known => format!("its workflow knows {}", known.join(", ")),
    }
}

fn told(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Gives the transition that creates an instance and activates its initial step.
///
/// The caller has checked the input against the plan's schema. `context` is what the input puts into the context.
#[must_use]
pub fn start(plan: &Plan, identity: Arc<InstanceIdentity>, context: ContextData) -> Transition {
    let now = identity.started_at;
    let user = identity.created_by.clone();
    let instance = WorkflowInstance {
        seq: 0,
        chain: ChainHash::START,
        state: InstanceState {
            status: WorkflowStatus::Running,
            current_step: None,
            error: None,
            result: None,
            completed_at: None,
            wake_at: None,
            control: Control { user: user.clone(), ..Control::default() },
        },
        context: Arc::default(),
        results: [(ExecutionNumber::INPUT, identity.input.clone())].into(),
        tasks: std::collections::BTreeMap::new(),
        messages: std::collections::BTreeMap::new(),
        identity,
    };
    let mut draft = Draft::new(plan, &instance, now);
    draft.events.push(Event::WorkflowStarted { user });
    draft.write_all(context.into_iter().map(|(key, value)| (key, Some(value))).collect());
    draft.activate(Activation::of(plan.initial()));
    draft.settle();
    draft.finish()
}

/// Gives the transition that follows when `cause` happens to `instance` at `now`.
///
/// Pure: live execution, recovery, tests and simulation all go through here.
///
/// # Errors
/// [`Refusal`] if the cause can not happen to the instance as it is; then nothing changes.
pub fn advance(plan: &Plan, instance: &WorkflowInstance, cause: Cause, now: Timestamp) -> Result<Transition, Refusal> {
    let is_retry = matches!(cause, Cause::Retried { .. }) && instance.state.status == WorkflowStatus::Failed;
    if instance.state.status.is_finished() && !is_retry {
        return Err(Refusal::AlreadyCompleted { status: instance.state.status });
    }
    let mut draft = Draft::new(plan, instance, now);
    match cause {
        Cause::AttemptStarted { execution } => draft.attempt_started(execution)?,
        Cause::AttemptParked { execution, reason } => draft.attempt_parked(execution, reason)?,
        Cause::AttemptEnded { execution, input, report } => draft.attempt_ended(execution, input, report)?,
        Cause::FailureHookStarted { execution } => draft.failure_hook_started(execution)?,
        Cause::FailureHookEnded { execution, input, report } => draft.failure_hook_ended(execution, input, report)?,
        Cause::HostRestarted => draft.host_restarted(),
        Cause::TaskClaimed { task, actor } => draft.task_claimed(task, actor)?,
        Cause::TaskReassigned { task, to, reason, by } => draft.task_reassigned(task, to, reason, by)?,
        Cause::TaskCompleted { task, actor, data, comment } => draft.task_completed(task, actor, data, comment)?,
        Cause::TimeCame => draft.time_came()?,
        Cause::Delivered { step, id, payload } => draft.delivered(&step, id, payload)?,
        Cause::Signaled { signal, payload } => draft.signaled(&signal, payload)?,
        Cause::ChildEnded { execution, child, outcome } => draft.child_ended(execution, child, outcome)?,
        Cause::Paused { by } => draft.paused(by)?,
        Cause::Resumed { by } => draft.resumed(by)?,
        Cause::Retried { from, by } => draft.retried(from, by)?,
        Cause::Canceled { reason, by, compensation } => draft.canceled(reason, by, compensation)?,
    }
    draft.settle();
    Ok(draft.finish())
}

impl Transition {
    /// Joins a transition to one that was decided on its result and not committed yet: one commit carries both.
    pub fn merge(&mut self, next: Self) {
        debug_assert_eq!(self.seq, next.seq, "both were decided on one committed state");
        self.at = next.at;
        self.state = next.state;
        self.writes.extend(next.writes);
        for record in next.executions {
            match self.executions.iter_mut().find(|known| known.number == record.number) {
                Some(known) => *known = record,
                None => self.executions.push(record),
            }
        }
        for task in next.tasks {
            match self.tasks.iter_mut().find(|known| known.id == task.id) {
                Some(known) => *known = task,
                None => self.tasks.push(task),
            }
        }
        self.messages.extend(next.messages);
        self.letters.extend(next.letters);
        self.events.extend(next.events);
    }
}

impl WorkflowInstance {
    /// The instance that a first transition creates.
    #[must_use]
    pub fn created_by(transition: &Transition) -> Self {
        let mut instance = Self {
            identity: Arc::clone(&transition.identity),
            seq: 0,
            chain: transition.chain,
            state: transition.state.clone(),
            context: Arc::default(),
            results: [(ExecutionNumber::INPUT, transition.identity.input.clone())].into(),
            tasks: std::collections::BTreeMap::new(),
            messages: std::collections::BTreeMap::new(),
        };
        instance.apply(transition);
        instance
    }

    /// Brings the instance to where a transition leads. Its number and its chain change only by [`Self::committed`].
    pub fn apply(&mut self, transition: &Transition) {
        self.state.clone_from(&transition.state);
        if !transition.writes.is_empty() {
            let context = Arc::make_mut(&mut self.context);
            for (key, value) in &transition.writes {
                match value {
                    Some(value) => drop(context.insert(key.clone(), value.clone())),
                    None => drop(context.remove(key)),
                }
            }
        }
        for record in &transition.executions {
            // While an execution runs its parts, what it was given stands for what it will return.
            let given = record.input.as_ref().filter(|_| record.ended_order.is_none());
            if let Some(result) = record.output.as_ref().or(given) {
                self.results.insert(record.number, result.clone());
            }
        }
        let referenced = self.state.control.referenced_results();
        if referenced.contains(&ExecutionNumber::INPUT) {
            self.results.entry(ExecutionNumber::INPUT).or_insert_with(|| self.identity.input.clone());
        }
        self.results.retain(|number, _| referenced.contains(number) || *number == ExecutionNumber::INPUT);
        for task in &transition.tasks {
            match task.status {
                crate::status::TaskStatus::Pending => drop(self.tasks.insert(task.execution, task.clone())),
                crate::status::TaskStatus::Completed | crate::status::TaskStatus::Canceled => {
                    self.tasks.remove(&task.execution);
                }
            }
        }
        for change in &transition.messages {
            match change {
                MessageChange::Kept(message) => drop(self.messages.insert(message.number, message.clone())),
                MessageChange::Removed(number) => drop(self.messages.remove(number)),
            }
        }
    }

    /// Notes that a transition, applied before, is durable now, with the link that it got.
    pub const fn committed(&mut self, seq: u64, chain: ChainHash) {
        self.seq = seq;
        self.chain = chain;
    }
}
