//! What there is to call: subscriptions and their deliveries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stepcell_engine::signing::SigningSecret;
use stepcell_engine::{EngineError, Sealer, WorkflowEngine};
use stepcell_model::event_type::EventType;
use stepcell_model::grants::HttpGrant;
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::name::{TenantId, UserId, WorkflowName};
use stepcell_model::secret::SecretText;
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, SealedWebhookSecret, WebhookDelivery, WebhookSubscription, WebhookUrl};
use stepcell_store::{Admitted, DeliveryFilter, LIST_LEN_MAX, Page, Redelivered, WebhookFilter, WorkflowStore};
use tokio::sync::watch;

use crate::body;
use crate::error::WebhookError;

/// How many subscriptions a tenant has at most, and how many the platform. Protects whoever holds each event against them.
pub const WEBHOOKS_LEN_MAX: u64 = 100;

/// How long deliveries are signed with the secret before a new one as well.
pub const FORMER_SECRET_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest description, in bytes. Protects the store.
const DESCRIPTION_BYTES_MAX: usize = 1_024;

/// What the key that secrets are encrypted with is derived for.
const PURPOSE: &str = "stepcell 2026-11 secrets of outgoing webhooks";

/// What a subscription says, as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookChange {
    /// Where it tells.
    pub url: WebhookUrl,
    /// Only events of these types; all if empty.
    pub types: Vec<EventType>,
    /// Only events of instances of this workflow.
    pub workflow: Option<WorkflowName>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether anything is told.
    pub is_active: bool,
}

/// What is to change of what a subscription says; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookEdit {
    /// Where it tells.
    pub url: Option<WebhookUrl>,
    /// Only events of these types; all if empty.
    pub types: Option<Vec<EventType>>,
    /// Only events of instances of this workflow, or of any.
    pub workflow: Option<Option<WorkflowName>>,
    /// What it is for, or nothing.
    pub description: Option<Option<String>>,
    /// Whether anything is told.
    pub is_active: Option<bool>,
}

impl WebhookEdit {
    fn apply(&self, kept: &mut WebhookSubscription) {
        let Self { url, types, workflow, description, is_active } = self.clone();
        kept.url = url.unwrap_or_else(|| kept.url.clone());
        kept.types = types.unwrap_or_else(|| kept.types.clone());
        kept.workflow = workflow.unwrap_or_else(|| kept.workflow.clone());
        kept.description = description.unwrap_or_else(|| kept.description.clone());
        // Somebody has decided; why it stopped by itself does not matter any more.
        if let Some(is_active) = is_active {
            kept.is_active = is_active;
            kept.stopped = None;
        }
    }
}

impl From<WebhookChange> for WebhookEdit {
    fn from(wanted: WebhookChange) -> Self {
        let WebhookChange { url, types, workflow, description, is_active } = wanted;
        Self {
            url: Some(url),
            types: Some(types),
            workflow: Some(workflow),
            description: Some(description),
            is_active: Some(is_active),
        }
    }
}

/// A subscription that somebody wants.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Of whose instances to tell; of all where there is none.
    pub tenant: Option<TenantId>,
    /// What it says.
    pub wanted: WebhookChange,
    /// Who wants it.
    pub by: Option<UserId>,
}

/// A subscription with its secret, which is told this once.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The subscription.
    pub webhook: WebhookSubscription,
    /// What its deliveries are signed with.
    pub secret: SecretText,
}

/// Outgoing webhooks of an engine. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    pub(crate) engine: WorkflowEngine,
    /// Changes with every subscription, and with every delivery that is made without history.
    pub(crate) changed: Arc<watch::Sender<()>>,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

impl Webhooks {
    /// The webhooks of an engine. Nothing is sent before [`Self::dispatch`].
    #[must_use]
    pub fn new(engine: WorkflowEngine) -> Self {
        Self { engine, changed: Arc::new(watch::Sender::new(())) }
    }

    /// The engine whose history is told.
    #[must_use]
    pub const fn engine(&self) -> &WorkflowEngine {
        &self.engine
    }

