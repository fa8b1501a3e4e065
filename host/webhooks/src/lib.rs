//! Outgoing webhooks: what happened, told to addresses of tenants, signed and retried.
//!
//! Deliveries are made of history in the transaction that says how far history was told, so that each event is told to each
//! subscription that wants it, at least once, whenever the host goes down. Their order is not promised. Each is signed as
//! Standard Webhooks says, and sent as requests of steps are: to no address that is not public, unless the operator's policy
//! opens its network.
//!
//! What is not here: HTTP itself (`stepcell-outbound`), rows (`stepcell-store`), and who may subscribe (the server).
//!
//! Reading order: [`Webhooks`] (what there is to call), `body` (what is told), `schedule` (when it is tried again), `maker`
//! (from history to deliveries), `worker` (one subscription's deliveries), `sender` (one attempt), [`Dispatching`].

mod body;
mod dispatch;
mod error;
mod maker;
mod schedule;
mod sender;
mod subscriptions;
mod worker;

pub use self::dispatch::{DispatchCounts, DispatchWatch, Dispatching};
pub use self::error::WebhookError;
pub use self::schedule::RETRY_DELAYS;
pub use self::subscriptions::{
    FORMER_SECRET_FOR, Subscribed, Subscription, WEBHOOKS_LEN_MAX, WebhookChange, WebhookEdit, Webhooks,
};
