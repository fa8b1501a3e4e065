//! Which components compute long, as far as their attempts have shown of late.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepcell_model::id::ComponentDigest;

use crate::epoch::TICK;

/// How long the attempts of a component compute on average for it to be slow. Half a tick: moving an attempt costs a
/// hundredth of that.
const SLOW_CPU_MIN: Duration = TICK.checked_div(2).expect("two is not zero");

/// How many slow components are remembered. Protects memory: further ones begin as if they were quick.
const SLOW_LEN_MAX: usize = 10_000;

/// How long the attempts of slow components compute. The others are not remembered.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<HashMap<ComponentDigest, Duration>>);

impl Paces {
    /// Whether the attempts of a component were long of late.
    pub(crate) fn is_slow(&self, component: &ComponentDigest) -> bool {
        self.lock().contains_key(component)
    }

    /// Takes note of how long an attempt has computed.
    pub(crate) fn learn(&self, component: ComponentDigest, cpu: Duration) {
        let mut slow = self.lock();
        let mean = slow.get(&component).map_or(cpu, |before| (*before * 3 + cpu) / 4);
        if mean < SLOW_CPU_MIN {
            slow.remove(&component);
        } else if slow.len() < SLOW_LEN_MAX || slow.contains_key(&component) {
            slow.insert(component, mean);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ComponentDigest, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_slow_after_one_long_attempt_and_quick_again_after_some_short_ones() {
        let paces = Paces::default();
        let component = ComponentDigest::of(b"a step");

        paces.learn(component, SLOW_CPU_MIN * 2);
        assert!(paces.is_slow(&component));
        for _ in 0..10 {
            paces.learn(component, SLOW_CPU_MIN / 10);
        }

        assert!(!paces.is_slow(&component));
        assert!(paces.lock().is_empty());
    }
}
