//! Outgoing webhooks: subscriptions, and the deliveries that are made of history for them.

use async_trait::async_trait;
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::name::TenantId;
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, WebhookDelivery, WebhookSubscription};

use crate::error::StoreError;
use crate::query::{Admitted, Page, PageLimit};

/// How many deliveries of one subscription wait at most; what comes beyond that is dead at once, and may be sent anew.
/// Protects the store against an address that is down while much happens.
pub const PENDING_DELIVERIES_MAX: u32 = 10_000;

/// How many deliveries of one subscription are kept that were taken, and how many that are dead; the oldest go first.
/// Protects the store.
pub const ENDED_DELIVERIES_MAX: u32 = 10_000;

/// How far deliveries were made, and how often subscriptions were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookHead {
    /// Grows with every change of a subscription.
    pub revision: u64,
    /// Deliveries of all entries up to here are made.
    pub position: u64,
}

/// Which subscriptions to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct WebhookFilter {
    /// Only this tenant's subscriptions.
    pub tenant: Option<TenantId>,
    /// Only subscriptions after this one.
    pub after: Option<WebhookId>,
    /// The length of the page.
    pub limit: PageLimit,
}

/// Which deliveries to list; every part that is given must hold.
#[derive(Clone, Debug)]
pub struct DeliveryFilter {
    /// Only deliveries of this subscription.
    pub webhook: WebhookId,
    /// Only deliveries with this status.
    pub status: Option<DeliveryStatus>,
    /// Only deliveries that were made before the one with this key.
    pub before: Option<u64>,
    /// The length of the page.
    pub limit: PageLimit,
}

/// Deliveries that were made of a stretch of history.
#[derive(Clone, Debug)]
pub struct MadeDeliveries {
    /// What they were made by: the revision of the subscriptions, and the position after which the stretch begins.
    pub head: WebhookHead,
    /// The position at which the stretch ends.
    pub up_to: u64,
    /// The deliveries.
    pub deliveries: Vec<WebhookDelivery>,
}

/// Which deliveries are sent anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivered {
    /// This one. If it waits, it does so no longer than until now, and its attempts still count.
    One(DeliveryId),
    /// All dead ones that were given up at this time or later; at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX) at once.
    DeadSince(Timestamp),
}

/// What becomes of a subscription. It may be asked more than once, and then gives the same.
pub type SubscriptionChange = Box<dyn Fn(&mut WebhookSubscription) + Send + Sync>;

/// Keeps subscriptions and deliveries.
#[async_trait]
pub trait WebhookStore: Send + Sync + 'static {
    /// How far deliveries were made, and how often subscriptions were changed.
    async fn webhook_head(&self) -> Result<WebhookHead, StoreError>;

    /// Keeps a subscription, to tell of what is committed from now on: `since` becomes the newest position. One more of a
    /// tenant, or of the platform, that has `max` is not kept.
    async fn insert_webhook(&self, webhook: WebhookSubscription, max: u64) -> Result<Admitted, StoreError>;

    /// The subscription of that id.
    async fn find_webhook(&self, id: WebhookId) -> Result<Option<WebhookSubscription>, StoreError>;

    /// The subscriptions that match, by id.
    async fn list_webhooks(&self, filter: &WebhookFilter) -> Result<Page<WebhookSubscription>, StoreError>;

    /// Changes a subscription, but for its id, its tenant and its making, and returns what it is then; none if there is no
    /// such one. No other change comes between what `change` is shown and what is kept.
    ///
    /// One that becomes active tells of what is committed from now on. Of one that is not active, all that waits is dead,
    /// at `now`, for the reason that it was stopped for.
    async fn change_webhook(
        &self,
        id: WebhookId,
        change: SubscriptionChange,
        now: Timestamp,
    ) -> Result<Option<WebhookSubscription>, StoreError>;

    /// Deletes a subscription with its deliveries. Returns whether there was such a one.
    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError>;

    /// Keeps the deliveries of a stretch of history, and that they are made, at once. Returns false, and keeps nothing, if
    /// subscriptions or the position are not any more what they were made by.
    ///
    /// A delivery that is there already stays as it is. One of a subscription of which
    /// [`PENDING_DELIVERIES_MAX`] wait is dead at once.
    async fn make_deliveries(&self, made: MadeDeliveries) -> Result<bool, StoreError>;

    /// Keeps a delivery that no history stands behind. Returns whether there is such a subscription.
    async fn insert_delivery(&self, delivery: WebhookDelivery) -> Result<bool, StoreError>;

    /// The delivery of that id.
    async fn find_delivery(&self, id: DeliveryId) -> Result<Option<WebhookDelivery>, StoreError>;

    /// The deliveries that match with their keys, latest made first.
    async fn list_deliveries(&self, filter: &DeliveryFilter) -> Result<Page<(u64, WebhookDelivery)>, StoreError>;

    /// The active subscriptions of which deliveries wait.
    async fn list_waiting_webhooks(&self) -> Result<Vec<WebhookId>, StoreError>;

    /// The deliveries of a subscription that wait, by the time of their next attempt; at most
    /// [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    async fn list_pending(&self, webhook: WebhookId, limit: u32) -> Result<Vec<WebhookDelivery>, StoreError>;

    /// Keeps what came of an attempt. Returns false, and changes nothing, if the delivery does not wait any more or another
    /// attempt was counted meanwhile.
    async fn put_attempt(&self, delivery: WebhookDelivery) -> Result<bool, StoreError>;

    /// Has deliveries of a subscription wait for an attempt at `now`: those that ended as if they were new. Returns how many.
    async fn redeliver(&self, webhook: WebhookId, which: Redelivered, now: Timestamp) -> Result<u64, StoreError>;

    /// Forgets deliveries that ended before a time, and the oldest of a subscription beyond [`ENDED_DELIVERIES_MAX`]; a
    /// bounded number of each at once. Returns how many.
    async fn forget_deliveries(&self, ended_before: Timestamp) -> Result<u64, StoreError>;
}

/// Why what waited for a subscription is dead that somebody deactivated.
pub(crate) const DEACTIVATED: &str = "the subscription was deactivated";

/// A delivery of a subscription of which too many wait.
pub(crate) fn beyond_pending(delivery: WebhookDelivery) -> WebhookDelivery {
    let why = format!("{PENDING_DELIVERIES_MAX} deliveries of the subscription waited already");
    WebhookDelivery {
        status: DeliveryStatus::Dead,
        next_attempt_at: None,
        last_error: Some(why),
        ended_at: Some(delivery.created_at),
        ..delivery
    }
}
