//! Components and definitions in memory: what instances are started from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use semver::Version;
use stepcell_model::definition::VERSIONS_MAX;
use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord};

use crate::access::StoreStats;
use crate::error::StoreError;
use crate::query::{Activity, CatalogKey, ComponentFilter, DefinitionFilter, Inserted, Owners, Page, PageLimit};
use crate::same::{component_conflict, definition_conflict, is_same_definition, too_many_versions};

#[derive(Debug, Default)]
pub(super) struct Catalog {
    components: BTreeMap<CatalogKey<ComponentName>, ComponentRecord>,
    bytes: HashMap<ComponentDigest, Arc<[u8]>>,
    /// The components that have those bytes, in the order of their registration.
    by_digest: HashMap<ComponentDigest, Vec<CatalogKey<ComponentName>>>,
    definitions: BTreeMap<CatalogKey<WorkflowName>, DefinitionRecord>,
    definition_keys: HashMap<DefinitionId, CatalogKey<WorkflowName>>,
    /// How many versions each owner's workflow has.
    versions: HashMap<(Option<TenantId>, WorkflowName), usize>,
}

impl Catalog {
    pub(super) fn insert_component(
        &mut self,
        record: ComponentRecord,
        bytes: Arc<[u8]>,
    ) -> Result<Inserted, StoreError> {
        let key = CatalogKey::of_component(&record);
        if let Some(there) = self.components.get(&key) {
            return if there.digest == record.digest {
                Ok(Inserted::AlreadyThere)
            } else {
                Err(component_conflict(&record))
            };
        }
        self.bytes.entry(record.digest).or_insert(bytes);
        self.by_digest.entry(record.digest).or_default().push(key.clone());
        self.components.insert(key, record);
        Ok(Inserted::New)
    }

    pub(super) fn find_component(
        &self,
        tenant: Option<&TenantId>,
        name: &ComponentName,
        version: &Version,
    ) -> Option<&ComponentRecord> {
        self.components.get(&key_of(tenant, name, version))
    }

    pub(super) fn find_component_by_digest(
        &self,
        digest: &ComponentDigest,
        owners: &Owners,
    ) -> Option<&ComponentRecord> {
        let keys = self.by_digest.get(digest)?;
        let of = |tenant: Option<&TenantId>| keys.iter().find(|key| key.tenant.as_ref() == tenant);
        let key = match owners {
            Owners::All => keys.first(),
            Owners::Only(tenant) => of(tenant.as_ref()),
            Owners::SeenBy(tenant) => of(Some(tenant)).or_else(|| of(None)),
        };
        self.components.get(key?)
    }

    pub(super) fn list_components(&self, filter: &ComponentFilter) -> Page<ComponentRecord> {
        let own = names_of(&self.components, &filter.owners);
        let is_wanted = |key: &CatalogKey<ComponentName>| filter.name.as_ref().is_none_or(|name| key.name == *name);
        let is_meant = |record: &ComponentRecord| filter.digest.is_none_or(|digest| record.digest == digest);
        let matching = self
            .components
            .iter()
            .filter(|(key, record)| is_wanted(key) && is_meant(record) && is_of(key, &filter.owners, &own));
        page(matching, filter.after.as_ref(), filter.limit, Clone::clone)
    }

    pub(super) fn component_bytes(&self, digest: &ComponentDigest) -> Option<Arc<[u8]>> {
        self.bytes.get(digest).map(Arc::clone)
    }

    /// Counts components and definitions, of one tenant or of all.
    pub(super) fn add_to(&self, stats: &mut StoreStats, tenant: Option<&TenantId>) {
        let is_meant = |owner: Option<&TenantId>| tenant.is_none() || owner == tenant;
        for component in self.components.values().filter(|record| is_meant(record.tenant.as_ref())) {
            stats.components += 1;
            stats.stored_bytes += component.size_bytes;
        }
        for definition in self.definitions.values().filter(|record| is_meant(record.tenant.as_ref())) {
            stats.definitions += 1;
            stats.stored_bytes += definition.document.len_bytes() as u64;
        }
    }

