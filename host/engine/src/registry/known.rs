//! Which versions of a workflow there are, as it was a moment ago: starts ask for that, each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepcell_model::name::WorkflowName;
use stepcell_model::record::DefinitionRecord;
use stepcell_store::{StoreError, WorkflowStore};
use tokio::time::Instant;

/// How long what the store said is taken as it was. What another process registers or deactivates holds after that.
const KNOWN_FOR: Duration = Duration::from_millis(100);

/// Of how many workflows the versions are kept. Protects memory.
const KNOWN_LEN_MAX: usize = 1_000;

/// What is known of each workflow's versions, and since when.
#[derive(Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    versions: HashMap<WorkflowName, (Instant, Arc<[DefinitionRecord]>)>,
    /// How often this process changed any of them: what was asked for before that is not kept.
    changes: u64,
}

impl Known {
    /// The versions of a workflow, in order.
    pub(super) async fn versions(
        &self,
        store: &dyn WorkflowStore,
        name: &WorkflowName,
    ) -> Result<Arc<[DefinitionRecord]>, StoreError> {
        let changes = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.versions.get(name) {
                Some((since, versions)) if since.elapsed() < KNOWN_FOR => return Ok(Arc::clone(versions)),
                _ => state.changes,
            }
        };
        let asked_at = Instant::now();
        let versions: Arc<[_]> = store.list_definitions(Some(name)).await?.into();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.changes == changes && !versions.is_empty() {
            if state.versions.len() >= KNOWN_LEN_MAX {
                state.versions.clear();
            }
            state.versions.insert(name.clone(), (asked_at, Arc::clone(&versions)));
        }
        Ok(versions)
    }

    /// Has the store asked again, because this process has changed something.
    pub(super) fn forget(&self, name: &WorkflowName) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.versions.remove(name);
        state.changes += 1;
    }
}
