//! Who waits in this process for which instance to settle.
//!
//! Each waiter is woken for its own instance alone: however many wait, a transition of another one costs them nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::id::InstanceId;
use stepcell_model::record::InstanceSummary;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<HashMap<InstanceId, Arc<Place>>>);

/// What those who wait for one instance share.
#[derive(Debug, Default)]
struct Place {
    notify: Arc<Notify>,
    /// The instance as it was finished.
    end: Mutex<Option<InstanceSummary>>,
}

/// Somebody who waits; whoever is the last for an instance takes its entry along.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    waiters: &'a Waiters,
    id: InstanceId,
    place: Arc<Place>,
}

impl Waiters {
    /// Begins to wait for an instance.
    pub(crate) fn register(&self, id: InstanceId) -> Waiter<'_> {
        let place = Arc::clone(self.lock().entry(id).or_default());
        // It may have gone on since an earlier end; who has not seen that one yet looks for themselves.
        *lock(&place.end) = None;
        Waiter { waiters: self, id, place }
    }

    /// Wakes everybody who waits for an instance.
    pub(crate) fn notify(&self, id: InstanceId) {
        if let Some(place) = self.lock().get(&id) {
            place.notify.notify_waiters();
        }
    }

    /// Wakes everybody who waits for an instance that is finished, and tells them how.
    pub(crate) fn tell_end(&self, end: InstanceSummary) {
        if let Some(place) = self.lock().get(&end.identity.id) {
            *lock(&place.end) = Some(end);
            place.notify.notify_waiters();
        }
    }

    /// How many instances somebody waits for.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Place>>> {
        lock(&self.0)
    }
}

impl Waiter<'_> {
    /// Ends when the instance settles after this call.
    pub(crate) fn notified(&self) -> OwnedNotified {
        Arc::clone(&self.place.notify).notified_owned()
    }

    /// How the instance was finished, if it was since this began to wait.
    pub(crate) fn end(&self) -> Option<InstanceSummary> {
        lock(&self.place.end).clone()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        // The map's own and this one are left: nobody else waits.
        if Arc::strong_count(&self.place) <= 2 {
            waiting.remove(&self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
