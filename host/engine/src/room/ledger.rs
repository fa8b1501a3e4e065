//! Who may begin an attempt: the rules of the room, as a pure account of who holds what and who waits.
//!
//! It knows no clock and no task: whoever calls it says what an attempt cost.

use std::collections::{HashMap, VecDeque};

use stepcell_fair::Rounds;
use stepcell_model::name::TenantId;

/// Whom room is given to: a tenant, or everything that belongs to none.
pub(crate) type Holder = Option<TenantId>;

/// How much each may use in a round, in microseconds of a processor. Small enough that a step that computes for a second
/// sits out hundreds of rounds, large enough that small steps do not change over at each.
pub(crate) const QUANTUM_US: u64 = 2_000;

/// What an attempt costs on average for a tenant to be known for long ones, in microseconds of a processor. Protects those who
/// wait for the reserve: its seats come back that soon, even where all of them wait and none computes.
const LONG_US_MIN: u64 = 10_000;

/// What the host's own work around an attempt costs, in microseconds: attempts that do nothing are not free.
const ATTEMPT_COST_US: u64 = 50;

/// How many bytes the host carries and keeps for an attempt in a microsecond. Protects the store from those who write much
/// and compute little.
const BYTES_PER_US: u64 = 100;

/// How much longer than computing an attempt may wait for the same cost. Protects the room from those who sleep in it.
const WAITING_IS_CHEAPER_BY: u64 = 16;

/// The part of the room that each tenant may always hold.
const SHARE_OF: usize = 8;

/// The part of the room up to which tenants may hold more than their share, while nobody else wants it.
const LENT_OF: usize = 2;

/// The part of the room that is kept for tenants who hold nothing yet and whose attempts are not known to be long: their
/// first attempt begins at once, whatever others do.
const RESERVE_OF: usize = 4;

/// How many more accounts than needed are kept before they are looked through. Protects memory.
const ACCOUNTS_SPARE_MAX: usize = 64;

/// What an attempt cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost(u64);

impl Cost {
    /// The cost of an attempt that computed for a time, held its place for a longer one, and moved so many bytes in and
    /// out.
    pub(crate) const fn of(cpu_us: u64, held_us: u64, bytes: u64) -> Self {
        let around = ATTEMPT_COST_US.saturating_add(bytes / BYTES_PER_US);
        Self(around.saturating_add(cpu_us).saturating_add(held_us / WAITING_IS_CHEAPER_BY))
    }
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// Leave to run one attempt; given back with [`Ledger::release`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    holder: Holder,
    expected_us: u64,
    kind: SeatKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeatKind {
    Open,
    /// In the part that is kept for those who hold nothing.
    Reserved,
}

/// Where somebody who waits stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    /// Holds nothing yet, and is not known for long attempts.
    First,
    /// Holds less than its share.
    Within,
    /// Holds its share, and would borrow.
    Beyond,
}

/// Who holds what, and who waits.
#[derive(Debug)]
pub(crate) struct Ledger {
    size: usize,
    tickets: u64,
    accounts: HashMap<Holder, Account>,
    rounds: Rounds<Holder, Line>,
    waiting: usize,
    held: usize,
    /// How many of those that are held are open ones.
    held_open: usize,
    /// Whether a tenant was ever here. Without any, nobody has to be protected from anybody.
    has_tenants: bool,
}

#[derive(Debug, Default)]
struct Account {
    waiting: VecDeque<Ticket>,
    held: usize,
    /// What the operator lets the tenant hold at most.
    limit: Option<usize>,
    /// What its attempts have cost of late.
    expected_us: Option<u64>,
}

impl Account {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.held == 0
    }

    /// Whether its attempts are known to be long ones.
    fn is_heavy(&self) -> bool {
        self.expected_us.is_some_and(|expected| expected > LONG_US_MIN)
    }

    fn learn(&mut self, cost: u64) {
        self.expected_us = Some(self.expected_us.map_or(cost, |before| (before.saturating_mul(3) + cost) / 4));
    }
}

