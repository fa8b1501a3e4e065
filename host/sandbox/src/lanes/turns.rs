//! Whose turn it is on a processor: round robin over measured time between tenants, and between the attempts of one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use stepcell_fair::Rounds;
use stepcell_model::name::TenantId;

use crate::epoch::TICK;

/// How long a turn is, and how much of the processors each tenant may use in a round.
const TURN_NS: u64 = TICK.as_nanos() as u64;

/// What a turn costs at least, however short it was: taking it is work too.
const TURN_COST_NS_MIN: u64 = 10_000;

/// Those who can go on, tenant by tenant.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    rounds: Rounds<Option<TenantId>>,
    ready: HashMap<Option<TenantId>, VecDeque<T>>,
    under_way: usize,
}

impl<T> Turns<T> {
    pub(crate) fn new() -> Self {
        Self { rounds: Rounds::new(TURN_NS), ready: HashMap::new(), under_way: 0 }
    }

    /// Notes that something of a tenant can go on.
    pub(crate) fn push(&mut self, tenant: &Option<TenantId>, what: T) {
        self.ready.entry(tenant.clone()).or_default().push_back(what);
        self.rounds.line_up(tenant, ());
    }

    /// What has the next turn; [`Self::end`] says when it is over.
    pub(crate) fn begin(&mut self) -> Option<T> {
        let tenant = self.rounds.first(&())?.1.clone();
        let ready = self.ready.get_mut(&tenant)?;
        let what = ready.pop_front()?;
        let is_last = ready.is_empty();
        self.under_way += 1;
        self.rounds.serve(&tenant, TURN_NS);
        if is_last {
            self.ready.remove(&tenant);
            self.rounds.step_out(&tenant);
        }
        Some(what)
    }

    /// Charges a turn that is over.
    pub(crate) fn end(&mut self, tenant: &Option<TenantId>, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.under_way -= 1;
        self.rounds.settle(tenant, TURN_NS, took_ns.max(TURN_COST_NS_MIN));
        if self.under_way == 0 && self.ready.is_empty() {
            self.rounds.forgive();
        }
    }

    /// Takes out all that can go on.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.ready.drain().flat_map(|(_, ready)| ready).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Option<TenantId> {
        Some(TenantId::new(name).expect("letters are a name"))
    }

    /// Gives turns of one length, one after another, to attempts that can always go on.
    fn turns_of(attempts: &[(&str, u32)], turns: usize, took: impl Fn(u32) -> Duration) -> Vec<u32> {
        let mut lane = Turns::new();
        for (name, attempt) in attempts {
            lane.push(&tenant(name), (*name, *attempt));
        }
        let mut order = Vec::new();
        for _ in 0..turns {
            let (name, attempt) = lane.begin().expect("all can go on");
            order.push(attempt);
            lane.push(&tenant(name), (name, attempt));
            lane.end(&tenant(name), took(attempt));
        }
        order
    }

    #[test]
    fn a_tenant_with_many_attempts_gets_no_more_turns_than_one_with_a_single_one() {
        let attempts = [("many", 1), ("many", 2), ("many", 3), ("many", 4), ("one", 9)];

        let order = turns_of(&attempts, 16, |_| TICK);

        assert_eq!(order, [1, 9, 2, 9, 3, 9, 4, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
    }

    #[test]
    fn turns_that_are_given_back_early_count_for_what_they_took() {
        let attempts = [("long", 1), ("short", 2)];

        let order = turns_of(&attempts, 100, |attempt| if attempt == 1 { TICK } else { TICK / 4 });

        let short = order.iter().filter(|&&attempt| attempt == 2).count();
        assert!((78..=82).contains(&short), "{short} of 100");
    }

    #[test]
    fn nothing_is_kept_of_tenants_whose_attempts_have_ended() {
        let mut lane = Turns::new();
        lane.push(&tenant("a"), 1);
        lane.push(&tenant("b"), 2);

        while let Some(attempt) = lane.begin() {
            lane.end(&tenant(if attempt == 1 { "a" } else { "b" }), TICK * 100);
        }

        assert!(lane.ready.is_empty() && lane.rounds.is_empty());
    }
}
