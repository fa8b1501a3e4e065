//! Outgoing webhooks: who subscribes, and what became of deliveries.
//!
//! A subscription tells a stranger's server what happens, so it takes an administrator of the tenant to make one.

pub(super) mod deliveries;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use stepcell_engine::EventType;
use stepcell_model::id::WebhookId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::webhook::{WebhookSubscription, WebhookUrl};
use stepcell_store::WebhookFilter;
use stepcell_webhooks::{Subscribed, Subscription, WebhookChange, WebhookEdit, WebhookError};
use utoipa::{IntoParams, ToSchema};

use super::visible;
use crate::api::ApiState;
use crate::auth::{Caller, KeptInstead};
use crate::extract::{Id, JsonBody, Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::wire::{DeliveryRow, Webhook, WebhookWithSecret};

/// The name of the list in its cursors.
const LIST: &str = "webhooks";

/// A new subscription.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// Where to tell: `https://host/path`.
    #[schema(value_type = String, example = "https://example.com/hooks", max_length = 2048)]
    url: WebhookUrl,
    /// Only events of these types; all if empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["workflow_completed"]))]
    types: Vec<EventType>,
    /// Only events of instances of this workflow, of any version.
    #[schema(value_type = Option<String>)]
    definition_name: Option<WorkflowName>,
    /// What it is for.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// Whether anything is told; true without it.
    is_active: Option<bool>,
    /// Of whose instances to tell, for callers of the platform; all without it.
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// What a subscription shall say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWebhook {
    /// Where to tell.
    #[schema(value_type = String, max_length = 2048)]
    url: WebhookUrl,
    /// Only events of these types; all if empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    types: Vec<EventType>,
    /// Only events of instances of this workflow, of any version.
    #[schema(value_type = Option<String>)]
    definition_name: Option<WorkflowName>,
    /// What it is for.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// Whether anything is told. What waits for one that is not active any more is dead, and may be sent anew.
    is_active: bool,
}

/// What is to change of a subscription; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    /// Where to tell.
    #[schema(value_type = Option<String>, max_length = 2048)]
    url: Option<WebhookUrl>,
    /// Only events of these types; all if empty.
    #[schema(value_type = Option<Vec<String>>)]
    types: Option<Vec<EventType>>,
    /// Only events of instances of this workflow, of any version; null is of any.
    #[serde(default, deserialize_with = "read_named")]
    #[schema(value_type = Option<String>)]
    definition_name: Option<Option<WorkflowName>>,
    /// What it is for; null is nothing.
    #[serde(default, deserialize_with = "read_named")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    description: Option<Option<String>>,
    /// Whether anything is told. What waits for one that is not active any more is dead, and may be sent anew.
    is_active: Option<bool>,
}

/// Reads what is there, be it null.
fn read_named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Which subscriptions to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListWebhooks {
    /// Only subscriptions of this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// List subscriptions of outgoing webhooks.
#[utoipa::path(
    get, path = "/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    params(ListWebhooks), security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "A page of subscriptions.", body = Page<Webhook>),
        (status = 404, description = "There is no such tenant."),
    ),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListWebhooks>,
) -> Result<Json<Page<Webhook>>, Problem> {
    let after = read_cursor::<WebhookId>(LIST, asked.cursor.as_deref())?;
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let limit = read_limit(asked.limit)?;
    let page = api.webhooks().list(&WebhookFilter { tenant, after, limit: limit.asked() }).await?;
    Ok(Json(Page::of(LIST, &page, limit, |last| &last.id, Webhook::from)))
}

/// Subscribe: what happens from now on is told to an address, signed as Standard Webhooks says.
///
/// The signing secret is answered this once: a repeat with the same `Idempotency-Key` is told which subscription was made.
#[utoipa::path(
    post, path = "/webhooks", tag = "webhooks", operation_id = "create_webhook",
    request_body = CreateWebhook, security(("bearer" = ["admin"])),
    responses(
        (status = 201, description = "The subscription, with its secret.", body = WebhookWithSecret,
            headers(("Location" = String, description = "Where it is."))),
        (status = 404, description = "There is no such tenant."),
        (status = 409, description = "The same request was answered before."),
        (status = 422, description = "Nothing can be sent to the address."),
    ),
)]
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(asked): JsonBody<CreateWebhook>,
) -> Result<Response, Problem> {
    let wanted = WebhookChange {
        url: asked.url,
        types: asked.types,
        workflow: asked.definition_name,
        description: asked.description,
        is_active: asked.is_active.unwrap_or(true),
    };
    let tenant = visible::tenant_to_serve(&api, &caller, asked.tenant_id).await?;
    let made = api.webhooks().subscribe(Subscription { tenant, wanted, by: Some(caller.user) }).await?;
    let mut response = api.made(StatusCode::CREATED, &format!("/webhooks/{}", made.webhook.id), with_secret(&made));
    let detail = format!(
        "this request made the webhook `{}`; its secret was told then and is not told again: rotate it for a new one",
        made.webhook.id
    );
    response.extensions_mut().insert(KeptInstead(Problem::new(ProblemCode::AlreadyExists, detail)));
    Ok(response)
}

