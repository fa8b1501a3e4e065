//! The room for attempts: how many run at once, and whose begins next.
//!
//! Tenants take turns by what their attempts have measurably used, not by how many they ask for, and each holds only a
//! part of the room at a time; within a tenant it is first come, first served. The rules are in `ledger.rs`.
//!
//! Nothing here is lost by being dropped: whoever stops waiting leaves the queue, and a permit gives its room back.

mod ledger;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use stepcell_model::name::TenantId;
use tokio::sync::oneshot;

use self::ledger::{Cost, Holder, Ledger, Seat, Ticket};

/// How many attempts of a tenant may run at once, where the operator has set a limit of its own.
///
/// Asked whenever an attempt wants to begin, so it must answer at once; a changed answer holds from the next one on.
///
/// # Examples
/// ```
/// use stepcell_engine::TenantConcurrency;
///
/// let cautious = TenantConcurrency::by(|tenant| tenant.is_some().then_some(2));
/// # let _ = cautious;
/// ```
#[derive(Clone)]
pub struct TenantConcurrency(Arc<LimitOf>);

type LimitOf = dyn Fn(Option<&TenantId>) -> Option<usize> + Send + Sync;

impl TenantConcurrency {
    /// Limits each tenant to what `limit_of` says of it, at least 1; where it says nothing, to what is fair.
    pub fn by(limit_of: impl Fn(Option<&TenantId>) -> Option<usize> + Send + Sync + 'static) -> Self {
        Self(Arc::new(limit_of))
    }
}

impl Default for TenantConcurrency {
    /// Nobody has a limit of its own.
    fn default() -> Self {
        Self::by(|_| None)
    }
}

impl fmt::Debug for TenantConcurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantConcurrency").finish_non_exhaustive()
    }
}

/// The room of one engine.
pub(crate) struct Room {
    limits: TenantConcurrency,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    waiters: HashMap<Ticket, oneshot::Sender<Permit>>,
}

/// What whoever wants to run an attempt is told.
pub(crate) enum Entered {
    /// There is room.
    Now(Permit),
    /// There will be.
    Later(Waiting),
}

/// Waits for room. Dropping it leaves the queue.
pub(crate) struct Waiting {
    room: Arc<Room>,
    holder: Holder,
    ticket: Ticket,
    permit: oneshot::Receiver<Permit>,
}

/// Room for one attempt, as long as it lives.
pub(crate) struct Permit {
    room: Arc<Room>,
    seat: Option<Seat>,
    since: Instant,
}

impl Room {
    /// Room for `size` attempts at once, at least one.
    pub(crate) fn new(size: usize, limits: TenantConcurrency) -> Arc<Self> {
        let state = State { ledger: Ledger::new(size), waiters: HashMap::new() };
        Arc::new(Self { limits, state: Mutex::new(state) })
    }

    /// Asks for room for an attempt of a tenant.
    pub(crate) fn enter(self: &Arc<Self>, tenant: Option<&TenantId>) -> Entered {
        let limit = (self.limits.0)(tenant);
        let holder = tenant.cloned();
        let (teller, mut permit) = oneshot::channel();
        let ticket = {
            let mut state = self.lock();
            let ticket = state.ledger.enter(&holder, limit);
            state.waiters.insert(ticket, teller);
            ticket
        };
        self.admit();
        match permit.try_recv() {
            Ok(permit) => Entered::Now(permit),
            Err(_) => Entered::Later(Waiting { room: Arc::clone(self), holder, ticket, permit }),
        }
    }

    /// Lets in whoever there is room for.
    fn admit(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                state.ledger.admit().map(|(ticket, seat)| (state.waiters.remove(&ticket), seat))
            };
            let Some((teller, seat)) = next else { return };
            let permit = Permit { room: Arc::clone(self), seat: Some(seat), since: Instant::now() };
            if let Some(teller) = teller {
                // Where nobody waits any more the permit comes back, and is given up here, outside the lock.
                drop(teller.send(permit));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Waits until there is room.
    pub(crate) async fn permit(mut self) -> Permit {
        (&mut self.permit).await.expect("the room keeps those who wait until it lets them in")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        {
            let mut state = self.room.lock();
            if state.waiters.remove(&self.ticket).is_none() {
                return;
            }
            state.ledger.leave(&self.holder, self.ticket);
        }
        // Whoever stood behind may go where this one could not.
        self.room.admit();
    }
}

impl Permit {
    /// Gives the room back after an attempt that computed for `cpu_us`.
    pub(crate) fn end(mut self, cpu_us: u64) {
        self.give_back(Some(cpu_us));
    }

    fn give_back(&mut self, cpu_us: Option<u64>) {
        let Some(seat) = self.seat.take() else { return };
        let held_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // An attempt that nobody tells of may have computed all the time.
        let cost = Cost::of(cpu_us.unwrap_or(held_us), held_us);
        self.room.lock().ledger.release(seat, cost);
        self.room.admit();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

#[cfg(test)]
mod tests;
