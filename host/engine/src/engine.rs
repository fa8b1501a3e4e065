//! The engine: what an embedder and every face of the product call.
//!
//! One engine drives one store. Every call decides on the instance as the store has it, commits with the instance's
//! number, and decides again when somebody else was first; nobody holds an instance against the store.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stepcell_model::host_key::HostKey;
use stepcell_model::id::InstanceId;
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::record::InstanceSummary;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::{Cause, Transition, advance};
use stepcell_store::{Committed, StoreError, WorkflowStore};
use tokio::sync::{Notify, watch};

use crate::clock::{Clock, SystemClock};
use crate::counts::{Committing, Counts};
use crate::driver::Hot;
use crate::error::EngineError;
use crate::events::live::Live;
use crate::finishing::Finishing;
use crate::guard::Guard;
use crate::ids::{IdSource, RandomIds};
use crate::native::{HostRunner, HostSteps};
use crate::quotas::{QuotaKeeper, Ticket};
use crate::registry::WorkflowRegistry;
use crate::room::Room;
use crate::runner::StepRunner;
use crate::scheduler::Wakes;
use crate::sealing::Sealer;
use crate::waiters::Waiters;

/// How often a decision is made anew because somebody else was first, before the caller is told so.
const RETRIES_ON_STALE_MAX: u32 = 100;

/// How an engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many attempts may run at once.
    ///
    /// As soon as there are tenants, a quarter of it is kept for those of whom nothing runs, and one tenant alone may
    /// have half, unless a policy says otherwise.
    pub concurrency: usize,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<dyn IdSource>,
    /// How long what pure steps came to may wait for what follows before it is stored, where nothing else stores it.
    ///
    /// Bounds what is run again after a crash, and how late it shows.
    pub fused_for: Duration,
    /// What secrets are encrypted with; without it there are none.
    pub host_key: Option<HostKey>,
    /// What requests of steps say of the trace that they are in.
    pub tracing: Tracing,
}

/// What requests of steps say of the trace that they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracing {
    /// That of the start of the instance, if it was started in one.
    #[default]
    PassedOn,
    /// The span of their execution, of which somebody tells.
    Told,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            concurrency: cores * 16,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            fused_for: Duration::from_millis(50),
            host_key: None,
            tracing: Tracing::default(),
        }
    }
}

/// Starts, drives and finishes instances. Cheap to clone.
#[derive(Clone)]
pub struct WorkflowEngine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn WorkflowStore>,
    pub(crate) runner: Arc<dyn StepRunner>,
    pub(crate) registry: WorkflowRegistry,
    pub(crate) guard: Arc<Guard>,
    pub(crate) quotas: Arc<QuotaKeeper>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    host_key: Option<HostKey>,
    pub(crate) room: Arc<Room>,
    pub(crate) fused_for: Duration,
    pub(crate) tracing: Tracing,
    pub(crate) hot: Mutex<HashMap<InstanceId, Arc<Hot>>>,
    /// How many drivers there are anything left of.
    pub(crate) drivers: AtomicUsize,
    pub(crate) drivers_gone: Notify,
    /// How many drivers wait for room, and for nothing else.
    pub(crate) drivers_waiting_for_room: AtomicUsize,
    pub(crate) wakes: Wakes,
    pub(crate) waiters: Waiters,
    pub(crate) stopping: watch::Sender<bool>,
    /// Why the store can not be used any more, once it can not.
    pub(crate) fault: watch::Sender<Option<StoreError>>,
    /// Whether this engine moves instances, or only changes what another one moves.
    pub(crate) drives: AtomicBool,
    /// Whether everything that was running when the host last stopped has been taken up again.
    pub(crate) has_recovered: AtomicBool,
    /// Wakes whoever hands over letters.
    pub(crate) letters: Notify,
    /// Reads for those who follow what happens.
    pub(crate) live: Arc<Live>,
    /// Changes with every commit of this process.
    pub(crate) committed: watch::Sender<()>,
    pub(crate) counts: Counts,
    #[cfg(feature = "failpoints")]
    pub(crate) fails: crate::fail::Fails,
}