/// Get a subscription.
#[utoipa::path(
    get, path = "/webhooks/{id}", tag = "webhooks", operation_id = "get_webhook",
    params(("id" = String, Path, description = "The subscription.")), security(("bearer" = ["operator"])),
    responses((status = 200, description = "The subscription.", body = Webhook)),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<Webhook>, Problem> {
    Ok(Json(Webhook::from(&find(&api, &caller, &id).await?)))
}

/// Set what a subscription says, as a whole.
#[utoipa::path(
    put, path = "/webhooks/{id}", tag = "webhooks", operation_id = "change_webhook",
    params(("id" = String, Path, description = "The subscription.")), request_body = ChangeWebhook,
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The subscription as it is then.", body = Webhook),
        (status = 422, description = "Nothing can be sent to the address."),
    ),
)]
pub(crate) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    JsonBody(asked): JsonBody<ChangeWebhook>,
) -> Result<Json<Webhook>, Problem> {
    let found = find(&api, &caller, &id).await?;
    let ChangeWebhook { url, types, definition_name: workflow, description, is_active } = asked;
    let wanted = WebhookChange { url, types, workflow, description, is_active };
    Ok(Json(Webhook::from(&api.webhooks().change(found.id, wanted).await?)))
}

/// Change parts of what a subscription says, and nothing of what somebody else changes meanwhile.
#[utoipa::path(
    patch, path = "/webhooks/{id}", tag = "webhooks", operation_id = "update_webhook",
    params(("id" = String, Path, description = "The subscription.")), request_body = UpdateWebhook,
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The subscription as it is then.", body = Webhook),
        (status = 422, description = "Nothing can be sent to the address."),
    ),
)]
pub(crate) async fn update(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    JsonBody(asked): JsonBody<UpdateWebhook>,
) -> Result<Json<Webhook>, Problem> {
    let found = find(&api, &caller, &id).await?;
    let UpdateWebhook { url, types, definition_name: workflow, description, is_active } = asked;
    let edit = WebhookEdit { url, types, workflow, description, is_active };
    Ok(Json(Webhook::from(&api.webhooks().edit(found.id, edit).await?)))
}

/// Delete a subscription with its deliveries.
#[utoipa::path(
    delete, path = "/webhooks/{id}", tag = "webhooks", operation_id = "delete_webhook",
    params(("id" = String, Path, description = "The subscription.")), security(("bearer" = ["admin"])),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<StatusCode, Problem> {
    let found = find(&api, &caller, &id).await?;
    api.webhooks().delete(found.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a subscription a new secret, which is answered this once.
///
/// For 24 hours deliveries carry a signature with the secret before as well. With an `Idempotency-Key` the same request once
/// more answers 409 and changes nothing: the secret is not kept.
#[utoipa::path(
    post, path = "/webhooks/{id}/rotate-secret", tag = "webhooks", operation_id = "rotate_webhook_secret",
    params(("id" = String, Path, description = "The subscription.")), security(("bearer" = ["admin"])),
    responses((status = 200, description = "The subscription, with its new secret.", body = WebhookWithSecret)),
)]
pub(crate) async fn rotate_secret(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Response, Problem> {
    let found = find(&api, &caller, &id).await?;
    let mut response = Json(with_secret(&api.webhooks().rotate_secret(found.id).await?)).into_response();
    let detail = format!("this request gave webhook `{}` a new secret before; it was shown then", found.id);
    response.extensions_mut().insert(KeptInstead(Problem::new(ProblemCode::AlreadyExists, detail)));
    Ok(response)
}

/// Send a subscription's address an event of type `ping`, to see whether somebody is there.
#[utoipa::path(
    post, path = "/webhooks/{id}/ping", tag = "webhooks", operation_id = "ping_webhook",
    params(("id" = String, Path, description = "The subscription.")), security(("bearer" = ["operator"])),
    responses(
        (status = 202, description = "The delivery, which tells what becomes of it.", body = DeliveryRow),
        (status = 409, description = "The subscription is not active."),
    ),
)]
pub(crate) async fn ping(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    let found = find(&api, &caller, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryRow::from(&api.webhooks().ping(found.id).await?))))
}

/// A subscription that the caller may see.
async fn find(api: &ApiState, caller: &Caller, id: &str) -> Result<WebhookSubscription, Problem> {
    let missing = || {
        let detail = format!("there is no webhook `{}`; list those there are", visible::told(id));
        Problem::new(ProblemCode::WebhookNotFound, detail)
    };
    let found = match api.webhooks().load(visible::read(id).ok_or_else(missing)?).await {
        Err(WebhookError::NotFound { .. }) => return Err(missing()),
        found => found?,
    };
    if caller.sees(found.tenant.as_ref()) { Ok(found) } else { Err(missing()) }
}

fn with_secret(made: &Subscribed) -> WebhookWithSecret {
    WebhookWithSecret { webhook: Webhook::from(&made.webhook), secret: made.secret.expose().to_owned() }
}
