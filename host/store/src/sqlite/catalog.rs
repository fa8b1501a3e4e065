//! Components and definitions: what instances are started from.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::json::Json;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord};

use super::instances::where_;
use super::transition::{signed, text_of};
use super::{rows, statements};
use crate::error::StoreError;
use crate::query::{Activity, Deletion, Inserted};
use crate::same::{component_conflict, definition_conflict, is_same_definition};

pub(super) fn insert_component(
    connection: &Connection,
    record: &ComponentRecord,
    bytes: &[u8],
) -> Result<Inserted, StoreError> {
    match find_component(connection, &record.name, &record.version)? {
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
        record.tenant.as_ref().map(TenantId::as_str),
    ];
    connection.execute(statements::INSERT_COMPONENT, row)?;
    Ok(Inserted::New)
}

pub(super) fn find_component(
    connection: &Connection,
    name: &ComponentName,
    version: &semver::Version,
) -> Result<Option<ComponentRecord>, StoreError> {
    let sql = where_(statements::SELECT_COMPONENTS, statements::COMPONENT_BY_VERSION);
    rows::find(connection, &sql, params![name.as_str(), version.to_string()], rows::component)
}

pub(super) fn find_component_by_digest(
    connection: &Connection,
    digest: &ComponentDigest,
) -> Result<Option<ComponentRecord>, StoreError> {
    let sql = where_(statements::SELECT_COMPONENTS, statements::COMPONENT_BY_DIGEST);
    rows::find(connection, &sql, [digest.as_bytes()], rows::component)
}

pub(super) fn list_components(
    connection: &Connection,
    name: Option<&ComponentName>,
) -> Result<Vec<ComponentRecord>, StoreError> {
    let sql = where_(statements::SELECT_COMPONENTS, statements::COMPONENT_BY_NAME);
    let mut list = rows::list(connection, &sql, [name.map(ComponentName::as_str)], rows::component)?;
    list.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(list)
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
    match find_definition(connection, &record.name, &record.version)? {
        Some(there) if is_same_definition(&there, record) => return Ok(Inserted::AlreadyThere),
        Some(_) => return Err(definition_conflict(record)),
        None => {}
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
    ];
    connection.execute(statements::INSERT_DEFINITION, row)?;
    Ok(Inserted::New)
}

pub(super) fn find_definition(
    connection: &Connection,
    name: &WorkflowName,
    version: &semver::Version,
) -> Result<Option<DefinitionRecord>, StoreError> {
    let sql = where_(statements::SELECT_DEFINITIONS, statements::DEFINITION_BY_VERSION);
    rows::find(connection, &sql, params![name.as_str(), version.to_string()], rows::definition)
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
    name: Option<&WorkflowName>,
) -> Result<Vec<DefinitionRecord>, StoreError> {
    let sql = where_(statements::SELECT_DEFINITIONS, statements::DEFINITION_BY_NAME);
    let mut list = rows::list(connection, &sql, [name.map(WorkflowName::as_str)], rows::definition)?;
    list.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(list)
}

pub(super) fn set_definition_active(
    connection: &Connection,
    name: &WorkflowName,
    version: &semver::Version,
    activity: Activity,
) -> Result<bool, StoreError> {
    let row = params![name.as_str(), version.to_string(), activity.is_active()];
    Ok(connection.execute(statements::SET_DEFINITION_ACTIVE, row)? > 0)
}

pub(super) fn delete_definition(
    connection: &Connection,
    name: &WorkflowName,
    version: &semver::Version,
) -> Result<Deletion, StoreError> {
    let named = params![name.as_str(), version.to_string()];
    let key = connection.query_row(statements::FIND_DEFINITION_KEY, named, |row| row.get::<_, i64>(0)).optional()?;
    let Some(key) = key else { return Ok(Deletion::NotThere) };
    let instances: i64 = connection.query_row(statements::COUNT_INSTANCES_OF_DEFINITION, [key], |row| row.get(0))?;
    if instances > 0 {
        return Ok(Deletion::InUse { instances: instances.unsigned_abs() });
    }
    connection.execute(statements::DELETE_DEFINITION, [key])?;
    Ok(Deletion::Deleted)
}
