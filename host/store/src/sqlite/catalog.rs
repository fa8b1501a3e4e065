//! Components and definitions: what instances are started from.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, ToSql, params};
use stepcell_model::definition::VERSIONS_MAX;
use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::json::Json;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord, DefinitionSummary, DefinitionVersion};

use super::instances::where_;
use super::lists::{Conditions, text};
use super::rows::Columns;
use super::transition::{signed, text_of};
use super::{rows, statements};
use crate::error::StoreError;
use crate::query::{
    Activity, CatalogKey, ComponentFilter, DefinitionFilter, Deletion, Inserted, Owners, Page, PageLimit,
};
use crate::same::{component_conflict, definition_conflict, is_same_definition, too_many_versions};

pub(super) fn insert_component(
    connection: &Connection,
    record: &ComponentRecord,
    bytes: &[u8],
) -> Result<Inserted, StoreError> {
    match find_component(connection, &CatalogKey::of_component(record))? {
        Some(there) if there.digest == record.digest => return Ok(Inserted::AlreadyThere),
        Some(_) => return Err(component_conflict(record)),
        None => {}
    }
    let digest = record.digest.as_bytes();
    connection.execute(statements::INSERT_COMPONENT_BYTES, params![digest, bytes])?;
    let row = params![
        record.name.as_str(),
        record.version.to_string(),
        digest,
        record.manifest.as_ref().map(Json::text),
        signed(record.size_bytes),
        record.created_at.unix_ms(),
        record.exports.as_str(),
        text_of(&record.capabilities)?,
        owner_of(record.tenant.as_ref()),
    ];
    connection.execute(statements::INSERT_COMPONENT, row)?;
    Ok(Inserted::New)
}

pub(super) fn find_component(
    connection: &Connection,
    key: &CatalogKey<ComponentName>,
) -> Result<Option<ComponentRecord>, StoreError> {
    let sql = where_(statements::SELECT_COMPONENTS, statements::COMPONENT_BY_VERSION);
    let named = params![owner_of(key.tenant.as_ref()), key.name.as_str(), key.version.to_string()];
    rows::find(connection, &sql, named, rows::component)
}

pub(super) fn find_component_by_digest(
    connection: &Connection,
    digest: &ComponentDigest,
    owners: &Owners,
) -> Result<Option<ComponentRecord>, StoreError> {
    let find = |condition: &str, params: &[&dyn ToSql]| {
        rows::find(connection, &where_(statements::SELECT_COMPONENTS, condition), params, rows::component)
    };
    let digest = digest.as_bytes();
    match owners {
        Owners::All => find(statements::COMPONENT_BY_DIGEST, params![digest]),
        Owners::Only(tenant) => find(statements::COMPONENT_BY_DIGEST_OF, params![digest, owner_of(tenant.as_ref())]),
        Owners::SeenBy(tenant) => find(statements::COMPONENT_BY_DIGEST_SEEN_BY, params![digest, tenant.as_str()]),
    }
}

pub(super) fn list_components(
    connection: &Connection,
    filter: &ComponentFilter,
) -> Result<Page<ComponentRecord>, StoreError> {
    let mut wanted = Conditions::default();
    wanted.and(statements::COMPONENTS_OF_NAME, text(filter.name.as_ref()));
    wanted.and(statements::COMPONENTS_OF_DIGEST, filter.digest.map(|digest| digest.as_bytes().to_vec().into()));
    match &filter.owners {
        Owners::All => {}
        Owners::Only(tenant) => wanted.and(statements::COMPONENTS_OF_OWNER, text(Some(&owner_of(tenant.as_ref())))),
        Owners::SeenBy(tenant) => {
            wanted.and(statements::COMPONENTS_OF_OWNER_OR_SHARED, text(Some(tenant)));
            wanted.and(statements::COMPONENTS_NOT_HIDDEN, text(Some(tenant)));
        }
    }
    let read = (rows::component as Read<_>, CatalogKey::of_component as Place<_, _>);
    COMPONENTS.page(connection, &wanted, filter.after.as_ref(), filter.limit, read)
}

