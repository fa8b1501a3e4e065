//! Everything under way: the one that makes deliveries, and one worker for each subscription of which some wait.
//!
//! Room is divided in two steps, by tenant and then over all, so that whoever never answers holds the turns of its own
//! tenant and, for a bounded time, a few of the others'.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stepcell_model::id::WebhookId;
use stepcell_model::name::TenantId;
use stepcell_outbound::Outbound;
use stepcell_store::StoreError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::WebhookError;
use crate::sender::Sender;
use crate::subscriptions::Webhooks;
use crate::{maker, worker};

/// How many deliveries are under way at once. Protects the host's connections, of which steps have need as well.
const AT_ONCE_MAX: usize = 256;

/// How many deliveries of one tenant are under way at once. Protects the others.
const TENANT_AT_ONCE_MAX: usize = 16;

/// How often is looked for what other processes changed, and how long is waited after what failed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long is waited for what is under way at the end. Protects the end of the host against whoever never answers.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// How often old deliveries are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);

/// How long deliveries are kept that were taken or are dead.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What all who send share.
pub(crate) struct Dispatch {
    pub(crate) sender: Sender,
    /// How many attempts there were.
    pub(crate) told: watch::Sender<u64>,
    /// How many deliveries were taken by whom they were for.
    pub(crate) taken: AtomicU64,
    stopping: watch::Sender<bool>,
    room: Arc<Semaphore>,
    tenants: Mutex<HashMap<Option<TenantId>, Weak<Semaphore>>>,
    workers: Mutex<Workers>,
}

#[derive(Default)]
struct Workers {
    pokes: HashMap<WebhookId, Arc<Poke>>,
    tasks: JoinSet<()>,
}

/// Lets a worker know that there is more to do.
#[derive(Default)]
pub(crate) struct Poke {
    is_poked: AtomicBool,
    notify: Notify,
}

impl Poke {
    fn poke(&self) {
        self.is_poked.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Takes note: only what comes after counts.
    pub(crate) fn take(&self) {
        self.is_poked.store(false, Ordering::Release);
    }

    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}

/// One delivery's room.
pub(crate) struct Turn {
    _of_tenant: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// Deliveries are made and sent as long as this is there. Dropping it ends that at once; [`Self::stop`] lets what is under
/// way end first.
#[must_use = "dropping it ends it"]
pub struct Dispatching {
    dispatch: Arc<Dispatch>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Dispatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatching").finish_non_exhaustive()
    }
}

impl Webhooks {
    /// Begins to make deliveries and to send them by `outbound`. Only one process of a database may.
    ///
    /// # Errors
    /// [`stepcell_engine::EngineError::NoHostKey`] where there is nothing to open secrets with.
    pub fn dispatch(&self, outbound: Arc<dyn Outbound>) -> Result<Dispatching, WebhookError> {
        let sender = Sender { webhooks: self.clone(), outbound, sealer: self.sealer()? };
        let dispatch = Arc::new(Dispatch {
            sender,
            told: watch::Sender::new(0),
            taken: AtomicU64::new(0),
            stopping: watch::Sender::new(false),
            room: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            tenants: Mutex::default(),
            workers: Mutex::default(),
        });
        let task = tokio::spawn(run(Arc::clone(&dispatch)));
        Ok(Dispatching { dispatch, task })
    }
}

impl Dispatching {
    /// Sends nothing more, and waits for what is under way, for a bounded time. What is broken off is sent anew by the next
    /// host.
    pub async fn stop(self) {
        self.dispatch.stopping.send_replace(true);
        self.task.abort();
        let mut tasks = std::mem::take(&mut self.dispatch.workers().tasks);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME_MAX, ended).await.is_err() {
            tracing::info!("webhooks that were under way are broken off");
        }
    }

    /// What can be counted of deliveries, for as long as they are sent.
    #[must_use]
    pub fn watch(&self) -> DispatchWatch {
        DispatchWatch(Arc::downgrade(&self.dispatch))
    }

    /// How many attempts there were; changes with each that is kept.
    #[must_use]
    pub fn attempts(&self) -> watch::Receiver<u64> {
        self.dispatch.told.subscribe()
    }
}

/// Counts deliveries, and keeps nothing of them going.
#[derive(Clone)]
pub struct DispatchWatch(Weak<Dispatch>);

impl fmt::Debug for DispatchWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatchWatch").finish_non_exhaustive()
    }
}

/// What was sent since this process began to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchCounts {
    /// How many attempts have ended.
    pub attempts: u64,
    /// How many of them were taken.
    pub taken: u64,
    /// How many are under way.
    pub under_way: usize,
}