impl fmt::Debug for WorkflowEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowEngine").finish_non_exhaustive()
    }
}

impl WorkflowEngine {
    /// Makes an engine over a store and a runner. It moves nothing before [`Self::drive`].
    #[must_use]
    pub fn new(store: Arc<dyn WorkflowStore>, runner: Arc<dyn StepRunner>, options: EngineOptions) -> Self {
        let steps = Arc::new(HostSteps::default());
        let runner: Arc<dyn StepRunner> = Arc::new(HostRunner { steps: Arc::clone(&steps), cells: runner });
        let guard = Arc::new(Guard::new(Arc::clone(&store), options.host_key.as_ref()));
        let (clock, ids) = (Arc::clone(&options.clock), Arc::clone(&options.ids));
        let quotas = Arc::new(QuotaKeeper::new(Arc::clone(&store), Arc::clone(&clock)));
        let registry = WorkflowRegistry::new(
            Arc::clone(&store),
            Arc::clone(&runner),
            steps,
            clock,
            ids,
            Arc::clone(&guard),
            Arc::clone(&quotas),
        );
        let inner = Inner {
            live: Arc::new(Live::new(Arc::clone(&store))),
            store,
            runner,
            registry,
            guard,
            quotas,
            clock: options.clock,
            ids: options.ids,
            host_key: options.host_key,
            room: Room::new(options.concurrency),
            fused_for: options.fused_for,
            tracing: options.tracing,
            hot: Mutex::default(),
            drivers: AtomicUsize::new(0),
            drivers_gone: Notify::new(),
            drivers_waiting_for_room: AtomicUsize::new(0),
            wakes: Wakes::default(),
            waiters: Waiters::default(),
            stopping: watch::Sender::new(false),
            fault: watch::Sender::new(None),
            drives: AtomicBool::new(false),
            has_recovered: AtomicBool::new(false),
            letters: Notify::new(),
            committed: watch::Sender::new(()),
            counts: Counts::default(),
            #[cfg(feature = "failpoints")]
            fails: crate::fail::Fails::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Definitions and components.
    #[must_use]
    pub fn registry(&self) -> &WorkflowRegistry {
        &self.inner.registry
    }

    /// What the engine keeps, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn WorkflowStore> {
        &self.inner.store
    }

    /// What tells the engine the time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Where ids and secrets come from.
    #[must_use]
    pub fn ids(&self) -> &Arc<dyn IdSource> {
        &self.inner.ids
    }

    /// Encrypts what is kept for a purpose, with a key of its own.
    ///
    /// # Errors
    /// [`EngineError::NoHostKey`].
    pub fn sealer(&self, purpose: &'static str) -> Result<Sealer, EngineError> {
        self.inner.host_key.as_ref().map(|key| Sealer::new(key, purpose)).ok_or(EngineError::NoHostKey)
    }

    /// What the engine's clock says.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// An instance as it stands.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`].
    pub async fn get_instance(&self, id: InstanceId) -> Result<InstanceSummary, EngineError> {
        self.inner.store.find_instance(id).await?.ok_or(EngineError::InstanceNotFound { id })
    }

    /// Drops everything that is under way, as if the process had ended: nothing more is committed.
    pub fn abandon(&self) {
        self.inner.drives.store(false, Ordering::Release);
        self.inner.abandon_drivers();
    }

    /// Why the store can not be used any more, once it can not.
    #[must_use]
    pub fn fault(&self) -> Option<StoreError> {
        self.inner.fault.borrow().clone()
    }

    /// Waits until the store can not be used any more.
    pub async fn faulted(&self) -> StoreError {
        let mut fault = self.inner.fault.subscribe();
        match fault.wait_for(Option::is_some).await.map(|fault| fault.clone()) {
            Ok(Some(error)) => error,
            Ok(None) | Err(_) => StoreError::Closed,
        }
    }
}

impl Inner {
    pub(crate) async fn load(&self, id: InstanceId) -> Result<WorkflowInstance, EngineError> {
        self.store.load_instance(id).await?.ok_or(EngineError::InstanceNotFound { id })
    }

