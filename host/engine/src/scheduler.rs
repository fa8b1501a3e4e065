//! Who is driven when: recovery at start, retries when they are due, changes that other processes made.

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepcell_model::definition::Durability;
use stepcell_model::id::InstanceId;
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::time::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::driver::{Driver, Hot, Origin};
use crate::engine::{Inner, WorkflowEngine};
use crate::error::EngineError;
use crate::letters::hand_over;

/// How many instances one look at the store brings.
const LOOK_LEN_MAX: u32 = 500;

/// How many instances may be driven at once before recovery waits, not counting those that wait for room.
///
/// Protects the store after a restart with very many open instances.
const HOT_LEN_MAX: usize = 2_000;

/// How many instances may be driven at once, or wait for room, before recovery waits and nobody is woken whose time has
/// come.
///
/// Protects memory where very many wait for room. It is far above the other: those of one tenant shall not stand before
/// everybody else.
const KEPT_LEN_MAX: usize = 20_000;

/// How often the engine looks for changes that other processes made.
const NUDGE_INTERVAL: Duration = Duration::from_millis(100);

/// The wait before due instances are looked at again that somebody is still moving.
const DUE_AGAIN_INTERVAL: Duration = Duration::from_millis(5);

/// The wait before due instances are looked at again that all wait for room.
const ROOM_AGAIN_INTERVAL: Duration = Duration::from_millis(100);

/// The earliest time at which some waiting instance must be looked at.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    next: Mutex<Option<Timestamp>>,
    changed: Notify,
}

