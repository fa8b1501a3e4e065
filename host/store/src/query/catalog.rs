//! Which definitions and components are asked for, and of whom.

use semver::Version;
use serde::{Deserialize, Serialize};
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord, DefinitionSummary};

use super::{Activity, PageLimit};

/// Whose definitions and components are meant. What has no tenant is the platform's own, and shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// Everybody's.
    #[default]
    All,
    /// One owner's alone: a tenant's, or the shared ones.
    Only(Option<TenantId>),
    /// What a tenant sees: its own, and the shared ones of names that it has none of itself.
    SeenBy(TenantId),
}

impl Owners {
    /// What a tenant sees; the shared ones alone without one.
    #[must_use]
    pub fn seen_by(tenant: Option<&TenantId>) -> Self {
        tenant.cloned().map_or(Self::Only(None), Self::SeenBy)
    }
}

/// The place of a definition or a component in lists: by name, then by semantic version, then by owner, the shared one first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CatalogKey<N> {
    /// The name.
    pub name: N,
    /// The version.
    pub version: Version,
    /// Whose it is.
    pub tenant: Option<TenantId>,
}

impl CatalogKey<WorkflowName> {
    /// The place of a definition.
    #[must_use]
    pub fn of_definition(record: &DefinitionRecord) -> Self {
        Self { name: record.name.clone(), version: record.version.clone(), tenant: record.tenant.clone() }
    }

    /// The place of a definition that is shown without its document.
    #[must_use]
    pub fn of_summary(summary: &DefinitionSummary) -> Self {
        Self { name: summary.name.clone(), version: summary.version.clone(), tenant: summary.tenant.clone() }
    }
}

impl CatalogKey<ComponentName> {
    /// The place of a component.
    #[must_use]
    pub fn of_component(record: &ComponentRecord) -> Self {
        Self { name: record.name.clone(), version: record.version.clone(), tenant: record.tenant.clone() }
    }
}

/// Which definitions to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct DefinitionFilter {
    /// Whose.
    pub owners: Owners,
    /// Only versions of this workflow.
    pub name: Option<WorkflowName>,
    /// Only versions on which new instances may start, or may not.
    pub activity: Option<Activity>,
    /// Only what comes after this place in the list.
    pub after: Option<CatalogKey<WorkflowName>>,
    /// The length of the page; all without one.
    pub limit: Option<PageLimit>,
}

/// Which components to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct ComponentFilter {
    /// Whose.
    pub owners: Owners,
    /// Only versions of this component.
    pub name: Option<ComponentName>,
    /// Only those with this digest, whatever they are called.
    pub digest: Option<ComponentDigest>,
    /// Only what comes after this place in the list.
    pub after: Option<CatalogKey<ComponentName>>,
    /// The length of the page; all without one.
    pub limit: Option<PageLimit>,
}
