//! API keys of a tenant, and of the platform. A key is shown once.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use stepcell_engine::{EngineError, NewKey};
use stepcell_model::access::{ApiKey as KeyRecord, ApiKeyId, Scope};
use stepcell_model::name::{GroupId, Label, TenantId, UserId};
use stepcell_model::time::Timestamp;
use stepcell_store::{KeyFilter, Whose};
use utoipa::{IntoParams, ToSchema};

use super::visible;
use crate::api::ApiState;
use crate::auth::{Caller, KeptInstead};
use crate::extract::{Id, JsonBody, Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::wire::{ApiKey, NewApiKey};

/// The name of the list in its cursors.
const LIST: &str = "keys";

/// Which keys to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListKeys {
    /// Only those of this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// A key that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// What people call it.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    name: Label,
    /// Who comes in with it.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    user_id: UserId,
    /// The groups of that user, for human tasks.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 64)]
    groups: Vec<GroupId>,
    /// What it allows: `viewer`, `worker`, `author`, `operator`, `admin`.
    #[schema(value_type = Vec<String>, min_items = 1)]
    scopes: Vec<Scope>,
    /// From when on it lets nobody in; it never expires without that.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Whose it is, for callers of the platform; the platform's without it.
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// List API keys, newest first. No key is shown.
#[utoipa::path(
    get, path = "/keys", tag = "keys", operation_id = "list_keys",
    params(ListKeys), security(("bearer" = ["admin"])),
    responses((status = 200, description = "A page of keys.", body = Page<ApiKey>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListKeys>,
) -> Result<Json<Page<ApiKey>>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let limit = read_limit(asked.limit)?;
    let filter = KeyFilter {
        whose: tenant.map_or(Whose::Anybody, Whose::Of),
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        limit: limit.asked(),
    };
    let page = api.engine().store().list_keys(&filter).await?;
    let now = api.engine().now();
    Ok(Json(Page::of(LIST, &page, limit, |last| &last.id, |key| ApiKey::at(key, now))))
}

/// Make an API key. The key is in this answer and nowhere else.
///
/// With an `Idempotency-Key` the same request once more answers 409 with where the key's record is: its text is not kept.
#[utoipa::path(
    post, path = "/keys", tag = "keys", operation_id = "create_key",
    request_body = CreateKey, security(("bearer" = ["admin"])),
    responses(
        (status = 201, description = "The key.", body = NewApiKey,
            headers(("Location" = String, description = "Where its record is."))),
        (status = 404, description = "There is no such tenant."),
        (status = 409, description = "The same request made a key before."),
        (status = 422, description = "The key would let nobody in."),
    ),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(asked): JsonBody<CreateKey>,
) -> Result<Response, Problem> {
    let new = NewKey {
        name: asked.name,
        tenant: caller.tenant_for(asked.tenant_id)?,
        user: asked.user_id,
        groups: asked.groups,
        scopes: asked.scopes.into_iter().collect(),
        expires_at: asked.expires_at,
        created_by: Some(caller.user),
    };
    let (key, text) = api.engine().create_key(new).await?;
    let record = ApiKey::at(&key, api.engine().now());
    let body = NewApiKey { record, key: text.expose().to_owned() };
    let mut response = api.made(StatusCode::CREATED, &format!("/keys/{}", key.id), body);
    let detail = format!("this request made key `{}` before; its text was shown then, and is not kept", key.id);
    response.extensions_mut().insert(KeptInstead(Problem::new(ProblemCode::AlreadyExists, detail)));
    Ok(response)
}

/// Get the record of an API key, without the key.
#[utoipa::path(
    get, path = "/keys/{id}", tag = "keys", operation_id = "get_key",
    params(("id" = String, Path, description = "The key's id.")), security(("bearer" = ["admin"])),
    responses((status = 200, description = "The record.", body = ApiKey)),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<ApiKey>, Problem> {
    let key = find(&api, &caller, &id).await?;
    Ok(Json(ApiKey::at(&key, api.engine().now())))
}

/// Revoke an API key: it lets nobody in any more. One that is revoked stays so.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's id.")), security(("bearer" = ["admin"])),
    responses((status = 200, description = "The record as it is then.", body = ApiKey)),
)]
pub(crate) async fn revoke(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<ApiKey>, Problem> {
    let key = find(&api, &caller, &id).await?;
    let revoked = api.engine().revoke_key(key.id).await?;
    Ok(Json(ApiKey::at(&revoked, api.engine().now())))
}

/// A key that the caller may see.
async fn find(api: &ApiState, caller: &Caller, id: &str) -> Result<KeyRecord, Problem> {
    let missing = || {
        let detail = format!("there is no API key `{}`; list those there are", visible::told(id));
        Problem::new(ProblemCode::KeyNotFound, detail)
    };
    let id: ApiKeyId = visible::read(id).ok_or_else(missing)?;
    match api.engine().get_key(id).await {
        Ok(key) if caller.sees(key.tenant.as_ref()) => Ok(key),
        Ok(_) | Err(EngineError::KeyNotFound { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}
