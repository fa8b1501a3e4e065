//! Drives one instance: begins what is ready, takes in what ends, commits what follows.
//!
//! There is at most one driver an instance and process. A driver lives while something of its instance runs or is
//! ready; an instance that only waits is rows. Several decisions may share one commit. No attempt begins before the commit
//! that says so, unless it is a pure one: `fuse` has the rules.

mod call;
mod crew;
mod fuse;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use stepcell_model::attempt::STEP_HISTORY_LEN_MAX;
use stepcell_model::definition::Durability;
use stepcell_model::id::{ExecutionNumber, InstanceId};
use stepcell_model::instance::{Phase, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::plan::Plan;
use stepcell_model::record::ExecutionRecord;
use stepcell_model::transition::{Cause, Transition, advance};
use stepcell_store::StoreError;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::crew::Crew;
use self::fuse::Fuse;
pub(crate) use self::work::host_failure;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::room::Permit;

/// What the rest of the engine knows of a driver.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    /// Whether somebody else changed the instance since the driver last looked.
    pub(crate) changed: AtomicBool,
    /// Whether the instance was settled when it was last committed or read.
    pub(crate) is_settled: AtomicBool,
    /// Whether the driver waits for room for an attempt; it looks by itself once there is some.
    pub(crate) waits_for_room: AtomicBool,
    /// Wakes the driver to look.
    pub(crate) nudge: Notify,
    /// Ends the driver where it stands.
    pub(crate) task: OnceLock<AbortHandle>,
}

/// Lets the engine forget a driver however it ends, even by a panic: otherwise stopping would wait for it for ever.
struct Leaving {
    inner: Arc<Inner>,
    hot: Arc<Hot>,
    id: InstanceId,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.inner.forget(self.id, &self.hot);
    }
}

/// A driver that waits for room, until this is dropped.
struct WaitsForRoom<'a>(&'a Inner, &'a Hot);

impl<'a> WaitsForRoom<'a> {
    fn begin(inner: &'a Inner, hot: &'a Hot) -> Self {
        hot.waits_for_room.store(true, Ordering::Release);
        inner.drivers_waiting_for_room.fetch_add(1, Ordering::AcqRel);
        // Recovery may go on with others.
        inner.drivers_gone.notify_waiters();
        Self(inner, hot)
    }
}