impl Wakes {
    /// Notes that an instance must be looked at.
    pub(crate) fn at(&self, at: Timestamp) {
        let mut next = lock(&self.next);
        if next.is_none_or(|next| at < next) {
            *next = Some(at);
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Option<Timestamp> {
        lock(&self.next).take()
    }

    /// The earliest of those times.
    pub(crate) fn peek(&self) -> Option<Timestamp> {
        *lock(&self.next)
    }
}

/// An engine that moves instances. Dropping it stops that at once; [`Self::stop`] lets attempts end first.
#[derive(Debug)]
pub struct Driving {
    engine: WorkflowEngine,
    loops: JoinSet<()>,
}

impl WorkflowEngine {
    /// Begins to move instances: whatever was running goes on, whatever is due is begun.
    ///
    /// Only one engine may drive a store at a time; whoever calls has made sure of that.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn drive(&self) -> Result<Driving, EngineError> {
        self.inner.drives.store(true, Ordering::Release);
        self.inner.guard.refresh().await?;
        if let Some(at) = self.inner.store.next_wake().await? {
            self.inner.wakes.at(at);
        }
        let mut loops = JoinSet::new();
        loops.spawn(guarded(Arc::clone(&self.inner), recover(Arc::clone(&self.inner))));
        loops.spawn(guarded(Arc::clone(&self.inner), wake_due(Arc::clone(&self.inner))));
        loops.spawn(guarded(Arc::clone(&self.inner), take_nudges(Arc::clone(&self.inner))));
        loops.spawn(guarded(Arc::clone(&self.inner), hand_over(Arc::clone(&self.inner))));
        Ok(Driving { engine: self.clone(), loops })
    }
}

impl Driving {
    /// Begins nothing new, waits until the attempts under way have ended, and stops.
    pub async fn stop(mut self) {
        let inner = Arc::clone(&self.engine.inner);
        inner.stopping.send_replace(true);
        // Nobody is told of a store that fails now.
        let _ = fail_point!(inner, StopBegins);
        self.loops.abort_all();
        loop {
            let gone = inner.drivers_gone.notified();
            if lock(&inner.hot).is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// Drops everything that is under way, as if the process had ended, and returns once nothing of it is left.
    ///
    /// Whatever was not committed by then never is: another engine may drive the store.
    pub async fn abandon(mut self) {
        let inner = Arc::clone(&self.engine.inner);
        self.engine.abandon();
        self.loops.shutdown().await;
        inner.abandon_drivers();
        loop {
            let gone = inner.drivers_gone.notified();
            if inner.drivers.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }

    /// How many instances are being moved right now.
    #[must_use]
    pub fn hot_len(&self) -> usize {
        self.engine.inner.hot_len()
    }

    /// Of how many instances anything is held in memory: those that are being moved, and those that somebody waits for.
    #[must_use]
    pub fn held_len(&self) -> usize {
        self.hot_len() + self.engine.inner.waiters.len()
    }
}

/// Counts a driver as long as there is anything of it, even one that was ended before it began.
struct Alive(Arc<Inner>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.drivers.fetch_sub(1, Ordering::AcqRel);
        self.0.drivers_gone.notify_waiters();
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.engine.abandon();
    }
}

async fn guarded(inner: Arc<Inner>, work: impl Future<Output = Result<(), EngineError>>) {
    match work.await {
        Ok(()) => {}
        Err(EngineError::Store(error)) => inner.report_fault(&error),
        Err(error) => tracing::error!(%error, "the scheduler stopped"),
    }
}

/// Goes on with everything that was running when the host last stopped.
async fn recover(inner: Arc<Inner>) -> Result<(), EngineError> {
    fail_point!(inner, RecoveryBegins)?;
    // What is driven already was begun since, and knows how it stands.
    inner.look_at_running(Inner::wake).await?;
    inner.has_recovered.store(true, Ordering::Release);
    Ok(())
}

/// Wakes instances when their time has come.
async fn wake_due(inner: Arc<Inner>) -> Result<(), EngineError> {
    loop {
        match inner.wakes.peek() {
            None => inner.wakes.changed.notified().await,
            Some(at) => tokio::select! {
                biased;
                () = inner.clock.sleep_until(at) => wake_those_due(&inner).await?,
                () = inner.wakes.changed.notified() => {}
            },
        }
    }
}

async fn wake_those_due(inner: &Arc<Inner>) -> Result<(), EngineError> {
    inner.wakes.take();
    let (began, now) = (Instant::now(), inner.clock.now());
    let (mut after, mut woken) = (None, 0);
    // Behind those that wait for room already stand others, who may need none.
    while woken < LOOK_LEN_MAX && inner.hot_len() < KEPT_LEN_MAX {
        let due = inner.store.list_due(now, after, LOOK_LEN_MAX).await?;
        let Some(last) = due.last() else { break };
        fail_point!(inner, TimeComes)?;
        after = Some(*last);
        for (_, id) in due.into_iter().filter(|(_, id)| !inner.waits_for_room(*id)) {
            inner.wake(id);
            woken += 1;
        }
    }
    if after.is_some() || inner.hot_len() >= KEPT_LEN_MAX {
        let pause = if woken == 0 { ROOM_AGAIN_INTERVAL } else { DUE_AGAIN_INTERVAL };
        tokio::time::sleep(pause.max(began.elapsed())).await;
    }
    if let Some(next) = inner.store.next_wake().await? {
        inner.wakes.at(next);
    }
    Ok(())
}

/// Looks after instances that other processes changed.
async fn take_nudges(inner: Arc<Inner>) -> Result<(), EngineError> {
    let mut interval = tokio::time::interval(NUDGE_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        inner.refresh_guard().await?;
        let nudges = inner.store.take_nudges().await?;
        if !nudges.is_empty() {
            fail_point!(inner, NudgesTaken)?;
        }
        for id in nudges {
            inner.poke(id);
        }
    }
}

impl Inner {
    /// Has every instance looked at in which something could move.
    async fn look_at_running(self: &Arc<Self>, look: fn(&Arc<Self>, InstanceId)) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let running = self.store.list_running(after, LOOK_LEN_MAX).await?;
            let Some((last, _)) = running.last() else { return Ok(()) };
            after = Some(*last);
            for (id, _) in running {
                loop {
                    // Made before the look: a driver that ends in between is not missed.
                    let gone = self.drivers_gone.notified();
                    let kept = self.hot_len();
                    if kept - self.waiting_for_room_len().min(kept) < HOT_LEN_MAX && kept < KEPT_LEN_MAX {
                        break;
                    }
                    gone.await;
                }
                look(self, id);
            }
        }
    }

