//! The store that keeps everything in memory: for tests, for trying things out, for engines that need no yesterday.
//!
//! It behaves exactly as the persistent stores do, but for durability: one lock over plain maps.

mod access;
mod catalog;
mod feed;
mod guard;
mod instances;
mod letters;
mod upkeep;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stepcell_model::attempt::ContextData;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ComponentDigest, DefinitionId, InstanceId, TaskId};
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{
    ComponentRecord, DefinitionRecord, DefinitionSummary, DefinitionVersion, ExecutionRecord, InstanceSummary,
    TaskRecord,
};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;

use self::access::Access;
use self::catalog::Catalog;
use self::guard::Guard;
use self::instances::Instances;
use self::letters::Letters;
use self::webhooks::Webhooks;
use crate::access::StoreStats;
use crate::error::StoreError;
use crate::query::{
    Activity, Committed, ComponentFilter, DefinitionFilter, Deletion, Inserted, InstanceFilter, LetterKey, Owners,
    Page, TaskFilter,
};
use crate::sizes::stored_bytes;
use crate::store::WorkflowStore;
use crate::text::text_of;

/// Keeps everything in memory, as long as it lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    access: Access,
    catalog: Catalog,
    guard: Guard,
    instances: Instances,
    letters: Letters,
    webhooks: Webhooks,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic under the lock leaves no half-made change behind (changes come after all checks), so poison is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stats(&self, tenant: Option<&TenantId>, now: Timestamp) -> StoreStats {
        let mut stats = StoreStats::default();
        self.catalog.add_to(&mut stats, tenant);
        self.instances.add_to(&mut stats, tenant, now);
        stats.letters = tenant.is_none().then(|| self.letters.count());
        stats
    }
}

#[async_trait]
impl WorkflowStore for MemoryStore {
    async fn insert_component(&self, record: ComponentRecord, bytes: Arc<[u8]>) -> Result<Inserted, StoreError> {
        self.state().catalog.insert_component(record, bytes)
    }

    async fn find_component(
        &self,
        tenant: Option<&TenantId>,
        name: &ComponentName,
        version: &semver::Version,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        Ok(self.state().catalog.find_component(tenant, name, version).cloned())
    }

    async fn find_component_by_digest(
        &self,
        digest: &ComponentDigest,
        owners: &Owners,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        Ok(self.state().catalog.find_component_by_digest(digest, owners).cloned())
    }

    async fn list_components(&self, filter: &ComponentFilter) -> Result<Page<ComponentRecord>, StoreError> {
        Ok(self.state().catalog.list_components(filter))
    }

