//! When two registrations are the same, and what is refused: one rule for every back end.

use stepcell_model::definition::VERSIONS_MAX;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::StepName;
use stepcell_model::record::{ComponentRecord, DefinitionRecord};

use crate::error::StoreError;

/// Whether registering `new` over `there` changes nothing.
pub(crate) fn is_same_definition(there: &DefinitionRecord, new: &DefinitionRecord) -> bool {
    there.document == new.document && sorted(&there.components) == sorted(&new.components)
}

fn sorted(components: &[(StepName, ComponentDigest)]) -> Vec<&(StepName, ComponentDigest)> {
    let mut sorted = components.iter().collect::<Vec<_>>();
    sorted.sort();
    sorted
}

pub(crate) fn component_conflict(record: &ComponentRecord) -> StoreError {
    StoreError::Conflict { what: format!("component {}@{}", record.name, record.version) }
}

pub(crate) fn definition_conflict(record: &DefinitionRecord) -> StoreError {
    StoreError::Conflict { what: format!("workflow {}@{}", record.name, record.version) }
}

pub(crate) fn too_many_versions(record: &DefinitionRecord) -> StoreError {
    StoreError::TooManyVersions { name: record.name.clone(), max: VERSIONS_MAX }
}