impl Ledger {
    /// An empty room for `size` attempts, at least one.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            tickets: 0,
            accounts: HashMap::new(),
            rounds: Rounds::new(QUANTUM_US),
            waiting: 0,
            held: 0,
            held_open: 0,
            has_tenants: false,
        }
    }

    /// How large the room is, and how much of it is held.
    pub(crate) const fn occupancy(&self) -> (usize, usize) {
        (self.size, self.held)
    }

    /// Puts an attempt at the end of its tenant's queue. `limit` is what the operator lets the tenant hold at most.
    pub(crate) fn enter(&mut self, holder: &Holder, limit: Option<usize>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.has_tenants |= holder.is_some();
        let account = self.accounts.entry(holder.clone()).or_default();
        account.limit = limit;
        account.waiting.push_back(ticket);
        self.waiting += 1;
        self.line_up(holder);
        ticket
    }

    /// Takes an attempt out of the queue, if it still stands there.
    pub(crate) fn leave(&mut self, holder: &Holder, ticket: Ticket) {
        if let Some(account) = self.accounts.get_mut(holder) {
            let before = account.waiting.len();
            account.waiting.retain(|waiting| *waiting != ticket);
            self.waiting -= before - account.waiting.len();
            self.line_up(holder);
            self.tidy_up();
        }
    }

    /// Lets the next one in, if there is room for anybody who waits.
    pub(crate) fn admit(&mut self) -> Option<(Ticket, Seat)> {
        let holder = self.next()?;
        let kind = if self.held_open < self.open_max() { SeatKind::Open } else { SeatKind::Reserved };
        let account = self.accounts.get_mut(&holder)?;
        let ticket = account.waiting.pop_front()?;
        let expected_us = account.expected_us.unwrap_or(QUANTUM_US);
        account.held += 1;
        self.waiting -= 1;
        self.held += 1;
        self.held_open += usize::from(kind == SeatKind::Open);
        self.rounds.serve(&holder, expected_us);
        self.line_up(&holder);
        Some((ticket, Seat { holder, expected_us, kind }))
    }

    /// Takes a seat back and charges what the attempt cost.
    pub(crate) fn release(&mut self, seat: Seat, Cost(cost): Cost) {
        let Seat { holder, expected_us, kind } = seat;
        self.held -= 1;
        self.held_open -= usize::from(kind == SeatKind::Open);
        self.rounds.settle(&holder, expected_us, cost);
        if let Some(account) = self.accounts.get_mut(&holder) {
            account.held -= 1;
            account.learn(cost);
        }
        self.line_up(&holder);
        self.tidy_up();
    }

    /// How many seats are held.
    #[cfg(test)]
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// How many tenants are remembered.
    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.accounts.len()
    }

    fn next(&self) -> Option<Holder> {
        if self.held == self.size {
            return None;
        }
        let has_open = self.held_open < self.open_max();
        let first = self.rounds.first(&Line::First);
        let within = self.rounds.first(&Line::Within).filter(|_| has_open);
        let beyond = self.rounds.first(&Line::Beyond).filter(|_| self.held_open < self.lent_max());
        let next = match (first, within) {
            (Some(first), Some(within)) => Some(if first.0 < within.0 { first } else { within }),
            (first, within) => first.or(within),
        };
        next.or(beyond).map(|(_, holder)| holder.clone())
    }

    /// Puts a tenant into the line where it belongs by what it holds.
    fn line_up(&mut self, holder: &Holder) {
        match self.accounts.get(holder).and_then(|account| self.line_of(account)) {
            Some(line) => self.rounds.line_up(holder, line),
            None => self.rounds.step_out(holder),
        }
    }

    fn line_of(&self, account: &Account) -> Option<Line> {
        if account.waiting.is_empty() || account.limit.is_some_and(|limit| account.held >= limit.max(1)) {
            None
        } else if account.held == 0 && !account.is_heavy() {
            Some(Line::First)
        } else if account.held < account.limit.unwrap_or_else(|| self.share()) {
            Some(Line::Within)
        } else {
            Some(Line::Beyond)
        }
    }

    /// What each tenant may always hold.
    fn share(&self) -> usize {
        (self.size / SHARE_OF).max(1)
    }

    /// How many seats anybody may have.
    const fn open_max(&self) -> usize {
        if self.has_tenants { self.size - self.size / RESERVE_OF } else { self.size }
    }

    /// How many seats may be held before nobody borrows any more.
    fn lent_max(&self) -> usize {
        if self.has_tenants { (self.size / LENT_OF).max(1) } else { self.size }
    }

    /// Forgets tenants of whom there is nothing left to know.
    fn tidy_up(&mut self) {
        if self.held == 0 && self.waiting == 0 {
            self.rounds.forgive();
            self.accounts.clear();
        } else if self.accounts.len() > 2 * self.rounds.len() + ACCOUNTS_SPARE_MAX {
            let rounds = &self.rounds;
            self.accounts.retain(|holder, account| !account.is_idle() || rounds.remembers(holder));
        }
    }
}

#[cfg(test)]
mod tests;
