//! Definitions.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, TenantId, WorkflowName};
use stepcell_model::record::{DefinitionRecord, DefinitionSummary};
use stepcell_model::time::Timestamp;
use utoipa::ToSchema;

/// A version of a definition as lists show it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Definition {
    /// The workflow's name.
    #[schema(value_type = String)]
    pub name: WorkflowName,
    /// The version.
    pub version: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether new instances may start on it.
    pub is_active: bool,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Whose it is; null is shared by all.
    #[schema(value_type = Option<String>)]
    pub tenant_id: Option<TenantId>,
}

/// A version of a definition with its document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DefinitionDetail {
    /// The workflow's name.
    #[schema(value_type = String)]
    pub name: WorkflowName,
    /// The version.
    pub version: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether new instances may start on it.
    pub is_active: bool,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The digest of the component that each step runs, fixed at registration.
    #[schema(value_type = Object)]
    pub components: IndexMap<StepName, ComponentDigest>,
    /// Of those, the steps whose attempts nobody outside can tell from none.
    #[schema(value_type = Vec<String>)]
    pub pure_steps: Vec<StepName>,
    /// The definition in the published format.
    #[schema(value_type = Object)]
    pub document: Json,
    /// Whose it is; null is shared by all.
    #[schema(value_type = Option<String>)]
    pub tenant_id: Option<TenantId>,
}

impl From<&DefinitionSummary> for Definition {
    fn from(summary: &DefinitionSummary) -> Self {
        Self {
            name: summary.name.clone(),
            version: summary.version.to_string(),
            description: summary.description.clone(),
            is_active: summary.is_active,
            created_at: summary.created_at,
            tenant_id: summary.tenant.clone(),
        }
    }
}

impl From<&DefinitionRecord> for Definition {
    fn from(record: &DefinitionRecord) -> Self {
        Self::from(&record.to_summary())
    }
}

impl From<&DefinitionRecord> for DefinitionDetail {
    fn from(record: &DefinitionRecord) -> Self {
        let Definition { name, version, description, is_active, created_at, tenant_id } = record.into();
        Self {
            name,
            version,
            description,
            is_active,
            created_at,
            components: record.components.iter().cloned().collect(),
            pure_steps: record.pure_steps.clone(),
            document: record.document.clone(),
            tenant_id,
        }
    }
}
