//! What tenants used.

use serde::{Deserialize, Serialize};
use stepcell_model::guard::Usage as Sum;
use stepcell_model::name::TenantId;
use utoipa::ToSchema;

/// What the attempts of a tenant used, summed up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// How many attempts, how long on a CPU, how much memory at most, how many bytes in and out, and how often each limit
    /// ended one.
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    pub used: Sum,
    /// Whose; null is for instances of no tenant.
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantId>,
}
