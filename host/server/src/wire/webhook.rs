//! Outgoing webhooks: subscriptions and deliveries.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepcell_model::event_type::EventType;
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::name::{TenantId, UserId, WorkflowName};
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, WebhookDelivery, WebhookSubscription};
use utoipa::ToSchema;

/// A subscription: events are told to an address.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// The subscription.
    #[schema(value_type = String, format = "uuid")]
    pub id: WebhookId,
    /// Where events are told.
    pub url: String,
    /// Only events of these types; all if empty.
    #[schema(value_type = Vec<String>)]
    pub types: Vec<EventType>,
    /// Only events of instances of this workflow, of any version.
    #[schema(value_type = Option<String>)]
    pub definition_name: Option<WorkflowName>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether anything is told.
    pub is_active: bool,
    /// Why nothing is told any more, where nobody decided that, as after an answer `410 Gone`.
    pub stopped: Option<String>,
    /// Of whose instances it tells; null is all of the platform.
    #[schema(value_type = Option<String>)]
    pub tenant_id: Option<TenantId>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    #[schema(value_type = Option<String>)]
    pub created_by: Option<UserId>,
}

/// A subscription with its signing secret, which is told this once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookWithSecret {
    /// The subscription.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// What deliveries are signed with: `whsec_` and base 64, by Standard Webhooks.
    pub secret: String,
}

/// One event that is told to one subscription.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryRow {
    /// The delivery; the head `webhook-id` of each of its attempts.
    #[schema(value_type = String, format = "uuid")]
    pub id: DeliveryId,
    /// The subscription.
    #[schema(value_type = String, format = "uuid")]
    pub webhook_id: WebhookId,
    /// The type of the event, or `ping`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The place of the event's transition; 0 for a ping.
    pub position: u64,
    /// The place of the event in its transition, from 0.
    pub index: u32,
    /// What became of it: `pending`, `delivered` or `dead`.
    #[schema(value_type = String)]
    pub status: DeliveryStatus,
    /// How many attempts there were since it was made or sent anew.
    pub attempts: u32,
    /// When the next attempt may begin.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// The HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// A delivery with what is sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryRow,
    /// What is sent.
    #[schema(value_type = Object)]
    pub body: Value,
}

impl From<&WebhookSubscription> for Webhook {
    fn from(webhook: &WebhookSubscription) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url.to_string(),
            types: webhook.types.clone(),
            definition_name: webhook.workflow.clone(),
            description: webhook.description.clone(),
            is_active: webhook.is_active,
            stopped: webhook.stopped.clone(),
            tenant_id: webhook.tenant.clone(),
            created_at: webhook.created_at,
            created_by: webhook.created_by.clone(),
        }
    }
}

impl From<&WebhookDelivery> for DeliveryRow {
    fn from(delivery: &WebhookDelivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook,
            kind: delivery.event_type.clone(),
            position: delivery.position,
            index: delivery.index,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            last_status: delivery.last_status,
            last_error: delivery.last_error.clone(),
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
        }
    }
}

impl From<&WebhookDelivery> for Delivery {
    fn from(delivery: &WebhookDelivery) -> Self {
        Self { delivery: DeliveryRow::from(delivery), body: delivery.body.tree().clone() }
    }
}