/// Loads the bytes, and makes sure that they are still what their digest says: they are about to be run.
pub(super) fn load_component_bytes(
    connection: &Connection,
    digest: &ComponentDigest,
) -> Result<Option<Arc<[u8]>>, StoreError> {
    let read = |row: &rows::Columns<'_>| row.value::<Vec<u8>>("bytes");
    let bytes = rows::find(connection, statements::LOAD_COMPONENT_BYTES, [digest.as_bytes()], read)?;
    match bytes {
        Some(bytes) if ComponentDigest::of(&bytes) != *digest => {
            Err(StoreError::damaged(format!("the bytes of component {digest} have another digest")))
        }
        bytes => Ok(bytes.map(Arc::from)),
    }
}

pub(super) fn insert_definition(connection: &Connection, record: &DefinitionRecord) -> Result<Inserted, StoreError> {
    match find_definition(connection, &CatalogKey::of_definition(record))? {
        Some(there) if is_same_definition(&there, record) => return Ok(Inserted::AlreadyThere),
        Some(_) => return Err(definition_conflict(record)),
        None => {}
    }
    let of_name = params![owner_of(record.tenant.as_ref()), record.name.as_str()];
    let versions: i64 = connection.query_row(statements::COUNT_VERSIONS, of_name, |row| row.get(0))?;
    if versions.unsigned_abs() >= VERSIONS_MAX as u64 {
        return Err(too_many_versions(record));
    }
    let row = params![
        record.id.as_uuid().as_bytes(),
        record.name.as_str(),
        record.version.to_string(),
        record.description,
        record.document.text(),
        text_of(&record.components)?,
        record.is_active,
        record.created_at.unix_ms(),
        text_of(&record.pure_steps)?,
        owner_of(record.tenant.as_ref()),
    ];
    connection.execute(statements::INSERT_DEFINITION, row)?;
    Ok(Inserted::New)
}

pub(super) fn find_definition(
    connection: &Connection,
    key: &CatalogKey<WorkflowName>,
) -> Result<Option<DefinitionRecord>, StoreError> {
    let sql = where_(statements::SELECT_DEFINITIONS, statements::DEFINITION_BY_VERSION);
    let named = params![owner_of(key.tenant.as_ref()), key.name.as_str(), key.version.to_string()];
    rows::find(connection, &sql, named, rows::definition)
}

pub(super) fn find_definition_by_id(
    connection: &Connection,
    id: DefinitionId,
) -> Result<Option<DefinitionRecord>, StoreError> {
    let sql = where_(statements::SELECT_DEFINITIONS, statements::DEFINITION_BY_ID);
    rows::find(connection, &sql, [id.as_uuid().as_bytes()], rows::definition)
}

pub(super) fn list_definitions(
    connection: &Connection,
    filter: &DefinitionFilter,
) -> Result<Page<DefinitionRecord>, StoreError> {
    let read = (rows::definition as Read<_>, CatalogKey::of_definition as Place<_, _>);
    DEFINITIONS.page(connection, &wanted_definitions(filter), filter.after.as_ref(), filter.limit, read)
}

pub(super) fn list_definition_summaries(
    connection: &Connection,
    filter: &DefinitionFilter,
) -> Result<Page<DefinitionSummary>, StoreError> {
    let read = (rows::definition_summary as Read<_>, CatalogKey::of_summary as Place<_, _>);
    SUMMARIES.page(connection, &wanted_definitions(filter), filter.after.as_ref(), filter.limit, read)
}

pub(super) fn list_versions(
    connection: &Connection,
    filter: &DefinitionFilter,
) -> Result<Vec<DefinitionVersion>, StoreError> {
    let wanted = wanted_definitions(filter);
    let mut items = wanted.list(connection, statements::SELECT_VERSIONS, rows::definition_version)?;
    items.sort_by(|a, b| (&a.name, &a.version, &a.tenant).cmp(&(&b.name, &b.version, &b.tenant)));
    Ok(items)
}

