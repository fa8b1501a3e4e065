//! What can stand in the way of a subscription.

use stepcell_engine::EngineError;
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::webhook::WebhookUrl;
use stepcell_store::StoreError;

/// Why something about a subscription was refused.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is no such subscription.
    #[error("there is no webhook `{id}`")]
    NotFound {
        /// What was asked for.
        id: WebhookId,
    },
    /// The subscription has no such delivery.
    #[error("the webhook has no delivery `{id}`")]
    DeliveryNotFound {
        /// What was asked for.
        id: DeliveryId,
    },
    /// There are as many subscriptions as there may be.
    #[error("there are {max} webhooks already; delete one that is not needed")]
    TooMany {
        /// How many there may be.
        max: u64,
    },
    /// The subscription is not active, so that nothing would be sent.
    #[error("the webhook is not active; activate it first")]
    Inactive,
    /// Nothing can be sent to the address.
    #[error(
        "nothing can be sent to `{url}`: its host is a name or an address in full, as `192.0.2.1`, and its port 1 to 65535"
    )]
    Address {
        /// The address.
        url: WebhookUrl,
    },
    /// The description is too long.
    #[error("the description has {len_bytes} bytes, and may have {max}")]
    Description {
        /// How long it is.
        len_bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// What the engine says.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for WebhookError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}