    async fn load_component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        Ok(self.state().catalog.component_bytes(digest))
    }

    async fn insert_definition(&self, record: DefinitionRecord) -> Result<Inserted, StoreError> {
        self.state().catalog.insert_definition(record)
    }

    async fn find_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Option<DefinitionRecord>, StoreError> {
        Ok(self.state().catalog.find_definition(tenant, name, version).cloned())
    }

    async fn find_definition_by_id(&self, id: DefinitionId) -> Result<Option<DefinitionRecord>, StoreError> {
        Ok(self.state().catalog.find_definition_by_id(id).cloned())
    }

    async fn list_definitions(&self, filter: &DefinitionFilter) -> Result<Page<DefinitionRecord>, StoreError> {
        Ok(self.state().catalog.list_definitions(filter, Clone::clone))
    }

    async fn list_definition_summaries(
        &self,
        filter: &DefinitionFilter,
    ) -> Result<Page<DefinitionSummary>, StoreError> {
        Ok(self.state().catalog.list_definitions(filter, DefinitionRecord::to_summary))
    }

    async fn list_versions(
        &self,
        owners: &Owners,
        name: Option<&WorkflowName>,
    ) -> Result<Vec<DefinitionVersion>, StoreError> {
        let filter = DefinitionFilter { owners: owners.clone(), name: name.cloned(), ..DefinitionFilter::default() };
        Ok(self.state().catalog.list_definitions(&filter, DefinitionRecord::to_version).items)
    }

    async fn set_definition_active(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
        activity: Activity,
    ) -> Result<bool, StoreError> {
        Ok(self.state().catalog.set_definition_active(tenant, name, version, activity))
    }

    async fn delete_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Deletion, StoreError> {
        let mut state = self.state();
        let Some(id) = state.catalog.find_definition(tenant, name, version).map(|definition| definition.id) else {
            return Ok(Deletion::NotThere);
        };
        match state.instances.count_of_definition(id) {
            0 => {
                state.catalog.delete_definition(id);
                Ok(Deletion::Deleted)
            }
            instances => Ok(Deletion::InUse { instances }),
        }
    }

    async fn commit(&self, mut transition: Transition) -> Result<Committed, StoreError> {
        let mut state = self.state();
        state.instances.check(&transition)?;
        let definition = transition.identity.definition;
        if state.catalog.find_definition_by_id(definition).is_none() {
            return Err(StoreError::UnknownDefinition { definition });
        }
        let events = text_of(&transition.events)?;
        let (chain, stored_bytes) = (transition.link(&events), stored_bytes(&transition, &events));
        state.guard.add_usage(&transition);
        state.letters.write(std::mem::take(&mut transition.letters));
        Ok(state.instances.apply(transition, chain, stored_bytes))
    }

    async fn load_instance(&self, id: InstanceId) -> Result<Option<WorkflowInstance>, StoreError> {
        self.state().instances.load(id)
    }

    async fn find_instance(&self, id: InstanceId) -> Result<Option<InstanceSummary>, StoreError> {
        Ok(self.state().instances.find(id))
    }

    async fn list_instances(&self, filter: &InstanceFilter) -> Result<Page<InstanceSummary>, StoreError> {
        Ok(self.state().instances.list(filter))
    }

    async fn load_context(&self, id: InstanceId) -> Result<ContextData, StoreError> {
        Ok(self.state().instances.context(id))
    }

    async fn list_executions(&self, id: InstanceId) -> Result<Vec<ExecutionRecord>, StoreError> {
        Ok(self.state().instances.executions(id))
    }

    async fn list_failed_executions(
        &self,
        instance: Option<InstanceId>,
    ) -> Result<Vec<(InstanceId, ExecutionRecord)>, StoreError> {
        Ok(self.state().instances.failed_executions(instance))
    }

    async fn list_history(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        Ok(self.state().instances.history_of(id, after_seq, limit))
    }

    async fn list_history_after(&self, position: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        Ok(self.state().instances.history_after(position, limit))
    }

    async fn last_position(&self) -> Result<u64, StoreError> {
        Ok(self.state().instances.last_position())
    }

    async fn find_task(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        Ok(self.state().instances.find_task(id))
    }

    async fn list_tasks(&self, filter: &TaskFilter) -> Result<Page<TaskRecord>, StoreError> {
        Ok(self.state().instances.list_tasks(filter))
    }

    async fn list_running(&self, after: Option<InstanceId>, limit: u32) -> Result<Vec<(InstanceId, u64)>, StoreError> {
        Ok(self.state().instances.running(after, limit))
    }

    async fn list_due(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, InstanceId)>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, InstanceId)>, StoreError> {
        Ok(self.state().instances.due(now, after, limit))
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().instances.next_wake())
    }

    async fn list_letters(&self, limit: u32) -> Result<Vec<(LetterKey, Letter)>, StoreError> {
        Ok(self.state().letters.list(limit))
    }

    async fn remove_letters(&self, keys: &[LetterKey]) -> Result<(), StoreError> {
        self.state().letters.remove(keys);
        Ok(())
    }

    async fn take_nudges(&self) -> Result<Vec<InstanceId>, StoreError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_store() -> (Arc<dyn WorkflowStore>, ()) {
        (Arc::new(MemoryStore::new()), ())
    }

    crate::conformance_suite!(new_store);
}
