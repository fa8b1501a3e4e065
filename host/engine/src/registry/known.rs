//! Which versions of a workflow there are, as it was a moment ago: starts ask for that, each of them.
//!
//! What is kept is of owners, so that the versions of a shared workflow are kept once, whoever starts it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::record::DefinitionVersion;
use stepcell_store::{Owners, StoreError, WorkflowStore};
use tokio::time::Instant;

use crate::fresh::Freshness;

/// How many versions are kept, of all workflows; that an owner has none of a name counts as one. Protects memory.
const KNOWN_VERSIONS_MAX: usize = 50_000;

/// What is known of each workflow's versions, and since when. What another process registers or deactivates holds within 100 ms.
#[derive(Default)]
pub(super) struct Known(Mutex<State>);

/// The versions that a name has of one owner, in order.
pub(super) type Versions = Arc<[DefinitionVersion]>;

#[derive(Default)]
struct State {
    versions: HashMap<WorkflowName, HashMap<Option<TenantId>, Kept>>,
    /// How much is in there, as [`KNOWN_VERSIONS_MAX`] counts.
    len: usize,
    /// How often this process changed any of them: what was asked for before that is not kept.
    changes: u64,
}

/// What the store said, and when it was asked.
#[derive(Clone)]
struct Kept {
    versions: Versions,
    freshness: Freshness,
    /// How many changes there had been when it was asked.
    changes: u64,
}

impl Kept {
    fn len(&self) -> usize {
        self.versions.len().max(1)
    }
}

impl Known {
    /// The versions of a workflow that a tenant sees, in order: its own, or the shared ones if it has none.
    pub(super) async fn versions(
        &self,
        store: &dyn WorkflowStore,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
    ) -> Result<Versions, StoreError> {
        let own = match self.find(tenant, name) {
            Ok(versions) if !versions.is_empty() || tenant.is_none() => return Ok(versions),
            Ok(_) => None,
            Err(changes) => Some(load(store, tenant, name, changes).await?),
        };
        if let Some(own) = own.as_ref().filter(|own| !own.versions.is_empty() || tenant.is_none()) {
            self.keep(tenant, name, own);
            return Ok(Arc::clone(&own.versions));
        }
        let shared = match self.find(None, name) {
            Ok(versions) => versions,
            Err(changes) => {
                let shared = load(store, None, name, changes).await?;
                self.keep(None, name, &shared);
                shared.versions
            }
        };
        // Who has none of a name that nobody has is not kept: whoever starts may name anything.
        if let Some(own) = own.filter(|_| !shared.is_empty()) {
            self.keep(tenant, name, &own);
        }
        Ok(shared)
    }

    /// Has the store asked again, whoever asks: this process has changed something, and of a shared name everybody sees it.
    pub(super) fn forget(&self, name: &WorkflowName) {
        let mut state = self.state();
        let forgotten: usize = state.versions.remove(name).map_or(0, |seen| seen.values().map(Kept::len).sum());
        state.len -= forgotten;
        state.changes += 1;
    }

    /// What is known of an owner's versions, or how many changes there were.
    fn find(&self, owner: Option<&TenantId>, name: &WorkflowName) -> Result<Versions, u64> {
        let mut state = self.state();
        let kept = state.versions.get_mut(name).and_then(|seen| seen.get_mut(&owner.cloned()));
        let known = kept.and_then(|kept| kept.freshness.is_known().then(|| Arc::clone(&kept.versions)));
        known.ok_or(state.changes)
    }

    fn keep(&self, owner: Option<&TenantId>, name: &WorkflowName, said: &Kept) {
        let mut state = self.state();
        let is_of_use = !said.versions.is_empty() || owner.is_some();
        if state.changes == said.changes && is_of_use {
            state.keep(owner, name, said.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn load(
    store: &dyn WorkflowStore,
    owner: Option<&TenantId>,
    name: &WorkflowName,
    changes: u64,
) -> Result<Kept, StoreError> {
    let freshness = Freshness::of(Instant::now());
    let versions = store.list_versions(&Owners::Only(owner.cloned()), Some(name)).await?.into();
    Ok(Kept { versions, freshness, changes })
}

impl State {
    fn keep(&mut self, owner: Option<&TenantId>, name: &WorkflowName, kept: Kept) {
        if self.len + kept.len() > KNOWN_VERSIONS_MAX {
            self.versions.clear();
            self.len = 0;
        }
        self.len += kept.len();
        let before = self.versions.entry(name.clone()).or_default().insert(owner.cloned(), kept);
        self.len -= before.map_or(0, |before| before.len());
    }
}
