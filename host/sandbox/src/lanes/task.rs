//! An attempt in the heavy lane: its future, and where it stands.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use stepcell_model::name::TenantId;
use tokio::runtime::Handle;

use super::heavy::Shared;
use crate::meter::thread_cpu;

/// What an attempt does; its outcome it tells by itself.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An attempt in the heavy lane.
pub(crate) struct Task {
    lane: Weak<Shared>,
    tenant: Option<TenantId>,
    /// The runtime whose timers and sockets the attempt uses.
    runtime: Option<Handle>,
    cpu_ns: AtomicU64,
    place: Mutex<Place>,
}

/// Where an attempt stands. The future is in exactly one place, so that it is dropped once and by one thread.
enum Place {
    /// Waits to be woken.
    Waiting(Work),
    /// Waits for its turn.
    Ready(Work),
    /// Has its turn.
    Going(Woken),
    /// Is over, or was stopped.
    Over,
}

/// Whether an attempt was woken while it had its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    No,
    Yes,
}

impl Task {
    /// An attempt that can go on. Whoever makes it puts it in line.
    pub(crate) fn new(lane: Weak<Shared>, tenant: Option<TenantId>, work: Work) -> Arc<Self> {
        let runtime = Handle::try_current().ok();
        Arc::new(Self { lane, tenant, runtime, cpu_ns: AtomicU64::new(0), place: Mutex::new(Place::Ready(work)) })
    }

    pub(crate) const fn tenant(&self) -> &Option<TenantId> {
        &self.tenant
    }

    /// How long it has computed in this lane.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed))
    }

    /// Gives it its turn, and says how long that took. It puts itself in line again where it can go on.
    pub(crate) fn take_turn(self: &Arc<Self>) -> Duration {
        let began = thread_cpu();
        let going = match std::mem::replace(&mut *self.lock(), Place::Going(Woken::No)) {
            Place::Ready(work) => Some(work),
            // It was stopped while it stood in line.
            Place::Waiting(_) | Place::Going(_) | Place::Over => None,
        };
        match going.and_then(|work| self.poll(work)) {
            Some(work) => self.put_back(work),
            None => *self.lock() = Place::Over,
        }
        let took = thread_cpu().saturating_sub(began);
        self.cpu_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        took
    }

    /// Stops it. Where it has its turn just now, its thread drops it when the turn is over.
    pub(crate) fn stop(&self) {
        let place = std::mem::replace(&mut *self.lock(), Place::Over);
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        drop_quietly(place);
    }

    /// The work, if it is not over.
    fn poll(self: &Arc<Self>, mut work: Work) -> Option<Work> {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        let waker = Waker::from(Arc::clone(self));
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(&waker))));
        if matches!(polled, Ok(Poll::Pending)) {
            return Some(work);
        }
        drop_quietly(work);
        None
    }

    fn put_back(self: &Arc<Self>, work: Work) {
        let mut place = self.lock();
        match *place {
            Place::Going(Woken::No) => *place = Place::Waiting(work),
            Place::Going(Woken::Yes) => {
                *place = Place::Ready(work);
                drop(place);
                self.line_up();
            }
            Place::Waiting(_) | Place::Ready(_) | Place::Over => {
                drop(place);
                let _runtime = self.runtime.as_ref().map(Handle::enter);
                drop_quietly(work);
            }
        }
    }

    fn line_up(self: &Arc<Self>) {
        if let Some(lane) = self.lane.upgrade() {
            lane.line_up(Arc::clone(self));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let mut place = self.lock();
        match std::mem::replace(&mut *place, Place::Over) {
            Place::Waiting(work) => {
                *place = Place::Ready(work);
                drop(place);
                self.line_up();
            }
            Place::Going(_) => *place = Place::Going(Woken::Yes),
            as_it_was => *place = as_it_was,
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("tenant", &self.tenant).field("cpu", &self.cpu()).finish_non_exhaustive()
    }
}

/// Drops something of an attempt. A panic on the way must not take the lane's thread with it.
fn drop_quietly<T>(what: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(what))).is_err() {
        tracing::error!("dropping an attempt panicked");
    }
}