    /// Changes an instance from outside: decides on it as the store has it, and again while somebody else is first.
    ///
    /// Whoever drives the instance is told and goes on from there.
    pub(crate) async fn change(
        self: &Arc<Self>,
        id: InstanceId,
        cause_for: impl Fn(&mut WorkflowInstance) -> Result<Cause, EngineError> + Send + Sync,
    ) -> Result<(), EngineError> {
        let mut stale = None;
        for _ in 0..RETRIES_ON_STALE_MAX {
            let mut instance = self.load(id).await?;
            let plan = self.registry.plan(instance.identity.definition).await?;
            let cause = cause_for(&mut instance)?;
            let transition = advance(&plan, &instance, cause, self.clock.now())
                .map_err(|refusal| EngineError::refused(id, refusal))?;
            instance.apply(&transition);
            match self.commit_and_drive(transition, instance, None).await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Stale { .. }) => stale = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(stale.map_or(EngineError::Stopping, EngineError::Store))
    }

    /// Commits a transition that `instance` was brought to, and sees to it that it is driven on, even where the caller
    /// stops waiting meanwhile. The ticket of a start is settled.
    pub(crate) async fn commit_and_drive(
        self: &Arc<Self>,
        transition: Transition,
        mut instance: WorkflowInstance,
        ticket: Option<Ticket>,
    ) -> Result<(), StoreError> {
        let inner = Arc::clone(self);
        let work = async move {
            let seq = transition.seq;
            let committed = inner.commit(transition).await?;
            // Before anything of it can end.
            if let Some(ticket) = ticket {
                ticket.settle();
            }
            instance.committed(seq, committed.chain);
            if instance.has_its_results() {
                inner.poke_known(instance);
            } else {
                inner.poke(instance.identity.id);
            }
            Ok(())
        };
        Finishing::of(work).while_driving(self).await
    }

    /// Commits a transition and wakes whoever waits for it.
    pub(crate) async fn commit(&self, transition: Transition) -> Result<Committed, StoreError> {
        let (instance, seq) = (transition.identity.id, transition.seq);
        let tenant = transition.identity.tenant.clone().filter(|_| transition.state.status.is_finished());
        let end = transition.state.status.is_finished().then(|| transition.state.summary(&transition.identity, seq));
        let is_settled = transition.state.is_settled();
        let has_letters = !transition.letters.is_empty();
        let wake_at = transition.state.wake_at.filter(|_| !transition.state.status.is_finished());
        #[cfg(feature = "failpoints")]
        let kind = crate::fail::TransitionKind::of(&transition);
        fail_point!(self, CommitBegins, kind)?;
        let counted = Committing::of(&transition.events);
        let committed = self.store.commit(transition).await.inspect_err(|_| self.counts.refused())?;
        self.counts.committed(&counted);
        fail_point!(self, CommitDone, kind)?;
        if let Some(wake_at) = wake_at {
            self.wakes.at(wake_at);
        }
        if let Some(tenant) = tenant {
            self.quotas.ended(&tenant);
        }
        self.committed.send_replace(());
        match end {
            Some(end) => self.waiters.tell_end(end),
            None if is_settled => self.waiters.notify(instance),
            None => {}
        }
        if has_letters {
            self.letters.notify_one();
        }
        Ok(committed)
    }

    /// Lets everybody who waits for an instance look at it again.
    pub(crate) fn wake_waiters(&self, id: InstanceId) {
        self.waiters.notify(id);
    }

    /// Notes that the store can not be used, so that everybody who waits is told.
    pub(crate) fn report_fault(&self, error: &StoreError) {
        tracing::error!(%error, "the store can not be used");
        self.fault.send_if_modified(|fault| {
            let is_first = fault.is_none();
            fault.get_or_insert_with(|| error.clone());
            is_first
        });
    }

    pub(crate) fn is_driving(&self) -> bool {
        self.drives.load(Ordering::Acquire)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
