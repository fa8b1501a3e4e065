//! How many records one tenant may have kept: of what was refused each minute, and of those that wait to be written.

use std::collections::BTreeMap;

use stepcell_model::name::TenantId;
use stepcell_model::time::Timestamp;

/// How many refused requests of one caller are recorded each minute. Protects the log from whoever is refused without end, and
/// leaves room for what others of the tenant were refused.
pub(super) const REFUSED_OF_CALLER_MAX: u32 = 20;

/// How many refused requests of one tenant, or of the platform, are recorded each minute. Protects the store: keys cost nothing.
pub(super) const REFUSED_OF_TENANT_MAX: u32 = 200;

/// How long refused requests are counted together, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Whose requests are counted: a tenant's, or the platform's.
pub(super) type Whose = Option<TenantId>;

/// Refused requests of the minute at hand. Holds a number for each tenant that was refused something in it, and for each of its
/// callers of whom something was recorded.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    window: i64,
    of: BTreeMap<Whose, Refused>,
}

#[derive(Debug, Default)]
struct Refused {
    recorded: u32,
    of_callers: BTreeMap<String, u32>,
    left_out: u64,
}

impl Refusals {
    /// Counts a refused request, and says whether it is recorded.
    pub(super) fn admit(&mut self, whose: &Whose, caller: String) -> bool {
        let refused = self.of.entry(whose.clone()).or_default();
        if refused.recorded < REFUSED_OF_TENANT_MAX {
            let of_caller = refused.of_callers.entry(caller).or_default();
            if *of_caller < REFUSED_OF_CALLER_MAX {
                *of_caller += 1;
                refused.recorded += 1;
                return true;
            }
        }
        refused.left_out += 1;
        false
    }

    /// Begins a new minute where the last one is over; returns how many of whose were left out in that.
    pub(super) fn turn(&mut self, at: Timestamp) -> Vec<(Whose, u64)> {
        let window = at.unix_ms().div_euclid(WINDOW_MS);
        if window == self.window {
            return Vec::new();
        }
        self.window = window;
        self.end()
    }

    /// Ends the minute at hand.
    pub(super) fn end(&mut self) -> Vec<(Whose, u64)> {
        let over = std::mem::take(&mut self.of).into_iter();
        over.filter(|(_, refused)| refused.left_out > 0).map(|(whose, refused)| (whose, refused.left_out)).collect()
    }
}

/// Records that wait to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    room: usize,
    of_tenants: BTreeMap<TenantId, usize>,
}

impl Waiting {
    pub(super) const fn new(room: usize) -> Self {
        Self { room, of_tenants: BTreeMap::new() }
    }

    /// Takes room for a record, if whoever asked has any left: of a tenant as many wait at most as there is room left for
    /// others, so that one more tenant finds some, however many fill it.
    pub(super) fn take(&mut self, whose: &Whose) -> bool {
        let held = whose.as_ref().map_or(0, |tenant| self.of_tenants.get(tenant).copied().unwrap_or(0));
        if held >= self.room {
            return false;
        }
        self.room -= 1;
        if let Some(tenant) = whose {
            *self.of_tenants.entry(tenant.clone()).or_default() += 1;
        }
        true
    }

    /// Gives the room of a record back.
    pub(super) fn give_back(&mut self, whose: &Whose) {
        self.room += 1;
        let Some(tenant) = whose else { return };
        if let Some(held) = self.of_tenants.get_mut(tenant) {
            *held -= 1;
            if *held == 0 {
                self.of_tenants.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(tenant: &str) -> Whose {
        Some(tenant.parse().unwrap())
    }

    #[test]
    fn refusals_beyond_those_of_a_minute_are_counted_and_take_nothing_from_others() {
        let mut refusals = Refusals::default();
        let minute = |number: i64| Timestamp::from_unix_ms(number * WINDOW_MS + 1);
        assert_eq!(refusals.turn(minute(5)), []);

        let of_one = (0..5_000).filter(|_| refusals.admit(&whose("acme"), "one".to_owned())).count();
        let of_all = (0..5_000).filter(|key| refusals.admit(&whose("acme"), key.to_string())).count();

        assert_eq!(of_one, REFUSED_OF_CALLER_MAX as usize);
        assert_eq!(of_one + of_all, REFUSED_OF_TENANT_MAX as usize);
        assert!(refusals.admit(&whose("bolt"), "one".to_owned()) && refusals.admit(&None, "one".to_owned()));
        assert_eq!(refusals.turn(minute(5)), [], "the minute is not over");
        assert_eq!(refusals.turn(minute(6)), [(whose("acme"), 10_000 - u64::from(REFUSED_OF_TENANT_MAX))]);
        assert!(refusals.admit(&whose("acme"), "one".to_owned()));
    }

    #[test]
    fn a_tenant_that_fills_the_queue_leaves_room_for_the_next_however_many_do() {
        let mut waiting = Waiting::new(100);
        let mut taken = Vec::new();
        for tenant in ["a", "b", "c", "d"] {
            let whose = whose(tenant);
            let count = (0..1_000).filter(|_| waiting.take(&whose)).count();
            taken.push(count);
        }

        assert_eq!(taken, [50, 25, 13, 6]);
        assert!(waiting.take(&whose("e")) && waiting.take(&None));
        for (tenant, count) in ["a", "b", "c", "d"].into_iter().zip(taken) {
            (0..count).for_each(|_| waiting.give_back(&whose(tenant)));
        }
        assert_eq!((waiting.room, waiting.of_tenants.len()), (98, 1));
    }
}
