//! The room for attempts: how many run at once, and whose begins next.
//!
//! Tenants take turns by what their attempts have measurably used, not by how many they ask for, and each holds only a
//! part of the room at a time; within a tenant it is first come, first served. The rules are in `ledger.rs`.
//!
//! Nothing here is lost by being dropped: whoever stops waiting leaves the queue, and a permit gives its room back.

mod ledger;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::attempt::AttemptTrace;
use stepcell_model::name::TenantId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::ledger::{Cost, Holder, Ledger, Seat, Ticket};

/// The room of one engine.
pub(crate) struct Room(Mutex<State>);

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
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { ledger: Ledger::new(size), waiters: HashMap::new() })))
    }

    /// Asks for room for an attempt of a tenant, of which no more than `limit` may run at once; without a limit of its
    /// own, no more than is fair.
    pub(crate) fn enter(self: &Arc<Self>, tenant: Option<&TenantId>, limit: Option<usize>) -> Entered {
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

    /// How many attempts may run at once, how many do, and how many wait.
    pub(crate) fn occupancy(&self) -> (usize, usize, usize) {
        let state = self.lock();
        let (size, held) = state.ledger.occupancy();
        (size, held, state.waiters.len())
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// The attempt begins to run: how long the host took to make its component ready is not the tenant's doing.
    pub(crate) fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// Gives the room back after an attempt, and charges what that used.
    pub(crate) fn end(mut self, trace: &AttemptTrace) {
        self.give_back(Some(trace));
    }

    fn give_back(&mut self, trace: Option<&AttemptTrace>) {
        let Some(seat) = self.seat.take() else { return };
        let held_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // An attempt that nobody tells of may have computed all the time.
        let cpu_us = trace.map_or(held_us, |trace| trace.receipt.cpu_us);
        let cost = Cost::of(cpu_us, held_us, trace.map_or(0, bytes_moved));
        self.room.lock().ledger.release(seat, cost);
        self.room.admit();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

/// The bytes that the host has to carry for an attempt, and to keep.
fn bytes_moved(trace: &AttemptTrace) -> u64 {
    let log: usize = trace.log.iter().map(|line| line.message.len()).sum();
    trace.receipt.bytes_in.saturating_add(trace.receipt.bytes_out).saturating_add(log as u64)
}

#[cfg(test)]
mod tests;