    /// Subscribes: what is committed from now on is told. Without a tenant, it is told of all instances.
    ///
    /// # Errors
    /// [`WebhookError::TooMany`], [`WebhookError::Address`], [`WebhookError::Description`];
    /// [`EngineError::NoHostKey`] where there is nothing to encrypt the secret with.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<Subscribed, WebhookError> {
        let Subscription { tenant, wanted, by } = subscription;
        check(Some(&wanted.url), wanted.description.as_deref())?;
        let id = WebhookId::from_uuid(self.engine.ids().next_id());
        let (secret, current) = self.new_secret(id)?;
        let webhook = WebhookSubscription {
            id,
            tenant,
            url: wanted.url,
            types: wanted.types,
            workflow: wanted.workflow,
            description: wanted.description,
            is_active: wanted.is_active,
            stopped: None,
            since: 0,
            created_at: self.engine.clock().now(),
            created_by: by,
            secret: SealedWebhookSecret { current, former: None },
        };
        if self.store().insert_webhook(webhook, WEBHOOKS_LEN_MAX).await? == Admitted::Full {
            return Err(WebhookError::TooMany { max: WEBHOOKS_LEN_MAX });
        }
        self.changed.send_replace(());
        Ok(Subscribed { webhook: self.load(id).await?, secret })
    }

    /// The subscription of that id.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`].
    pub async fn load(&self, id: WebhookId) -> Result<WebhookSubscription, WebhookError> {
        self.store().find_webhook(id).await?.ok_or(WebhookError::NotFound { id })
    }

    /// The subscriptions that match, by id.
    ///
    /// # Errors
    /// [`WebhookError::Engine`] if the store can not be read.
    pub async fn list(&self, filter: &WebhookFilter) -> Result<Page<WebhookSubscription>, WebhookError> {
        Ok(self.store().list_webhooks(filter).await?)
    }

    /// Sets what a subscription says, as a whole: [`Self::edit`] with everything named.
    ///
    /// # Errors
    /// As [`Self::edit`].
    pub async fn change(&self, id: WebhookId, wanted: WebhookChange) -> Result<WebhookSubscription, WebhookError> {
        self.edit(id, wanted.into()).await
    }

    /// Changes what a subscription says, and nothing that is not named. One that becomes active tells of what is committed from now on; what waits for one
    /// that is not active any more is dead, and may be sent anew.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`], and as [`Self::subscribe`].
    pub async fn edit(&self, id: WebhookId, edit: WebhookEdit) -> Result<WebhookSubscription, WebhookError> {
        check(edit.url.as_ref(), edit.description.as_ref().and_then(Option::as_deref))?;
        self.change_kept(id, move |kept: &mut WebhookSubscription| edit.apply(kept)).await
    }

    /// Deletes a subscription with its deliveries.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`].
    pub async fn delete(&self, id: WebhookId) -> Result<(), WebhookError> {
        let was_there = self.store().delete_webhook(id).await?;
        self.changed.send_replace(());
        if was_there { Ok(()) } else { Err(WebhookError::NotFound { id }) }
    }

    /// Gives a subscription a new secret. For [`FORMER_SECRET_FOR`] deliveries are signed with the one before as well.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`]; [`EngineError::NoHostKey`].
    pub async fn rotate_secret(&self, id: WebhookId) -> Result<Subscribed, WebhookError> {
        let (secret, current) = self.new_secret(id)?;
        let until = self.engine.clock().now().after(FORMER_SECRET_FOR);
        let change = move |kept: &mut WebhookSubscription| {
            let former = std::mem::replace(&mut kept.secret.current, current.clone());
            kept.secret.former = Some((former, until));
        };
        Ok(Subscribed { webhook: self.change_kept(id, change).await?, secret })
    }

    /// Sends a subscription's address something to see whether somebody is there: an event of type `ping`.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`]; [`WebhookError::Inactive`].
    pub async fn ping(&self, id: WebhookId) -> Result<WebhookDelivery, WebhookError> {
        let webhook = self.load_active(id).await?;
        let now = self.engine.clock().now();
        let ping = WebhookDelivery {
            id: DeliveryId::from_uuid(self.engine.ids().next_id()),
            ..new_delivery(&webhook, (0, 0), body::PING, body::of_ping(id, now), now)
        };
        if !self.store().insert_delivery(ping.clone()).await? {
            return Err(WebhookError::NotFound { id });
        }
        self.changed.send_replace(());
        Ok(ping)
    }

    /// The deliveries of a subscription that match with their keys, latest made first.
    ///
    /// # Errors
    /// [`WebhookError::Engine`] if the store can not be read.
    pub async fn list_deliveries(&self, filter: &DeliveryFilter) -> Result<Page<(u64, WebhookDelivery)>, WebhookError> {
        Ok(self.store().list_deliveries(filter).await?)
    }

    /// A delivery of a subscription.
    ///
    /// # Errors
    /// [`WebhookError::DeliveryNotFound`].
    pub async fn load_delivery(&self, webhook: WebhookId, id: DeliveryId) -> Result<WebhookDelivery, WebhookError> {
        let found = self.store().find_delivery(id).await?.filter(|found| found.webhook == webhook);
        found.ok_or(WebhookError::DeliveryNotFound { id })
    }

    /// Sends a delivery anew, whatever became of it, as if it was new. One that waits for its next attempt is sent now, and
    /// its attempts still count.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`]; [`WebhookError::DeliveryNotFound`]; [`WebhookError::Inactive`].
    pub async fn redeliver(&self, webhook: WebhookId, id: DeliveryId) -> Result<WebhookDelivery, WebhookError> {
        self.load_active(webhook).await?;
        self.load_delivery(webhook, id).await?;
        let now = self.engine.clock().now();
        self.store().redeliver(webhook, Redelivered::One(id), now).await?;
        self.changed.send_replace(());
        self.load_delivery(webhook, id).await
    }

    /// Sends all dead deliveries anew that were given up at a time or later. Returns how many.
    ///
    /// # Errors
    /// [`WebhookError::NotFound`]; [`WebhookError::Inactive`].
    pub async fn redeliver_dead(&self, webhook: WebhookId, since: Timestamp) -> Result<u64, WebhookError> {
        self.load_active(webhook).await?;
        let now = self.engine.clock().now();
        let mut count = 0;
        loop {
            let some = self.store().redeliver(webhook, Redelivered::DeadSince(since), now).await?;
            count += some;
            self.changed.send_replace(());
            // One that dies again meanwhile is not sent for ever by this call.
            if some < u64::from(LIST_LEN_MAX) || count >= u64::from(stepcell_store::ENDED_DELIVERIES_MAX) {
                return Ok(count);
            }
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn WorkflowStore> {
        self.engine.store()
    }

    pub(crate) fn sealer(&self) -> Result<Sealer, EngineError> {
        self.engine.sealer(PURPOSE)
    }

    /// Stops a subscription, for a reason.
    pub(crate) async fn stop(&self, id: WebhookId, why: &str) -> Result<(), WebhookError> {
        let why = why.to_owned();
        let change = move |kept: &mut WebhookSubscription| {
            kept.is_active = false;
            kept.stopped = Some(why.clone());
        };
        self.change_kept(id, change).await.map(drop)
    }

    async fn load_active(&self, id: WebhookId) -> Result<WebhookSubscription, WebhookError> {
        let found = self.load(id).await?;
        if found.is_active { Ok(found) } else { Err(WebhookError::Inactive) }
    }

    /// Changes what is kept of a subscription; no other change comes in between.
    async fn change_kept(
        &self,
        id: WebhookId,
        change: impl Fn(&mut WebhookSubscription) + Send + Sync + 'static,
    ) -> Result<WebhookSubscription, WebhookError> {
        let changed = self.store().change_webhook(id, Box::new(change), self.engine.clock().now()).await?;
        self.changed.send_replace(());
        changed.ok_or(WebhookError::NotFound { id })
    }

    /// A new secret as it is told, and encrypted.
    fn new_secret(&self, id: WebhookId) -> Result<(SecretText, Vec<u8>), WebhookError> {
        let secret = SigningSecret::of(&self.engine.ids().next_secret());
        let sealed = self.sealer()?.seal(secret.as_bytes(), id.as_uuid().as_bytes());
        // The cipher takes whatever fits into memory.
        Ok((secret.told(), sealed.map_err(|_| EngineError::NoHostKey)?))
    }
}

/// A delivery that waits for its first attempt.
pub(crate) fn new_delivery(
    webhook: &WebhookSubscription,
    (position, index): (u64, u32),
    event_type: &str,
    body: stepcell_model::json::Json,
    now: Timestamp,
) -> WebhookDelivery {
    WebhookDelivery {
        id: webhook.id.delivery_of(position, index),
        webhook: webhook.id,
        position,
        index,
        event_type: event_type.to_owned(),
        body,
        status: DeliveryStatus::Pending,
        attempts: 0,
        next_attempt_at: Some(now),
        last_status: None,
        last_error: None,
        created_at: now,
        ended_at: None,
    }
}

/// What lets requests out to an address, and to nowhere else.
pub(crate) fn grant_of(url: &WebhookUrl) -> Result<HttpGrant, WebhookError> {
    let text = format!("POST {}://{}", url.scheme(), url.authority().to_ascii_lowercase());
    text.parse().map_err(|_| WebhookError::Address { url: url.clone() })
}

fn check(url: Option<&WebhookUrl>, description: Option<&str>) -> Result<(), WebhookError> {
    if let Some(url) = url {
        grant_of(url)?;
    }
    let len_bytes = description.map_or(0, str::len);
    if len_bytes > DESCRIPTION_BYTES_MAX {
        return Err(WebhookError::Description { len_bytes, max: DESCRIPTION_BYTES_MAX });
    }
    Ok(())
}
