//! Components.

use serde::{Deserialize, Serialize};
use stepcell_model::component::Capability;
use stepcell_model::guard::ComponentBlock;
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{ComponentName, TenantId, UserId};
use stepcell_model::record::ComponentRecord;
use stepcell_model::time::Timestamp;
use utoipa::ToSchema;

/// A registered component.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// The name that definitions call it by.
    #[schema(value_type = String)]
    pub name: ComponentName,
    /// Its version, which never changes.
    pub version: String,
    /// What it is: `sha256:` and 64 digits.
    #[schema(value_type = String)]
    pub digest: ComponentDigest,
    /// The size of its bytes.
    pub size_bytes: u64,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// What it says of itself, if it carries a manifest.
    #[schema(value_type = serde_json::Value)]
    pub manifest: Option<Json>,
    /// What it can be used as: `step`, `gateway`.
    pub exports: Vec<String>,
    /// What it can make use of, if it is granted.
    #[schema(value_type = Vec<String>)]
    pub capabilities: Vec<Capability>,
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantId>,
}

impl From<&ComponentRecord> for Component {
    fn from(record: &ComponentRecord) -> Self {
        Self {
            name: record.name.clone(),
            version: record.version.to_string(),
            digest: record.digest,
            size_bytes: record.size_bytes,
            created_at: record.created_at,
            manifest: record.manifest.clone(),
            exports: record.exports.list().iter().map(|export| export.as_str().to_owned()).collect(),
            capabilities: record.capabilities.clone(),
            tenant: record.tenant.clone(),
        }
    }
}

/// A component that may not run, whether it is registered or not.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BlockedComponent {
    /// What it is: `sha256:` and 64 digits.
    #[schema(value_type = String)]
    pub digest: ComponentDigest,
    /// `revoked` or `quarantined`.
    pub state: String,
    /// Why, in words of whoever decided it.
    pub reason: String,
    /// Who decided it.
    #[schema(value_type = Option<String>)]
    pub by: Option<UserId>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

impl From<&ComponentBlock> for BlockedComponent {
    fn from(block: &ComponentBlock) -> Self {
        let ComponentBlock { digest, kind, reason, by, at } = block;
        Self { digest: *digest, state: kind.to_string(), reason: reason.clone(), by: by.clone(), since: *at }
    }
}
