//! Drives one instance: begins what is ready, takes in what ends, commits what follows.
//!
//! There is at most one driver an instance and process. A driver lives while something of its instance runs or is
//! ready; an instance that only waits is rows. Several decisions may share one commit, and no attempt begins before
//! the commit that says so.

mod call;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use stepcell_model::attempt::STEP_HISTORY_LEN_MAX;
use stepcell_model::id::{ExecutionNumber, InstanceId};
use stepcell_model::instance::{Phase, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::plan::Plan;
use stepcell_model::record::ExecutionRecord;
use stepcell_model::transition::{Cause, Transition, advance};
use stepcell_store::StoreError;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use self::work::Done;
pub(crate) use self::work::host_failure;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::room::Permit;

/// What the rest of the engine knows of a driver.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    /// Whether somebody else changed the instance since the driver last looked.
    pub(crate) changed: AtomicBool,
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
    work: JoinSet<Done>,
    running: HashMap<ExecutionNumber, AbortHandle>,
    waiting_for_room: HashSet<ExecutionNumber>,
    room: HashMap<ExecutionNumber, Permit>,
    pending: Option<Transition>,
    /// What led to the pending transition; decided again when somebody else was first.
    causes: Vec<Cause>,
}

impl Driver {
    /// Drives an instance until nothing of it can move any more.
    pub(crate) async fn run(inner: Arc<Inner>, hot: Arc<Hot>, id: InstanceId) {
        let _leaving = Leaving { inner: Arc::clone(&inner), hot: Arc::clone(&hot), id };
        let outcome = match Self::load(Arc::clone(&inner), Arc::clone(&hot), id).await {
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

    async fn load(inner: Arc<Inner>, hot: Arc<Hot>, id: InstanceId) -> Result<Self, EngineError> {
        hot.changed.store(false, Ordering::Release);
        let instance = inner.load(id).await?;
        let plan = inner.registry.plan(instance.identity.definition).await?;
        let history = load_history(&inner, &instance).await?;
        Ok(Self {
            inner,
            hot,
            plan,
            instance,
            history: Arc::new(history),
            inputs: HashMap::new(),
            work: JoinSet::new(),
            running: HashMap::new(),
            waiting_for_room: HashSet::new(),
            room: HashMap::new(),
            pending: None,
            causes: Vec::new(),
        })
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
            self.flush().await?;
            self.launch(begun);
            self.drop_moot_work();
            if self.work.is_empty() {
                // Another process may have settled it; then no commit of this one has told those who wait.
                self.inner.tell_if_settled(&self.instance);
                // Nor has any told when to look again.
                if let Some(wake_at) = self.instance.state.wake_at {
                    self.inner.wakes.at(wake_at);
                }
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
        let hot = Arc::clone(&self.hot);
        hot.waits_for_room.store(!self.waiting_for_room.is_empty(), Ordering::Release);
        tokio::select! {
            biased;
            done = self.work.join_next_with_id() => if let Some(done) = done { self.take(done) },
            () = hot.nudge.notified() => {}
            _ = stopping.wait_for(|stopping| *stopping), if !self.waiting_for_room.is_empty() => self.give_up_waiting(),
        }
        hot.waits_for_room.store(false, Ordering::Release);
        while let Some(done) = self.work.try_join_next_with_id() {
            self.take(done);
        }
        if self.hot.changed.swap(false, Ordering::AcqRel) {
            self.flush().await?;
            self.reload().await?;
        }
        Ok(())
    }

    /// Whether an attempt was under way that nobody runs any more: the host went down in it.
    fn was_interrupted(&self) -> bool {
        self.instance.state.control.active.iter().any(|active| match active.phase {
            Phase::Running | Phase::FailureHook { begun: true, .. } => !self.running.contains_key(&active.number),
            Phase::Joining
            | Phase::Scheduled { .. }
            | Phase::FailureHook { begun: false, .. }
            | Phase::AwaitingTask { .. }
            | Phase::AwaitingTime { .. }
            | Phase::AwaitingMessage { .. }
            | Phase::AwaitingChild { .. }
            | Phase::RunningParts(_) => false,
        })
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
                self.instance.apply(&transition);
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
    async fn flush(&mut self) -> Result<(), EngineError> {
        while let Some(transition) = self.pending.take() {
            let ended: Vec<_> =
                transition.executions.iter().filter(|record| record.ended_order.is_some()).cloned().collect();
            match self.inner.commit(transition).await {
                Ok(seq) => {
                    self.instance.committed(seq);
                    self.causes.clear();
                    self.remember(ended);
                }
                Err(StoreError::Stale { .. }) => {
                    self.load_again().await?;
                    for cause in std::mem::take(&mut self.causes) {
                        self.decide(cause);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn remember(&mut self, ended: Vec<ExecutionRecord>) {
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
        self.instance = self.inner.load(self.instance.identity.id).await?;
        let last_known = self.history.iter().filter_map(|record| record.ended_order).max();
        if last_known.unwrap_or(0) != self.instance.state.control.ended {
            self.history = Arc::new(load_history(&self.inner, &self.instance).await?);
        }
        Ok(())
    }

    /// Stops whatever runs for an execution that is not active any more.
    fn drop_moot_work(&mut self) {
        let control = &self.instance.state.control;
        let is_moot = |number: &ExecutionNumber| control.find_active(*number).is_none();
        self.running.retain(|number, work| {
            if is_moot(number) {
                work.abort();
            }
            !is_moot(number)
        });
        self.inputs.retain(|number, _| !is_moot(number));
        self.waiting_for_room.retain(|number| !is_moot(number));
        self.room.retain(|number, _| !is_moot(number));
        if self.running.is_empty() && self.waiting_for_room.is_empty() {
            self.work.abort_all();
            self.work.detach_all();
        }
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
