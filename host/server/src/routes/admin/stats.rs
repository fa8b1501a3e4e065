//! How much there is of what: of a tenant, or of all.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Query, read_parameter};
use crate::problem::Problem;
use crate::wire::Stats;

/// Whose.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AskStats {
    /// Only this tenant, for callers of the platform.
    tenant_id: Option<String>,
}

/// Count what the caller's tenant has; for callers of the platform, what there is.
#[utoipa::path(
    get, path = "/stats", tag = "usage", operation_id = "get_stats",
    params(AskStats), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "The counts.", body = Stats)),
)]
pub(crate) async fn show(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<AskStats>,
) -> Result<Json<Stats>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let now = api.engine().now();
    Ok(Json(api.engine().store().load_stats(tenant.as_ref(), now).await?.into()))
}

/// Count what there is, over all tenants.
#[utoipa::path(
    get, path = "/admin/stats", tag = "admin", operation_id = "get_platform_stats",
    security(("bearer" = ["platform-admin"])),
    responses((status = 200, description = "The counts.", body = Stats)),
)]
pub(crate) async fn show_all(State(api): State<ApiState>) -> Result<Json<Stats>, Problem> {
    Ok(Json(api.engine().store().load_stats(None, api.engine().now()).await?.into()))
}
