//! The components that are ready to run, or being prepared: whoever comes second waits for the first.
//!
//! Bounded by number and by the size of their code. What was not used for the longest time goes first; what is in use
//! stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_admission::Refusal;
use stepcell_model::id::ComponentDigest;
use tokio::sync::OnceCell;

use crate::compile::Ready;
use crate::config::SandboxConfig;

/// One component: what preparing it came to, once that is known. Shared by all who want it.
pub(crate) type Slot = Arc<OnceCell<Result<Arc<Ready>, Refusal>>>;

/// The components that are ready to run, or being prepared.
pub(crate) struct Prepared {
    len_max: usize,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<ComponentDigest, Entry>,
    uses: u64,
}

struct Entry {
    slot: Slot,
    /// When it was used last, counted in uses of any.
    used: u64,
}

impl Prepared {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        Self { len_max: config.prepared_max, bytes_max: config.prepared_bytes_max, state: Mutex::default() }
    }

    /// The slot of a component, empty if nobody has asked for it before.
    pub(crate) fn slot(&self, digest: ComponentDigest) -> Slot {
        let mut state = self.state();
        let used = state.count_use();
        let entry = state.slots.entry(digest).or_insert_with(|| Entry { slot: Slot::default(), used });
        entry.used = used;
        Arc::clone(&entry.slot)
    }

    /// The component, if it is ready.
    pub(crate) fn find(&self, digest: &ComponentDigest) -> Option<Arc<Ready>> {
        let mut state = self.state();
        let used = state.count_use();
        let entry = state.slots.get_mut(digest)?;
        entry.used = used;
        entry.slot.get()?.as_ref().ok().cloned()
    }

    /// Forgets what could not be prepared, so that it is tried again, and what is too much.
    pub(crate) fn tidy_after(&self, digest: &ComponentDigest, slot: &Slot) {
        let mut state = self.state();
        let is_refused = slot.get().is_some_and(Result::is_err);
        // Somebody else may have begun anew meanwhile.
        if is_refused && state.slots.get(digest).is_some_and(|entry| Arc::ptr_eq(&entry.slot, slot)) {
            state.slots.remove(digest);
        }
        state.evict(self.len_max, self.bytes_max);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn count_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn evict(&mut self, len_max: usize, bytes_max: u64) {
        let mut bytes: u64 = self.slots.values().filter_map(ready).map(|ready| ready.artifact_bytes).sum();
        if self.slots.len() <= len_max && bytes <= bytes_max {
            return;
        }
        let idle =
            self.slots.iter().filter(|(_, entry)| ready(entry).is_some_and(|ready| Arc::strong_count(ready) == 1));
        let mut idle: Vec<_> = idle.map(|(digest, entry)| (entry.used, *digest)).collect();
        idle.sort_unstable();
        // Whoever has prepared one last wants to run it.
        idle.pop();
        for (_, digest) in idle {
            if self.slots.len() <= len_max && bytes <= bytes_max {
                break;
            }
            let removed = self.slots.remove(&digest);
            bytes -= removed.as_ref().and_then(ready).map_or(0, |ready| ready.artifact_bytes);
        }
    }
}

fn ready(entry: &Entry) -> Option<&Arc<Ready>> {
    entry.slot.get()?.as_ref().ok()
}
