//! Which decisions must be on disk at once, and which may wait for those that follow.
//!
//! A pure attempt that is run again after a crash is one that nobody can tell from the first. So the decisions about
//! pure attempts are kept together and committed as one: before anything else happens to the instance, and before
//! anybody is told. Whatever is not known to be of that kind is urgent.

use std::time::Duration;

use stepcell_model::component::Purity;
use stepcell_model::definition::Durability;
use stepcell_model::id::ExecutionNumber;
use stepcell_model::instance::{Active, WorkflowInstance};
use stepcell_model::plan::Plan;
use stepcell_model::transition::{Cause, Transition};
use tokio::time::Instant;

/// How many events are committed together at most. Bounds a row of history.
const FUSED_EVENTS_MAX: u32 = 1_000;

/// How many bytes of inputs, outputs, writes and log lines are committed together at most. Bounds memory.
const FUSED_BYTES_MAX: u64 = 256 << 10;

/// What the decisions of an instance that are not committed yet ask for.
#[derive(Debug)]
pub(super) struct Fuse {
    durability: Durability,
    /// How long a decision waits for those that follow.
    fused_for: Duration,
    is_urgent: bool,
    /// When the first of them was decided.
    since: Option<Instant>,
    /// How far the instance was when it was last committed.
    committed: Extent,
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    executions: u32,
    events: u32,
    history_bytes: u64,
}

impl Extent {
    fn of(instance: &WorkflowInstance) -> Self {
        let control = &instance.state.control;
        Self { executions: control.executions, events: control.events, history_bytes: control.history_bytes }
    }
}

impl Fuse {
    /// For an instance of which everything is committed.
    pub(super) fn new(durability: Durability, fused_for: Duration, instance: &WorkflowInstance) -> Self {
        Self { durability, fused_for, is_urgent: false, since: None, committed: Extent::of(instance) }
    }

    /// Whether a cause concerns nothing but a pure attempt, the first of its execution. `active` is its execution.
    ///
    /// A further attempt is none that may be forgotten: what takes the host down must use up its attempts.
    pub(super) fn concerns_pure_attempt(plan: &Plan, cause: &Cause, active: Option<&Active>) -> bool {
        let attempts = match cause {
            Cause::AttemptStarted { .. } => 0,
            Cause::AttemptEnded { .. } => 1,
            _ => return false,
        };
        let machine = |active: &Active| plan.step(plan.find(&active.step)?).machine();
        active.is_some_and(|active| {
            active.attempts == attempts && machine(active).is_some_and(|machine| machine.purity == Purity::Pure)
        })
    }

    /// Notes a decision that is not committed yet.
    pub(super) fn decided(&mut self, transition: &Transition, is_about_pure_attempt: impl FnOnce() -> bool) {
        let tells_others =
            !(transition.tasks.is_empty() && transition.letters.is_empty() && transition.messages.is_empty());
        self.since.get_or_insert_with(Instant::now);
        self.is_urgent |= tells_others || self.durability == Durability::EachStep || !is_about_pure_attempt();
    }

    /// Whether what was decided must be committed before anything else happens.
    pub(super) fn is_due(&self, instance: &WorkflowInstance) -> bool {
        let Some(since) = self.since else { return false };
        let now = Extent::of(instance);
        self.is_urgent
            || since.elapsed() >= self.fused_for
            || now.events.saturating_sub(self.committed.events) >= FUSED_EVENTS_MAX
            || now.history_bytes.saturating_sub(self.committed.history_bytes) >= FUSED_BYTES_MAX
    }

    /// When what was decided must be committed at the latest; none where nothing waits for that.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.since.map(|since| since + self.fused_for)
    }

    /// Notes that all of the instance is committed.
    pub(super) fn committed(&mut self, instance: &WorkflowInstance) {
        *self = Self::new(self.durability, self.fused_for, instance);
    }

    /// Lets nothing wait any more.
    pub(super) const fn store_each_step(&mut self) {
        self.durability = Durability::EachStep;
    }

    /// Whether the store knows of an execution. Another one's number may come to mean something else.
    pub(super) const fn is_known(&self, execution: ExecutionNumber) -> bool {
        execution.0 <= self.committed.executions
    }
}
