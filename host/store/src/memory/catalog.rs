//! Components and definitions in memory: what instances are started from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord};

use crate::access::StoreStats;
use crate::error::StoreError;
use crate::query::{Activity, Inserted};
use crate::same::{component_conflict, definition_conflict, is_same_definition};

#[derive(Debug, Default)]
pub(super) struct Catalog {
    components: BTreeMap<(ComponentName, semver::Version), ComponentRecord>,
    /// The bytes by digest, with the name and version that were registered first.
    bytes: HashMap<ComponentDigest, (ComponentName, semver::Version, Arc<[u8]>)>,
    definitions: BTreeMap<(WorkflowName, semver::Version), DefinitionRecord>,
    definition_names: HashMap<DefinitionId, (WorkflowName, semver::Version)>,
}

impl Catalog {
    pub(super) fn insert_component(
        &mut self,
        record: ComponentRecord,
        bytes: Arc<[u8]>,
    ) -> Result<Inserted, StoreError> {
        let key = (record.name.clone(), record.version.clone());
        if let Some(there) = self.components.get(&key) {
            return if there.digest == record.digest {
                Ok(Inserted::AlreadyThere)
            } else {
                Err(component_conflict(&record))
            };
        }
        self.bytes.entry(record.digest).or_insert_with(|| (key.0.clone(), key.1.clone(), bytes));
        self.components.insert(key, record);
        Ok(Inserted::New)
    }

    pub(super) fn find_component(&self, name: &ComponentName, version: &semver::Version) -> Option<&ComponentRecord> {
        self.components.get(&(name.clone(), version.clone()))
    }

    pub(super) fn find_component_by_digest(&self, digest: &ComponentDigest) -> Option<&ComponentRecord> {
        let (name, version, _) = self.bytes.get(digest)?;
        self.find_component(name, version)
    }

    pub(super) fn list_components(&self, name: Option<&ComponentName>) -> Vec<ComponentRecord> {
        self.components.values().filter(|record| name.is_none_or(|name| record.name == *name)).cloned().collect()
    }

    pub(super) fn component_bytes(&self, digest: &ComponentDigest) -> Option<Arc<[u8]>> {
        self.bytes.get(digest).map(|(_, _, bytes)| Arc::clone(bytes))
    }

    /// Counts components and definitions, of one tenant or of all.
    pub(super) fn add_to(&self, stats: &mut StoreStats, tenant: Option<&TenantId>) {
        for component in self.components.values().filter(|record| tenant.is_none() || record.tenant.as_ref() == tenant)
        {
            stats.components += 1;
            stats.stored_bytes += component.size_bytes;
        }
        for definition in self.definitions.values().filter(|_| tenant.is_none()) {
            stats.definitions += 1;
            stats.stored_bytes += definition.document.len_bytes() as u64;
        }
    }

    pub(super) fn insert_definition(&mut self, record: DefinitionRecord) -> Result<Inserted, StoreError> {
        let key = (record.name.clone(), record.version.clone());
        if let Some(there) = self.definitions.get(&key) {
            return if is_same_definition(there, &record) {
                Ok(Inserted::AlreadyThere)
            } else {
                Err(definition_conflict(&record))
            };
        }
        self.definition_names.insert(record.id, key.clone());
        self.definitions.insert(key, record);
        Ok(Inserted::New)
    }

    pub(super) fn find_definition(&self, name: &WorkflowName, version: &semver::Version) -> Option<&DefinitionRecord> {
        self.definitions.get(&(name.clone(), version.clone()))
    }

    pub(super) fn find_definition_by_id(&self, id: DefinitionId) -> Option<&DefinitionRecord> {
        self.definitions.get(self.definition_names.get(&id)?)
    }

    pub(super) fn list_definitions(&self, name: Option<&WorkflowName>) -> Vec<DefinitionRecord> {
        self.definitions.values().filter(|record| name.is_none_or(|name| record.name == *name)).cloned().collect()
    }

    pub(super) fn set_definition_active(
        &mut self,
        name: &WorkflowName,
        version: &semver::Version,
        activity: Activity,
    ) -> bool {
        let Some(record) = self.definitions.get_mut(&(name.clone(), version.clone())) else {
            return false;
        };
        record.is_active = activity.is_active();
        true
    }

    pub(super) fn delete_definition(&mut self, id: DefinitionId) {
        if let Some(key) = self.definition_names.remove(&id) {
            self.definitions.remove(&key);
        }
    }
}