fn wanted_definitions(filter: &DefinitionFilter) -> Conditions {
    let mut wanted = Conditions::default();
    wanted.and(statements::DEFINITIONS_OF_NAME, text(filter.name.as_ref()));
    wanted.and(statements::DEFINITIONS_OF_ACTIVITY, filter.activity.map(|activity| activity.is_active().into()));
    match &filter.owners {
        Owners::All => {}
        Owners::Only(tenant) => wanted.and(statements::DEFINITIONS_OF_OWNER, text(Some(&owner_of(tenant.as_ref())))),
        Owners::SeenBy(tenant) => {
            wanted.and(statements::DEFINITIONS_OF_OWNER_OR_SHARED, text(Some(tenant)));
            wanted.and(statements::DEFINITIONS_NOT_HIDDEN, text(Some(tenant)));
        }
    }
    wanted
}

pub(super) fn set_definition_active(
    connection: &Connection,
    key: &CatalogKey<WorkflowName>,
    activity: Activity,
) -> Result<bool, StoreError> {
    let row = params![owner_of(key.tenant.as_ref()), key.name.as_str(), key.version.to_string(), activity.is_active()];
    Ok(connection.execute(statements::SET_DEFINITION_ACTIVE, row)? > 0)
}

pub(super) fn delete_definition(
    connection: &Connection,
    key: &CatalogKey<WorkflowName>,
) -> Result<Deletion, StoreError> {
    let named = params![owner_of(key.tenant.as_ref()), key.name.as_str(), key.version.to_string()];
    let key = connection.query_row(statements::FIND_DEFINITION_KEY, named, |row| row.get::<_, i64>(0)).optional()?;
    let Some(key) = key else { return Ok(Deletion::NotThere) };
    let instances: i64 = connection.query_row(statements::COUNT_INSTANCES_OF_DEFINITION, [key], |row| row.get(0))?;
    if instances > 0 {
        return Ok(Deletion::InUse { instances: instances.unsigned_abs() });
    }
    connection.execute(statements::DELETE_DEFINITION, [key])?;
    Ok(Deletion::Deleted)
}

/// The owner as its column has it: empty for what is shared.
fn owner_of(tenant: Option<&TenantId>) -> &str {
    tenant.map_or("", TenantId::as_str)
}

/// Reads a row.
type Read<T> = fn(&Columns<'_>) -> Result<T, StoreError>;

/// Says where a record stands in lists.
type Place<T, N> = fn(&T) -> CatalogKey<N>;

/// How one kind of thing is listed. SQL does not know the order of versions, so that what they are called is read first, of
/// all that match, and then the rows of the page.
struct Listing {
    keys: &'static str,
    rows: &'static str,
    rows_by_key: &'static str,
}

const COMPONENTS: Listing = Listing {
    keys: statements::SELECT_COMPONENT_KEYS,
    rows: statements::SELECT_COMPONENTS,
    rows_by_key: statements::COMPONENTS_BY_KEY,
};

const DEFINITIONS: Listing = Listing {
    keys: statements::SELECT_DEFINITION_KEYS,
    rows: statements::SELECT_DEFINITIONS,
    rows_by_key: statements::DEFINITIONS_BY_KEY,
};

const SUMMARIES: Listing = Listing { rows: statements::SELECT_DEFINITION_SUMMARIES, ..DEFINITIONS };

impl Listing {
    fn page<T, N: Ord + FromStr<Err: Display>>(
        &self,
        connection: &Connection,
        wanted: &Conditions,
        after: Option<&CatalogKey<N>>,
        limit: Option<PageLimit>,
        (read, place): (Read<T>, Place<T, N>),
    ) -> Result<Page<T>, StoreError> {
        if after.is_none() && limit.is_none() {
            let mut items = wanted.list(connection, self.rows, read)?;
            items.sort_by_cached_key(place);
            return Ok(Page { total: items.len() as u64, items });
        }
        let mut places = wanted.list(connection, self.keys, rows::catalog_key::<N>)?;
        places.sort();
        let rows_max = limit.map_or(usize::MAX, |limit| limit.rows() as usize);
        let page = places.iter().filter(|(place, _)| after.is_none_or(|after| place > after)).take(rows_max);
        let keys = page.map(|(_, key)| *key).collect::<Vec<_>>();
        let mut items = rows::list(connection, &where_(self.rows, self.rows_by_key), [text_of(&keys)?], read)?;
        items.sort_by_cached_key(place);
        Ok(Page { items, total: places.len() as u64 })
    }
}