    pub(super) fn insert_definition(&mut self, record: DefinitionRecord) -> Result<Inserted, StoreError> {
        let key = CatalogKey::of_definition(&record);
        if let Some(there) = self.definitions.get(&key) {
            return if is_same_definition(there, &record) {
                Ok(Inserted::AlreadyThere)
            } else {
                Err(definition_conflict(&record))
            };
        }
        let of_name = self.versions.entry((record.tenant.clone(), record.name.clone())).or_default();
        if *of_name >= VERSIONS_MAX {
            return Err(too_many_versions(&record));
        }
        *of_name += 1;
        self.definition_keys.insert(record.id, key.clone());
        self.definitions.insert(key, record);
        Ok(Inserted::New)
    }

    pub(super) fn find_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &Version,
    ) -> Option<&DefinitionRecord> {
        self.definitions.get(&key_of(tenant, name, version))
    }

    pub(super) fn find_definition_by_id(&self, id: DefinitionId) -> Option<&DefinitionRecord> {
        self.definitions.get(self.definition_keys.get(&id)?)
    }

    /// The definitions that match: of each what `row` takes of it.
    pub(super) fn list_definitions<T>(
        &self,
        filter: &DefinitionFilter,
        row: impl Fn(&DefinitionRecord) -> T,
    ) -> Page<T> {
        let own = names_of(&self.definitions, &filter.owners);
        let is_wanted = |key: &CatalogKey<WorkflowName>, record: &DefinitionRecord| {
            filter.name.as_ref().is_none_or(|name| key.name == *name)
                && filter.activity.is_none_or(|activity| record.is_active == activity.is_active())
        };
        let matching = self.definitions.iter();
        let matching = matching.filter(|(key, record)| is_wanted(key, record) && is_of(key, &filter.owners, &own));
        page(matching, filter.after.as_ref(), filter.limit, row)
    }

    pub(super) fn set_definition_active(
        &mut self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &Version,
        activity: Activity,
    ) -> bool {
        let Some(record) = self.definitions.get_mut(&key_of(tenant, name, version)) else {
            return false;
        };
        record.is_active = activity.is_active();
        true
    }

    pub(super) fn delete_definition(&mut self, id: DefinitionId) {
        if let Some(key) = self.definition_keys.remove(&id) {
            self.definitions.remove(&key);
            let of_name = (key.tenant, key.name);
            if let Some(count) = self.versions.get_mut(&of_name) {
                *count -= 1;
                if *count == 0 {
                    self.versions.remove(&of_name);
                }
            }
        }
    }
}

fn key_of<N: Clone>(tenant: Option<&TenantId>, name: &N, version: &Version) -> CatalogKey<N> {
    CatalogKey { name: name.clone(), version: version.clone(), tenant: tenant.cloned() }
}

/// The names that hide the shared ones from a tenant: its own.
fn names_of<'a, N: Ord, T>(all: &'a BTreeMap<CatalogKey<N>, T>, owners: &Owners) -> BTreeSet<&'a N> {
    let Owners::SeenBy(tenant) = owners else { return BTreeSet::new() };
    all.keys().filter(|key| key.tenant.as_ref() == Some(tenant)).map(|key| &key.name).collect()
}

/// Whether what stands under a key is one of those of `owners`.
fn is_of<N: Ord>(key: &CatalogKey<N>, owners: &Owners, own: &BTreeSet<&N>) -> bool {
    match owners {
        Owners::All => true,
        Owners::Only(tenant) => key.tenant == *tenant,
        Owners::SeenBy(tenant) => match &key.tenant {
            Some(owner) => owner == tenant,
            None => !own.contains(&key.name),
        },
    }
}

fn page<'a, N: Ord + 'a, R: 'a, T>(
    matching: impl Iterator<Item = (&'a CatalogKey<N>, &'a R)>,
    after: Option<&CatalogKey<N>>,
    limit: Option<PageLimit>,
    row: impl Fn(&R) -> T,
) -> Page<T> {
    let rows_max = limit.map_or(usize::MAX, |limit| limit.rows() as usize);
    let (mut items, mut total) = (Vec::new(), 0);
    for (key, record) in matching {
        total += 1;
        if items.len() < rows_max && after.is_none_or(|after| key > after) {
            items.push(row(record));
        }
    }
    Page { items, total }
}
