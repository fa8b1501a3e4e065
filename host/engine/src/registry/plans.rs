//! Compiled plans, as far as there is room for them: whatever is not at hand is compiled again from its definition.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use stepcell_model::id::DefinitionId;
use stepcell_model::name::TenantId;
use stepcell_model::plan::Plan;

/// How many bytes the documents have of which plans are kept. Protects memory, of which a plan takes a multiple; those that
/// instances are being moved by are kept beyond it, as they are in memory anyway.
const PLANS_BYTES_MAX: usize = 32 << 20;

/// The plans that are at hand.
#[derive(Default)]
pub(super) struct Plans(RwLock<State>);

/// A plan, and whose definition it is of.
#[derive(Clone)]
pub(super) struct OwnedPlan {
    pub(super) plan: Arc<Plan>,
    pub(super) owner: Option<TenantId>,
}

#[derive(Default)]
struct State {
    plans: HashMap<DefinitionId, Kept>,
    /// How many bytes their documents have.
    len_bytes: usize,
}

struct Kept {
    owned: OwnedPlan,
    document_bytes: usize,
    /// Whether anybody asked for it since room was last made.
    is_used: AtomicBool,
}

impl Kept {
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.owned.plan) > 1
    }
}

impl Plans {
    pub(super) fn find(&self, id: DefinitionId) -> Option<OwnedPlan> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let kept = state.plans.get(&id)?;
        kept.is_used.store(true, Ordering::Relaxed);
        Some(kept.owned.clone())
    }

    /// Keeps a plan, and returns the one that is kept: whoever was first.
    pub(super) fn keep(&self, owned: OwnedPlan, document_bytes: usize) -> OwnedPlan {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = state.plans.get(&owned.plan.id) {
            return first.owned.clone();
        }
        if state.len_bytes + document_bytes > PLANS_BYTES_MAX {
            state.make_room();
        }
        let kept = Kept { owned: owned.clone(), document_bytes, is_used: AtomicBool::new(true) };
        state.plans.insert(owned.plan.id, kept);
        state.len_bytes += document_bytes;
        owned
    }
}

impl State {
    /// Drops what nobody asked for since the last time; if that is little, whatever nobody holds.
    fn make_room(&mut self) {
        self.retain(|kept| kept.is_held() || kept.is_used.swap(false, Ordering::Relaxed));
        if self.len_bytes > PLANS_BYTES_MAX / 2 {
            self.retain(Kept::is_held);
        }
    }

    fn retain(&mut self, is_kept: impl Fn(&Kept) -> bool) {
        self.plans.retain(|_, kept| is_kept(kept));
        self.len_bytes = self.plans.values().map(|kept| kept.document_bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stepcell_model::definition::WorkflowDefinition;
    use uuid::Uuid;

    use super::*;

    /// How long the documents of the plans below are, so that four of them fit.
    const QUARTER: usize = PLANS_BYTES_MAX / 4;

    fn id(number: u128) -> DefinitionId {
        DefinitionId::from_uuid(Uuid::from_u128(number))
    }

    fn plan(number: u128) -> OwnedPlan {
        let definition = WorkflowDefinition::builder("w", "1.0.0").human("h", |_| {}).build().unwrap();
        let plan = Plan::new(id(number), definition, &BTreeMap::new()).unwrap();
        OwnedPlan { plan: Arc::new(plan), owner: None }
    }

    fn kept(plans: &Plans) -> Vec<u128> {
        (0..20).filter(|number| plans.0.read().unwrap().plans.contains_key(&id(*number))).collect()
    }

    #[test]
    fn plans_beyond_the_room_go_but_for_those_that_are_held_or_asked_for() {
        let plans = Plans::default();
        let held = plans.keep(plan(0), QUARTER);
        for number in 1..=3 {
            plans.keep(plan(number), QUARTER);
        }
        assert_eq!(kept(&plans), [0, 1, 2, 3]);

        // All were just made, so that room is made among all that nobody holds.
        plans.keep(plan(4), QUARTER);
        assert_eq!(kept(&plans), [0, 4]);

        plans.keep(plan(5), QUARTER / 2);
        plans.keep(plan(6), QUARTER);
        plans.0.read().unwrap().plans.values().for_each(|kept| kept.is_used.store(false, Ordering::Relaxed));
        assert!(plans.find(id(5)).is_some());
        plans.keep(plan(7), QUARTER);
        assert_eq!(kept(&plans), [0, 5, 7]);
        assert!(plans.find(id(4)).is_none());
        drop(held);
    }

    #[test]
    fn whoever_was_first_made_the_plan() {
        let plans = Plans::default();
        let first = plans.keep(plan(1), 10);

        let second = plans.keep(plan(1), 10);

        assert!(Arc::ptr_eq(&first.plan, &second.plan));
        assert_eq!(plans.0.read().unwrap().len_bytes, 10);
    }
}