    /// As [`Self::look_at_running`], where nobody waits for it.
    pub(crate) async fn poke_running(self: &Arc<Self>) {
        match self.look_at_running(Self::poke).await {
            Ok(()) => {}
            Err(EngineError::Store(error)) => self.report_fault(&error),
            Err(error) => tracing::error!(%error, "what was held back could not be let go on"),
        }
    }

    /// Sees to it that an instance is driven by what the store says of it now.
    pub(crate) fn poke(self: &Arc<Self>, id: InstanceId) {
        self.rouse(id, None, |hot| hot.changed.store(true, Ordering::Release));
    }

    /// As [`Self::poke`], where it is known how the instance was committed a moment ago.
    pub(crate) fn poke_known(self: &Arc<Self>, instance: WorkflowInstance) {
        let id = instance.identity.id;
        self.rouse(id, Some(Box::new(instance)), |hot| hot.changed.store(true, Ordering::Release));
    }

    /// Sees to it that an instance is driven whose time has come; its driver, if it has one, knows how it stands.
    fn wake(self: &Arc<Self>, id: InstanceId) {
        self.rouse(id, None, |_| {});
    }

    fn rouse(self: &Arc<Self>, id: InstanceId, known: Option<Box<WorkflowInstance>>, tell: impl FnOnce(&Hot)) {
        if !self.is_driving() || self.is_stopping() {
            return;
        }
        match lock(&self.hot).entry(id) {
            Entry::Occupied(hot) => {
                tell(hot.get());
                hot.get().nudge.notify_one();
            }
            Entry::Vacant(place) => {
                let hot = Arc::new(Hot::default());
                place.insert(Arc::clone(&hot));
                self.drivers.fetch_add(1, Ordering::AcqRel);
                let alive = Alive(Arc::clone(self));
                let is_new = known.as_ref().is_some_and(|instance| instance.seq == 1);
                let durability = match is_new || self.has_recovered.load(Ordering::Acquire) {
                    true => Durability::Fused,
                    false => Durability::EachStep,
                };
                let driver = Driver::run(Arc::clone(self), Arc::clone(&hot), id, Origin { known, durability });
                let driver = tokio::spawn(async move {
                    let _alive = alive;
                    driver.await;
                });
                let _ = hot.task.set(driver.abort_handle());
            }
        }
    }

    /// Whether an instance is driven here and was not settled when it was last stored. Whoever waits for it is told when
    /// that changes.
    pub(crate) fn is_moving(&self, id: InstanceId) -> bool {
        lock(&self.hot).get(&id).is_some_and(|hot| !hot.is_settled.load(Ordering::Acquire))
    }

    /// Whether an instance's driver waits for room already, and so will look at all that is due once it has some.
    fn waits_for_room(&self, id: InstanceId) -> bool {
        lock(&self.hot).get(&id).is_some_and(|hot| hot.waits_for_room.load(Ordering::Acquire))
    }

    /// How many instances are driven.
    fn hot_len(&self) -> usize {
        lock(&self.hot).len()
    }

    fn waiting_for_room_len(&self) -> usize {
        self.drivers_waiting_for_room.load(Ordering::Acquire)
    }

    /// Ends every driver where it stands.
    pub(crate) fn abandon_drivers(&self) {
        for hot in lock(&self.hot).drain().map(|(_, hot)| hot) {
            if let Some(task) = hot.task.get() {
                task.abort();
            }
        }
        self.drivers_gone.notify_waiters();
    }

    /// Lets a driver go if nobody changed its instance since it last looked.
    pub(crate) fn retire(&self, id: InstanceId, hot: &Hot) -> bool {
        let mut all = lock(&self.hot);
        if hot.changed.load(Ordering::Acquire) && !self.is_stopping() {
            return false;
        }
        all.remove(&id);
        drop(all);
        self.drivers_gone.notify_waiters();
        self.waiters.notify(id);
        true
    }

    /// Removes what is left of a driver that has ended.
    pub(crate) fn forget(&self, id: InstanceId, hot: &Arc<Hot>) {
        let mut all = lock(&self.hot);
        if all.get(&id).is_some_and(|known| Arc::ptr_eq(known, hot)) {
            all.remove(&id);
        }
        drop(all);
        self.drivers_gone.notify_waiters();
        self.waiters.notify(id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
