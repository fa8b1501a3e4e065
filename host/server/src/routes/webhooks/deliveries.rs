//! What became of deliveries, and sending them anew.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::WebhookDelivery;
use stepcell_store::DeliveryFilter;
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, OptionalJson, Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::routes::visible;
use crate::wire::{Delivery, DeliveryRow};

/// The name of the list in its cursors.
const LIST: &str = "webhook_deliveries";

/// Which deliveries to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListDeliveries {
    /// Only deliveries with this status: `pending`, `delivered` or `dead`.
    #[param(example = "dead")]
    status: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// Which dead deliveries to send anew.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedeliverDead {
    /// Only those that were given up at this time or later; all without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
}

/// How many deliveries will be sent anew.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RedeliveredDead {
    /// How many.
    count: u64,
}

/// List deliveries of a subscription, latest made first.
#[utoipa::path(
    get, path = "/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "list_webhook_deliveries",
    params(("id" = String, Path, description = "The subscription."), ListDeliveries), security(("bearer" = ["operator"])),
    responses((status = 200, description = "A page of deliveries.", body = Page<DeliveryRow>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    Query(asked): Query<ListDeliveries>,
) -> Result<Json<Page<DeliveryRow>>, Problem> {
    let before = read_cursor::<u64>(LIST, asked.cursor.as_deref())?;
    let (limit, status) = (read_limit(asked.limit)?, read_parameter("status", asked.status.as_deref())?);
    let webhook = find(&api, &caller, &id).await?.id;
    let page =
        api.webhooks().list_deliveries(&DeliveryFilter { webhook, status, before, limit: limit.asked() }).await?;
    Ok(Json(Page::of(LIST, &page, limit, |(key, _)| key, |(_, delivery)| DeliveryRow::from(delivery))))
}

/// Get a delivery with what is sent.
#[utoipa::path(
    get, path = "/webhooks/{id}/deliveries/{delivery_id}", tag = "webhooks", operation_id = "get_webhook_delivery",
    params(("id" = String, Path, description = "The subscription."), ("delivery_id" = String, Path, description = "The delivery.")),
    security(("bearer" = ["operator"])),
    responses((status = 200, description = "The delivery.", body = Delivery)),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    Id((id, delivery)): Id<(String, String)>,
) -> Result<Json<Delivery>, Problem> {
    Ok(Json(Delivery::from(&find_delivery(&api, &caller, (&id, &delivery)).await?)))
}

/// Send a delivery anew, whatever became of it. One that waits for its next attempt is sent now.
#[utoipa::path(
    post, path = "/webhooks/{id}/deliveries/{delivery_id}/redeliver", tag = "webhooks", operation_id = "redeliver_webhook",
    params(("id" = String, Path, description = "The subscription."), ("delivery_id" = String, Path, description = "The delivery.")),
    security(("bearer" = ["operator"])),
    responses(
        (status = 202, description = "The delivery, which is due now.", body = DeliveryRow),
        (status = 409, description = "The subscription is not active."),
    ),
)]
pub(crate) async fn redeliver(
    State(api): State<ApiState>,
    caller: Caller,
    Id((id, delivery)): Id<(String, String)>,
) -> Result<(StatusCode, Json<DeliveryRow>), Problem> {
    let found = find_delivery(&api, &caller, (&id, &delivery)).await?;
    let anew = api.webhooks().redeliver(found.webhook, found.id).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryRow::from(&anew))))
}

/// Send all dead deliveries of a subscription anew, or those that were given up since a time.
#[utoipa::path(
    post, path = "/webhooks/{id}/redeliver", tag = "webhooks", operation_id = "redeliver_dead_webhooks",
    params(("id" = String, Path, description = "The subscription.")), request_body = RedeliverDead,
    security(("bearer" = ["operator"])),
    responses(
        (status = 202, description = "How many will be sent anew.", body = RedeliveredDead),
        (status = 409, description = "The subscription is not active."),
    ),
)]
pub(crate) async fn redeliver_dead(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalJson(asked): OptionalJson<RedeliverDead>,
) -> Result<(StatusCode, Json<RedeliveredDead>), Problem> {
    let webhook = find(&api, &caller, &id).await?.id;
    let since = asked.since.unwrap_or(Timestamp::from_unix_ms(0));
    let count = api.webhooks().redeliver_dead(webhook, since).await?;
    Ok((StatusCode::ACCEPTED, Json(RedeliveredDead { count })))
}

/// A delivery of a subscription that the caller may see.
async fn find_delivery(
    api: &ApiState,
    caller: &Caller,
    (id, delivery): (&str, &str),
) -> Result<WebhookDelivery, Problem> {
    let webhook = find(api, caller, id).await?.id;
    let missing = || {
        let detail = format!("the webhook has no delivery `{}`; list those it has", visible::told(delivery));
        Problem::new(ProblemCode::WebhookNotFound, detail)
    };
    Ok(api.webhooks().load_delivery(webhook, visible::read(delivery).ok_or_else(missing)?).await?)
}