impl DispatchWatch {
    /// What it has come to by now; zeros once nothing is sent any more.
    #[must_use]
    pub fn counts(&self) -> DispatchCounts {
        let Some(dispatch) = self.0.upgrade() else { return DispatchCounts::default() };
        DispatchCounts {
            attempts: *dispatch.told.borrow(),
            taken: dispatch.taken.load(Ordering::Relaxed),
            under_way: AT_ONCE_MAX - dispatch.room.available_permits(),
        }
    }
}

impl Drop for Dispatching {
    fn drop(&mut self) {
        self.dispatch.stopping.send_replace(true);
        self.task.abort();
        self.dispatch.workers().tasks.abort_all();
    }
}

impl Dispatch {
    /// Has a worker look at the deliveries of a subscription.
    pub(crate) fn work_on(self: &Arc<Self>, id: WebhookId) {
        let mut workers = self.workers();
        if self.is_stopping() {
            return;
        }
        if let Some(poke) = workers.pokes.get(&id) {
            return poke.poke();
        }
        while workers.tasks.try_join_next().is_some() {}
        let poke = Arc::new(Poke::default());
        workers.pokes.insert(id, Arc::clone(&poke));
        let dispatch = Arc::clone(self);
        workers.tasks.spawn(async move {
            let here = Here { dispatch, id, poke };
            worker::work(&here.dispatch, id, &here.poke).await;
        });
    }

    /// Lets a worker go that found nothing to do, unless it was poked since.
    pub(crate) fn may_leave(&self, id: WebhookId, poke: &Poke) -> bool {
        let mut workers = self.workers();
        let may_leave = !poke.is_poked.load(Ordering::Acquire);
        if may_leave {
            workers.pokes.remove(&id);
        }
        may_leave
    }

    /// Notes that a worker is gone, however it ended.
    fn leave(&self, id: WebhookId, poke: &Arc<Poke>) {
        let mut workers = self.workers();
        if workers.pokes.get(&id).is_some_and(|other| Arc::ptr_eq(other, poke)) {
            workers.pokes.remove(&id);
        }
    }

    /// Waits for room for a delivery of a tenant; none if the host stops.
    pub(crate) async fn turn(&self, tenant: Option<&TenantId>) -> Option<Turn> {
        let of_tenant = self.room_of(tenant);
        let room = Arc::clone(&self.room);
        let turn = async {
            let _of_tenant = of_tenant.acquire_owned().await.ok()?;
            Some(Turn { _of_tenant, _of_all: room.acquire_owned().await.ok()? })
        };
        tokio::select! {
            biased;
            () = self.stopped() => None,
            turn = turn => turn,
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(crate) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // It lives as long as this.
        let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
    }

    /// Waits until it is time to look for what nobody told of.
    pub(crate) async fn look_again(&self) {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }

    fn room_of(&self, tenant: Option<&TenantId>) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = tenant.cloned();
        if let Some(room) = tenants.get(&tenant).and_then(Weak::upgrade) {
            return room;
        }
        tenants.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(TENANT_AT_ONCE_MAX));
        tenants.insert(tenant, Arc::downgrade(&room));
        room
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's place, which it leaves even where it panics.
struct Here {
    dispatch: Arc<Dispatch>,
    id: WebhookId,
    poke: Arc<Poke>,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.dispatch.leave(self.id, &self.poke);
    }
}

async fn run(dispatch: Arc<Dispatch>) {
    let making = async {
        loop {
            match maker::make(&dispatch).await {
                Ok(()) | Err(WebhookError::Engine(stepcell_engine::EngineError::Store(StoreError::Closed))) => return,
                Err(error) => tracing::warn!(%error, "webhooks can not be made for now"),
            }
            dispatch.look_again().await;
        }
    };
    tokio::select! {
        () = making => {}
        () = look_after_workers(&dispatch) => {}
        () = forget(&dispatch) => {}
    }
}

/// Has workers look at what waits since before the host began, and at what was sent anew.
async fn look_after_workers(dispatch: &Arc<Dispatch>) {
    let webhooks = &dispatch.sender.webhooks;
    let mut changed = webhooks.changed.subscribe();
    loop {
        changed.mark_unchanged();
        match webhooks.store().list_waiting_webhooks().await {
            Ok(waiting) => waiting.into_iter().for_each(|id| dispatch.work_on(id)),
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!(%error, "webhooks can not be read for now"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = dispatch.look_again() => {}
        }
    }
}

async fn forget(dispatch: &Arc<Dispatch>) {
    let webhooks = &dispatch.sender.webhooks;
    loop {
        let now = webhooks.engine.clock().now();
        let ended_before = stepcell_model::time::Timestamp::from_unix_ms(
            now.unix_ms() - i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX),
        );
        match webhooks.store().forget_deliveries(ended_before).await {
            Ok(0) => tokio::time::sleep(FORGET_INTERVAL).await,
            Ok(_) => tokio::task::yield_now().await,
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "old deliveries can not be forgotten for now");
                tokio::time::sleep(FORGET_INTERVAL).await;
            }
        }
    }
}
