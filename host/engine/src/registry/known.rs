//! Which versions of a workflow there are, as it was a moment ago: starts ask for that, each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::record::DefinitionRecord;
use stepcell_store::{DefinitionFilter, Owners, StoreError, WorkflowStore};
use tokio::time::Instant;

/// How long what the store said is taken as it was. What another process registers or deactivates holds after that.
const KNOWN_FOR: Duration = Duration::from_millis(100);

/// How often the versions of a workflow are kept, each time as one tenant sees them. Protects memory.
const KNOWN_LEN_MAX: usize = 1_000;

/// What is known of each workflow's versions, and since when.
#[derive(Default)]
pub(super) struct Known(Mutex<State>);

/// What the store said, and when.
type Versions = (Instant, Arc<[DefinitionRecord]>);

#[derive(Default)]
struct State {
    versions: HashMap<WorkflowName, HashMap<Option<TenantId>, Versions>>,
    /// How many are in there.
    len: usize,
    /// How often this process changed any of them: what was asked for before that is not kept.
    changes: u64,
}

impl Known {
    /// The versions of a workflow that a tenant sees, in order.
    pub(super) async fn versions(
        &self,
        store: &dyn WorkflowStore,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
    ) -> Result<Arc<[DefinitionRecord]>, StoreError> {
        let changes = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.versions.get(name).and_then(|seen| seen.get(&tenant.cloned())) {
                Some((since, versions)) if since.elapsed() < KNOWN_FOR => return Ok(Arc::clone(versions)),
                _ => state.changes,
            }
        };
        let asked_at = Instant::now();
        let (owners, name_asked) = (Owners::seen_by(tenant), Some(name.clone()));
        let filter = DefinitionFilter { owners, name: name_asked, ..DefinitionFilter::default() };
        let versions: Arc<[_]> = store.list_definitions(&filter).await?.items.into();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.changes == changes && !versions.is_empty() {
            state.keep(tenant, name, (asked_at, Arc::clone(&versions)));
        }
        Ok(versions)
    }

    /// Has the store asked again, whoever asks: this process has changed something, and of a shared name everybody sees it.
    pub(super) fn forget(&self, name: &WorkflowName) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = state.versions.remove(name).map_or(0, |seen| seen.len());
        state.len -= forgotten;
        state.changes += 1;
    }
}

impl State {
    fn keep(&mut self, tenant: Option<&TenantId>, name: &WorkflowName, versions: Versions) {
        if self.len >= KNOWN_LEN_MAX {
            self.versions.clear();
            self.len = 0;
        }
        let before = self.versions.entry(name.clone()).or_default().insert(tenant.cloned(), versions);
        self.len += usize::from(before.is_none());
    }
}
