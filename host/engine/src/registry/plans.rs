//! Compiled plans, as far as there is room for them: whatever is not at hand is compiled again from its definition.
//!
//! Room is made at the cost of whoever has most: an owner who has more compiled than there is room for drops their own.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use stepcell_model::id::DefinitionId;
use stepcell_model::name::TenantId;
use stepcell_model::plan::Plan;

/// How many bytes the documents have of which plans are kept that nobody holds. Protects memory, of which a plan takes a
/// multiple; those that instances are being moved by are kept beyond it, as they are in memory anyway.
const IDLE_BYTES_MAX: usize = 32 << 20;

/// How many bytes more are made free than are wanted. Keeps looking through all plans rare.
const SLACK_BYTES: usize = IDLE_BYTES_MAX / 8;

/// The plans that are at hand.
#[derive(Default)]
pub(super) struct Plans {
    state: RwLock<State>,
    /// How often any plan was asked for.
    clock: AtomicU64,
}

/// A plan, and whose definition it is of.
#[derive(Clone)]
pub(super) struct OwnedPlan {
    pub(super) plan: Arc<Plan>,
    pub(super) owner: Option<TenantId>,
}

struct State {
    plans: HashMap<DefinitionId, Kept>,
    /// How many bytes their documents have.
    len_bytes: usize,
    /// How many they may have before room is made.
    len_bytes_max: usize,
}

impl Default for State {
    fn default() -> Self {
        Self { plans: HashMap::new(), len_bytes: 0, len_bytes_max: IDLE_BYTES_MAX }
    }
}

struct Kept {
    owned: OwnedPlan,
    document_bytes: usize,
    /// What the clock said when somebody last asked for it.
    used_at: AtomicU64,
}

/// What one owner has that nobody holds; the first in order is whoever has most.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    len_bytes: usize,
    /// When each was last asked for, its definition, and the bytes of that; the oldest first. No two are equal.
    oldest: Reverse<VecDeque<(u64, DefinitionId, usize)>>,
}

impl Plans {
    pub(super) fn find(&self, id: DefinitionId) -> Option<OwnedPlan> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let kept = state.plans.get(&id)?;
        kept.used_at.store(self.now(), Ordering::Relaxed);
        Some(kept.owned.clone())
    }

    /// Keeps a plan, and returns the one that is kept: whoever was first.
    pub(super) fn keep(&self, owned: OwnedPlan, document_bytes: usize) -> OwnedPlan {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = state.plans.get(&owned.plan.id) {
            return first.owned.clone();
        }
        if state.len_bytes + document_bytes > state.len_bytes_max {
            state.make_room(document_bytes);
        }
        let kept = Kept { owned: owned.clone(), document_bytes, used_at: AtomicU64::new(self.now()) };
        state.plans.insert(owned.plan.id, kept);
        state.len_bytes += document_bytes;
        owned
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

impl State {
    /// Drops plans that nobody holds until there is room for so many bytes: of whoever has most, the one that was not asked for
    /// the longest.
    fn make_room(&mut self, wanted_bytes: usize) {
        let mut shares = self.shares();
        let mut idle_bytes: usize = shares.iter().map(|share| share.len_bytes).sum();
        while idle_bytes + wanted_bytes > IDLE_BYTES_MAX - SLACK_BYTES {
            let Some(mut most) = shares.pop() else { break };
            let Some((_, id, document_bytes)) = most.oldest.0.pop_front() else { continue };
            self.plans.remove(&id);
            self.len_bytes -= document_bytes;
            idle_bytes -= document_bytes;
            most.len_bytes -= document_bytes;
            shares.push(most);
        }
        self.len_bytes_max = IDLE_BYTES_MAX.max(self.len_bytes + wanted_bytes + SLACK_BYTES);
    }

    fn shares(&self) -> BinaryHeap<Share> {
        let mut idle = HashMap::<_, Vec<_>>::new();
        for (id, kept) in &self.plans {
            if Arc::strong_count(&kept.owned.plan) == 1 {
                let used_at = kept.used_at.load(Ordering::Relaxed);
                idle.entry(&kept.owned.owner).or_default().push((used_at, *id, kept.document_bytes));
            }
        }
        let shares = idle.into_values().map(|mut plans| {
            plans.sort_unstable();
            Share { len_bytes: plans.iter().map(|(.., bytes)| bytes).sum(), oldest: Reverse(plans.into()) }
        });
        shares.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stepcell_model::definition::WorkflowDefinition;
    use uuid::Uuid;

    use super::*;

    /// How long the documents of the plans below are, so that seven of them fit after room was made.
    const EIGHTH: usize = IDLE_BYTES_MAX / 8;

    fn id(number: u128) -> DefinitionId {
        DefinitionId::from_uuid(Uuid::from_u128(number))
    }

    fn plan_of(owner: &str, number: u128) -> OwnedPlan {
        let definition = WorkflowDefinition::builder("w", "1.0.0").human("h", |_| {}).build().unwrap();
        let plan = Plan::new(id(number), definition, &BTreeMap::new()).unwrap();
        OwnedPlan { plan: Arc::new(plan), owner: Some(TenantId::new(owner).unwrap()) }
    }

    fn kept(plans: &Plans) -> Vec<u128> {
        (0..100).filter(|number| plans.state.read().unwrap().plans.contains_key(&id(*number))).collect()
    }

    #[test]
    fn plans_beyond_the_room_go_but_for_those_that_are_held_or_asked_for() {
        let plans = Plans::default();
        let held = plans.keep(plan_of("acme", 0), EIGHTH);
        for number in 1..=7 {
            plans.keep(plan_of("acme", number), EIGHTH);
        }
        assert_eq!(kept(&plans), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(plans.find(id(1)).is_some());

        plans.keep(plan_of("acme", 8), EIGHTH);

        assert_eq!(kept(&plans), [0, 1, 3, 4, 5, 6, 7, 8]);
        assert!(plans.find(id(2)).is_none());
        drop(held);
    }

    #[test]
    fn whoever_has_most_makes_room_and_nobody_elses_plans_go() {
        let plans = Plans::default();
        plans.keep(plan_of("small", 0), EIGHTH);
        plans.keep(plan_of("other", 1), EIGHTH);

        for number in 2..50 {
            plans.keep(plan_of("greedy", number), EIGHTH);
        }

        assert_eq!(kept(&plans)[..2], [0, 1]);
        assert!(kept(&plans).contains(&49) && plans.state.read().unwrap().len_bytes <= IDLE_BYTES_MAX);
    }

    #[test]
    fn plans_that_are_held_take_no_room_of_others() {
        let plans = Plans::default();
        plans.keep(plan_of("small", 0), EIGHTH);

        let held: Vec<_> = (1..50).map(|number| plans.keep(plan_of("greedy", number), EIGHTH)).collect();
        assert_eq!(kept(&plans).len(), 50);
        drop(held);
        plans.keep(plan_of("greedy", 50), 2 * EIGHTH);

        assert!(kept(&plans).contains(&0) && plans.state.read().unwrap().len_bytes <= IDLE_BYTES_MAX);
    }

    #[test]
    fn whoever_was_first_made_the_plan() {
        let plans = Plans::default();
        let first = plans.keep(plan_of("acme", 1), 10);

        let second = plans.keep(plan_of("acme", 1), 10);

        assert!(Arc::ptr_eq(&first.plan, &second.plan));
        assert_eq!(plans.state.read().unwrap().len_bytes, 10);
    }
}
