//! Who waits in this process for which instance to settle.
//!
//! Each waiter is woken for its own instance alone: however many wait, a transition of another one costs them nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::id::InstanceId;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<HashMap<InstanceId, Arc<Notify>>>);

/// Somebody who waits; whoever is the last for an instance takes its entry along.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    waiters: &'a Waiters,
    id: InstanceId,
    notify: Arc<Notify>,
}

impl Waiters {
    /// Begins to wait for an instance.
    pub(crate) fn register(&self, id: InstanceId) -> Waiter<'_> {
        Waiter { waiters: self, id, notify: Arc::clone(self.lock().entry(id).or_default()) }
    }

    /// Wakes everybody who waits for an instance.
    pub(crate) fn notify(&self, id: InstanceId) {
        if let Some(notify) = self.lock().get(&id) {
            notify.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Ends when the instance settles after this call.
    pub(crate) fn notified(&self) -> OwnedNotified {
        Arc::clone(&self.notify).notified_owned()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        // The map's own and this one are left: nobody else waits.
        if Arc::strong_count(&self.notify) <= 2 {
            waiting.remove(&self.id);
        }
    }
}
