//! Who is next: deficit round robin over measured use, between those who share something that all of them want.
//!
//! In each round everybody who wants something may use up to a quantum. What a use costs is known only once it is over,
//! so it is charged afterwards, and whoever used more than a quantum sits out as many rounds as that takes to make good.
//! Rounds are counted, not walked: each sharer has a place, the round in which it may go on, and rounds in which nobody
//! may are passed over at once. So nothing is idle while anybody wants something, and each decision costs the logarithm
//! of how many want something.
//!
//! Promises: between any two who want something all the time, what they used differs by a quantum and one use each at
//! the most, whatever they are and whatever uses cost; nobody waits for ever; and whoever wants nothing is forgotten as
//! soon as its use is made good. It knows no tenant, no clock and no thread: it is numbers, and the host says what one is.
//!
//! Source: M. Shreedhar and G. Varghese, "Efficient fair queuing using deficit round robin", 1995; charging afterwards
//! is what its authors call surplus.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// When it is somebody's turn: earlier ones are less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    round: u64,
    /// The order within a round.
    ticket: u64,
}

/// Those who share something, and whose turn it is.
///
/// `K` names who shares. `L` tells lines apart, where not everybody may have what is there just now: each line has a
/// first of its own, and the caller compares their places.
///
/// # Examples
/// ```
/// use stepcell_fair::Rounds;
///
/// let mut rounds = Rounds::new(1_000);
/// rounds.line_up(&"greedy", ());
/// rounds.line_up(&"modest", ());
/// rounds.serve(&"greedy", 0);
/// rounds.settle(&"greedy", 0, 5_000);
///
/// // Four rounds pass before the greedy one is next again.
/// assert_eq!(rounds.first(&()).map(|(_, who)| *who), Some("modest"));
/// ```
#[derive(Debug)]
pub struct Rounds<K, L = ()> {
    quantum: u64,
    round: u64,
    tickets: u64,
    shares: HashMap<K, Share<L>>,
    lines: BTreeMap<(L, Place), K>,
    /// Those who want nothing and have used something that is not made good yet.
    owing: BTreeMap<Place, K>,
}

#[derive(Debug)]
struct Share<L> {
    /// What was used since the beginning of time, had there been a quantum in each round: the quotient by the quantum
    /// is the round in which it may go on, the remainder what it has used of that round.
    used: u64,
    place: Place,
    line: Option<L>,
}

impl<K: Clone + Eq + Hash, L: Copy + Ord> Rounds<K, L> {
    /// Nobody shares anything yet. `quantum` is how much each may use in a round, in whatever unit uses are charged; none
    /// counts as 1.
    #[must_use]
    pub fn new(quantum: u64) -> Self {
        Self {
            quantum: quantum.max(1),
            round: 0,
            tickets: 0,
            shares: HashMap::new(),
            lines: BTreeMap::new(),
            owing: BTreeMap::new(),
        }
    }

    /// Notes that somebody wants something, and stands in `line` for it; whoever stands in another line changes over and
    /// keeps its place.
    pub fn line_up(&mut self, who: &K, line: L) {
        let floor = self.floor();
        let mut share = self.take_out(who).unwrap_or_else(|| self.newcomer());
        if share.line.is_none() && share.used < floor {
            share = self.newcomer();
        }
        share.line = Some(line);
        self.put_in(who, share);
    }

    /// Notes that somebody wants nothing for now. What it owes stays.
    pub fn step_out(&mut self, who: &K) {
        if let Some(share) = self.take_out(who) {
            self.put_in(who, Share { line: None, ..share });
        }
    }

    /// Whose turn it is in a line.
    #[must_use]
    pub fn first(&self, line: &L) -> Option<(Place, &K)> {
        let earliest = Place { round: 0, ticket: 0 };
        let ((found, place), who) = self.lines.range((*line, earliest)..).next()?;
        (found == line).then_some((*place, who))
    }

    /// Somebody's turn has come: it is charged what is `expected` until [`Self::settle`] says what it was.
    pub fn serve(&mut self, who: &K, expected: u64) {
        let share = self.take_out(who).unwrap_or_else(|| self.newcomer());
        self.round = self.round.max(share.place.round);
        let used = share.used.saturating_add(expected);
        self.put_in(who, Share { used, ..share });
        self.forget_those_who_owe_nothing();
    }

    /// A use is over: what was `expected` of it is taken back, and what it `cost` is charged.
    pub fn settle(&mut self, who: &K, expected: u64, cost: u64) {
        let share = self.take_out(who).unwrap_or_else(|| self.newcomer());
        let least = share.used.min(self.floor());
        let used = share.used.saturating_add(cost).saturating_sub(expected).max(least);
        self.put_in(who, Share { used, ..share });
    }

    /// Forgives everybody: where nobody wants anything, nobody is owed anything.
    pub fn forgive(&mut self) {
        for (_, who) in std::mem::take(&mut self.owing) {
            self.shares.remove(&who);
        }
    }

    /// Whether somebody stands in a line or owes something.
    #[must_use]
    pub fn remembers(&self, who: &K) -> bool {
        self.shares.contains_key(who)
    }

    /// How many are remembered: those who stand in a line, and those who owe something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// What somebody has used who has used nothing of this round.
    const fn floor(&self) -> u64 {
        self.round.saturating_mul(self.quantum)
    }

    fn newcomer(&mut self) -> Share<L> {
        Share { used: self.floor(), place: Place { round: self.round, ticket: self.ticket() }, line: None }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn take_out(&mut self, who: &K) -> Option<Share<L>> {
        let share = self.shares.remove(who)?;
        match share.line {
            Some(line) => self.lines.remove(&(line, share.place)),
            None => self.owing.remove(&share.place),
        };
        Some(share)
    }

    /// Puts somebody where it belongs by what it has used; whoever wants nothing and owes nothing is not kept.
    fn put_in(&mut self, who: &K, mut share: Share<L>) {
        let round = share.used / self.quantum;
        if round != share.place.round {
            share.place = Place { round, ticket: self.ticket() };
        }
        match share.line {
            Some(line) => self.lines.insert((line, share.place), who.clone()),
            None if share.used <= self.floor() => return,
            None => self.owing.insert(share.place, who.clone()),
        };
        self.shares.insert(who.clone(), share);
    }

    fn forget_those_who_owe_nothing(&mut self) {
        while let Some(first) = self.owing.first_entry()
            && first.key().round < self.round
        {
            self.shares.remove(&first.remove());
        }
    }
}
