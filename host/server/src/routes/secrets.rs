//! Secrets of a tenant: they are set and deleted, and their values never come back.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use stepcell_model::guard::SecretRecord;
use stepcell_model::name::{SecretName, TenantId};
use stepcell_model::secret::SecretText;
use stepcell_store::{SecretFilter, Whose};
use utoipa::{IntoParams, ToSchema};

use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, JsonBody, Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::wire::Secret;

/// The name of the list in its cursors.
const LIST: &str = "secrets";

/// Whose secrets to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListSecrets {
    /// Only those of this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// Whose secret it is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhoseSecret {
    /// The tenant, for callers of the platform; instances without one where it is left out.
    tenant_id: Option<String>,
}

/// The value of a secret. It is encrypted where it is kept, and never told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetSecret {
    /// The value.
    #[schema(min_length = 8, max_length = 65536)]
    value: String,
}

/// List the secrets by tenant and name, without their values.
#[utoipa::path(
    get, path = "/secrets", tag = "secrets", operation_id = "list_secrets",
    params(ListSecrets), security(("bearer" = ["admin"])),
    responses((status = 200, description = "A page of secrets.", body = Page<Secret>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListSecrets>,
) -> Result<Json<Page<Secret>>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let after: Option<(Option<TenantId>, SecretName)> = read_cursor(LIST, asked.cursor.as_deref())?;
    let whose = tenant.map_or(Whose::Anybody, Whose::Of);
    let limit = read_limit(asked.limit)?;
    let filter = SecretFilter { whose, after, limit: limit.asked() };
    let page = api.engine().list_secrets(&filter).await?;
    let place = |last: &SecretRecord| (last.tenant.clone(), last.name.clone());
    Ok(Json(Page::of(LIST, &page, limit, place, Secret::from)))
}

/// Keep a secret in place of the value that it has.
#[utoipa::path(
    put, path = "/secrets/{name}", tag = "secrets", operation_id = "set_secret",
    params(("name" = String, Path, description = "Its name, as `grants` name it."), WhoseSecret),
    request_body = SetSecret, security(("bearer" = ["admin"])),
    responses(
        (status = 204, description = "It is kept."),
        (status = 422, description = "The value is too short or too long."),
    ),
)]
pub(crate) async fn set(
    State(api): State<ApiState>,
    caller: Caller,
    Id(name): Id<String>,
    Query(whose): Query<WhoseSecret>,
    JsonBody(asked): JsonBody<SetSecret>,
) -> Result<StatusCode, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", whose.tenant_id.as_deref())?)?;
    let value = SecretText::new(asked.value);
    let name = visible::name("name", &name)?;
    let set = api.engine().set_secret(tenant, name, value).await;
    set.map_err(|error| Problem::from(error).within("/value"))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a secret.
#[utoipa::path(
    delete, path = "/secrets/{name}", tag = "secrets", operation_id = "delete_secret",
    params(("name" = String, Path, description = "Its name."), WhoseSecret), security(("bearer" = ["admin"])),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    Id(name): Id<String>,
    Query(whose): Query<WhoseSecret>,
) -> Result<StatusCode, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", whose.tenant_id.as_deref())?)?;
    let missing = || {
        let detail = format!("there is no secret `{}`; list those there are", visible::told(&name));
        Problem::new(ProblemCode::SecretNotFound, detail)
    };
    let known: SecretName = visible::read(&name).ok_or_else(missing)?;
    if api.engine().delete_secret(tenant.as_ref(), &known).await? { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}