impl Drop for WaitsForRoom<'_> {
    fn drop(&mut self) {
        self.1.waits_for_room.store(false, Ordering::Release);
        self.0.drivers_waiting_for_room.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(crate) struct Driver {
    inner: Arc<Inner>,
    hot: Arc<Hot>,
    plan: Arc<Plan>,
    /// The instance with everything decided so far, committed or pending.
    instance: WorkflowInstance,
    /// The executions that have ended, oldest first, for steps that look back.
    history: Arc<Vec<ExecutionRecord>>,
    /// What each attempt under way was given.
    inputs: HashMap<ExecutionNumber, Json>,
    crew: Crew,
    waiting_for_room: HashSet<ExecutionNumber>,
    room: HashMap<ExecutionNumber, Permit>,
    pending: Option<Transition>,
    fuse: Fuse,
    /// What led to the pending transition; decided again when somebody else was first.
    causes: Vec<Cause>,
}

/// Where a driver has its instance from.
pub(crate) struct Origin {
    /// As it was committed a moment ago; read from the store where it is not known.
    pub(crate) known: Option<Box<WorkflowInstance>>,
    /// `EachStep` where a host may have gone down in the middle of it: whatever took that host down shall use up its
    /// attempts.
    pub(crate) durability: Durability,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    /// What was decided is stored.
    AsDecided,
    /// Somebody else was first; what was decided again on what they left is stored.
    Overtaken,
}

impl Driver {
    /// Drives an instance until nothing of it can move any more.
    pub(crate) async fn run(inner: Arc<Inner>, hot: Arc<Hot>, id: InstanceId, origin: Origin) {
        let _leaving = Leaving { inner: Arc::clone(&inner), hot: Arc::clone(&hot), id };
        let outcome = match Self::load(Arc::clone(&inner), Arc::clone(&hot), id, origin).await {
            Ok(driver) => driver.drive().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {}
            // Rows of one instance that do not read are its own trouble: `check` tells of them.
            Err(error @ EngineError::Store(StoreError::Damaged { .. })) => {
                tracing::error!(%id, %error, "the instance can not be driven");
                inner.wake_waiters(id);
            }
            Err(EngineError::Store(error)) => inner.report_fault(&error),
            Err(error) => tracing::error!(%id, %error, "the instance can not be driven"),
        }
    }

    async fn load(inner: Arc<Inner>, hot: Arc<Hot>, id: InstanceId, origin: Origin) -> Result<Self, EngineError> {
        let instance = match origin.known {
            Some(known) => *known,
            None => {
                hot.changed.store(false, Ordering::Release);
                inner.load(id).await?
            }
        };
        fail_point!(inner, DriverBegins)?;
        let plan = inner.registry.plan(instance.identity.definition).await?;
        let history = load_history(&inner, &instance).await?;
        let policy = inner.guard.decided().of(instance.identity.tenant.as_ref()).durability;
        let asked = [origin.durability, plan.definition.durability, policy];
        let durability = if asked.contains(&Durability::EachStep) { Durability::EachStep } else { Durability::Fused };
        let mut driver = Self {
            fuse: Fuse::new(durability, inner.fused_for, &instance),
            inner,
            hot,
            plan,
            instance,
            history: Arc::new(history),
            inputs: HashMap::new(),
            crew: Crew::default(),
            waiting_for_room: HashSet::new(),
            room: HashMap::new(),
            pending: None,
            causes: Vec::new(),
        };
        driver.is_stored();
        Ok(driver)
    }

    async fn drive(mut self) -> Result<(), EngineError> {
        if self.was_interrupted() {
            self.decide(Cause::HostRestarted);
        }
        loop {
            if self.has_due() {
                self.decide(Cause::TimeCame);
            }
            let begun = self.begin_ready();
            let is_idle = begun.is_empty() && self.crew.is_idle();
            let is_due = is_idle || self.fuse.is_due(&self.instance);
            let flushed = if is_due { self.flush().await? } else { Flushed::AsDecided };
            self.launch(begun);
            self.drop_moot_work();
            if self.crew.is_empty() {
                if flushed == Flushed::Overtaken || self.pending.is_some() {
                    // Something else may be ready by now, and what is decided is to be told.
                    continue;
                }
                // Another process may have moved it; then no commit of this one has any told when to look again.
                if let Some(wake_at) = self.instance.state.wake_at {
                    self.inner.wakes.at(wake_at);
                }
                fail_point!(self.inner, DriverRetires)?;
                if self.inner.retire(self.instance.identity.id, &self.hot) {
                    return Ok(());
                }
                self.reload().await?;
                continue;
            }
            self.wait().await?;
        }
    }

    /// Waits for the next thing to happen, and takes in whatever else has happened by then.
    async fn wait(&mut self) -> Result<(), EngineError> {
        let mut stopping = self.inner.stopping.subscribe();
        let (inner, hot) = (Arc::clone(&self.inner), Arc::clone(&self.hot));
        let due_at = self.fuse.due_at();
        let waits = (!self.waiting_for_room.is_empty()).then(|| WaitsForRoom::begin(&inner, &hot));
        tokio::select! {
            biased;
            ended = self.crew.next() => self.take(ended),
            () = hot.nudge.notified() => {}
            () = sleep_until(due_at) => {}
            _ = stopping.wait_for(|stopping| *stopping), if !self.waiting_for_room.is_empty() => self.give_up_waiting(),
        }
        drop(waits);
        while let Some(ended) = self.crew.try_next() {
            self.take(ended);
        }
        if self.hot.changed.swap(false, Ordering::AcqRel) {
            self.flush().await?;
            self.reload().await?;
        }
        Ok(())
    }

    /// Whether an attempt was under way that nobody runs any more: the host went down in it.
    fn was_interrupted(&self) -> bool {
        let mut active = self.instance.state.control.active.iter();
        active.any(|active| has_begun(&active.phase) && !self.crew.runs(active.number))
    }

    /// Whether a time has come that something waits for; retries begin by themselves.
    fn has_due(&self) -> bool {
        let now = self.inner.clock.now();
        let control = &self.instance.state.control;
        control.paused_at.is_none() && control.active.iter().any(|active| active.phase.is_due(now))
    }

    /// Decides on what happened and keeps the decision for the next commit. What can not happen any more is dropped.
    fn decide(&mut self, cause: Cause) {
        match advance(&self.plan, &self.instance, cause.clone(), self.inner.clock.now()) {
            Ok(transition) => {
                let active = execution_of(&cause).and_then(|number| self.instance.state.control.find_active(number));
                self.fuse.decided(&transition, || Fuse::concerns_pure_attempt(&self.plan, &cause, active));
                self.instance.apply(&transition);
                self.remember(&transition);
                match &mut self.pending {
                    Some(pending) => pending.merge(transition),
                    None => self.pending = Some(transition),
                }
                self.causes.push(cause);
            }
            Err(refusal) => tracing::debug!(id = %self.instance.identity.id, %refusal, "came too late"),
        }
    }

    /// Commits what was decided. Where somebody else was first, decides again on what they left.
    async fn flush(&mut self) -> Result<Flushed, EngineError> {
        let mut flushed = Flushed::AsDecided;
        while let Some(transition) = self.pending.take() {
            let seq = transition.seq;
            let inner = Arc::clone(&self.inner);
            match self.crew.meanwhile(inner.commit(transition)).await {
                Ok(committed) => {
                    self.instance.committed(seq, committed.chain);
                    self.is_stored();
                    self.causes.clear();
                }
                Err(StoreError::Stale { .. }) => {
                    flushed = Flushed::Overtaken;
                    self.decide_again().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(flushed)
    }

    /// Decides again on what somebody else left, as far as that is about executions that the store knows.
    ///
    /// What the others were numbered may be something else by now. Only pure attempts begin before the store knows of
    /// their execution: they are given up, and begin anew.
    async fn decide_again(&mut self) -> Result<(), EngineError> {
        fail_point!(self.inner, DecidesAgain)?;
        self.crew.retain(|number| self.fuse.is_known(number));
        self.inputs.retain(|number, _| self.fuse.is_known(*number));
        self.waiting_for_room.retain(|number| self.fuse.is_known(*number));
        self.room.retain(|number, _| self.fuse.is_known(*number));
        let mut causes = std::mem::take(&mut self.causes);
        causes.retain(|cause| execution_of(cause).is_none_or(|number| self.fuse.is_known(number)));
        // Whoever is disturbed often must get on all the same.
        self.fuse.store_each_step();
        self.history = Arc::default();
        self.load_again().await?;
        for cause in causes {
            self.decide(cause);
        }
        Ok(())
    }

    /// Notes that the instance is what the store says, and tells those who wait for it to settle if it has.
    fn is_stored(&mut self) {
        self.fuse.committed(&self.instance);
        let is_settled = self.instance.state.is_settled();
        self.hot.is_settled.store(is_settled, Ordering::Release);
        if is_settled {
            self.inner.waiters.notify(self.instance.identity.id);
        }
    }

    /// Keeps the executions that ended for steps that look back.
    fn remember(&mut self, transition: &Transition) {
        let ended = transition.executions.iter().filter(|record| record.ended_order.is_some());
        let ended: Vec<_> = ended.cloned().collect();
        if !ended.is_empty() {
            let history = Arc::make_mut(&mut self.history);
            history.extend(ended);
            history.drain(..history.len().saturating_sub(STEP_HISTORY_LEN_MAX));
        }
    }

    /// Looks at what somebody else made of the instance.
    async fn reload(&mut self) -> Result<(), EngineError> {
        debug_assert!(self.pending.is_none(), "what was decided is committed before anything is thrown away");
        self.hot.changed.store(false, Ordering::Release);
        self.load_again().await
    }

    /// Loads the instance, and what ended since the driver last looked.
    async fn load_again(&mut self) -> Result<(), EngineError> {
        let inner = Arc::clone(&self.inner);
        self.instance = self.crew.meanwhile(inner.load(self.instance.identity.id)).await?;
        self.is_stored();
        let last_known = self.history.iter().filter_map(|record| record.ended_order).max();
        if last_known.unwrap_or(0) != self.instance.state.control.ended {
            self.history = Arc::new(self.crew.meanwhile(load_history(&inner, &self.instance)).await?);
        }
        Ok(())
    }

    /// Stops whatever runs for an execution that is not active any more.
    fn drop_moot_work(&mut self) {
        let control = &self.instance.state.control;
        let is_moot = |number: &ExecutionNumber| control.find_active(*number).is_none();
        // One that somebody else held before the store knew that it began has not begun.
        self.crew.retain(|number| control.find_active(number).is_some_and(|active| has_begun(&active.phase)));
        self.inputs.retain(|number, _| !is_moot(number));
        self.waiting_for_room.retain(|number| !is_moot(number));
        self.room.retain(|number, _| !is_moot(number));
        if self.crew.is_idle() && self.waiting_for_room.is_empty() {
            self.crew.disband();
        }
    }
}

/// The execution that a cause is about, where the driver itself brings it about.
const fn execution_of(cause: &Cause) -> Option<ExecutionNumber> {
    match cause {
        Cause::AttemptStarted { execution }
        | Cause::AttemptParked { execution, .. }
        | Cause::AttemptEnded { execution, .. }
        | Cause::FailureHookStarted { execution }
        | Cause::FailureHookEnded { execution, .. } => Some(*execution),
        _ => None,
    }
}

/// Whether something runs for an execution that is this far.
const fn has_begun(phase: &Phase) -> bool {
    match phase {
        Phase::Running | Phase::FailureHook { begun: true, .. } => true,
        Phase::Joining
        | Phase::Scheduled { .. }
        | Phase::FailureHook { begun: false, .. }
        | Phase::AwaitingTask { .. }
        | Phase::AwaitingTime { .. }
        | Phase::AwaitingMessage { .. }
        | Phase::AwaitingChild { .. }
        | Phase::RunningParts(_) => false,
    }
}

/// Ends at `at`, or never.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The executions that have ended, oldest first, at most [`STEP_HISTORY_LEN_MAX`].
async fn load_history(inner: &Inner, instance: &WorkflowInstance) -> Result<Vec<ExecutionRecord>, EngineError> {
    if instance.state.control.ended == 0 {
        return Ok(Vec::new());
    }
    let mut history = inner.store.list_executions(instance.identity.id).await?;
    history.retain(|record| record.ended_order.is_some());
    history.drain(..history.len().saturating_sub(STEP_HISTORY_LEN_MAX));
    Ok(history)
}
