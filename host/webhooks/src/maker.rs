//! From history to deliveries.
//!
//! Follows what is committed with the subscriptions that there are at one revision, and has the store keep what is to be
//! told together with how far history was read. If subscriptions changed meanwhile, the store refuses that, and the stretch
//! is read anew with those that there are now: nobody misses what was committed after they subscribed.

use std::sync::Arc;

use futures::FutureExt as _;
use stepcell_engine::{EngineError, EventFeed, EventFilter, FeedStart};
use stepcell_model::webhook::{WebhookDelivery, WebhookSubscription};
use stepcell_store::{HistoryRow, MadeDeliveries, PageLimit, StoreError, WebhookFilter, WebhookHead};

use crate::body;
use crate::dispatch::Dispatch;
use crate::error::WebhookError;
use crate::subscriptions::{Webhooks, new_delivery};

/// How many rows of history are looked at before what they came to is kept. Bounds what is held, and what is read again
/// after a crash.
const ROWS_LEN_MAX: usize = 500;

/// The subscriptions at one revision.
struct Known {
    head: WebhookHead,
    active: Vec<WebhookSubscription>,
}

/// What was read and is not kept yet.
#[derive(Default)]
struct Read {
    rows: usize,
    up_to: u64,
    deliveries: Vec<WebhookDelivery>,
}

/// Makes deliveries until the engine is gone.
///
/// # Errors
/// What the store says. Call again: nothing is lost.
pub(crate) async fn make(dispatch: &Arc<Dispatch>) -> Result<(), WebhookError> {
    let webhooks = &dispatch.sender.webhooks;
    let mut changed = webhooks.changed.subscribe();
    loop {
        changed.mark_unchanged();
        let mut known = Known::load(webhooks).await?;
        let Some(mut feed) = known.open(webhooks).await? else {
            tokio::select! {
                _ = changed.changed() => {}
                () = dispatch.look_again() => {}
            }
            continue;
        };
        let mut read = Read::default();
        loop {
            let row = tokio::select! {
                biased;
                _ = changed.changed() => break,
                row = feed.next_row() => row.map_err(WebhookError::from)?,
                () = dispatch.look_again() => {
                    if webhooks.store().webhook_head().await?.revision != known.head.revision { break }
                    continue;
                }
            };
            let Some(row) = row else { return Ok(()) };
            known.take(&row, webhooks, &mut read);
            read_on(&mut feed, &known, webhooks, &mut read).await?;
            if !known.keep(&mut read, dispatch).await? {
                break;
            }
        }
    }
}

/// Takes what is there already, up to a bound.
async fn read_on(feed: &mut EventFeed, known: &Known, webhooks: &Webhooks, read: &mut Read) -> Result<(), StoreError> {
    while read.rows < ROWS_LEN_MAX {
        // A call that is dropped loses nothing.
        let Some(row) = feed.next_row().now_or_never() else { return Ok(()) };
        let Some(row) = row? else { return Ok(()) };
        known.take(&row, webhooks, read);
    }
    Ok(())
}

impl Known {
    async fn load(webhooks: &Webhooks) -> Result<Self, StoreError> {
        let store = webhooks.store();
        loop {
            let head = store.webhook_head().await?;
            let mut all: Vec<WebhookSubscription> = Vec::new();
            loop {
                let after = all.last().map(|webhook| webhook.id);
                let filter = WebhookFilter { tenant: None, after, limit: PageLimit::MAX };
                let page = store.list_webhooks(&filter).await?.items;
                if page.is_empty() {
                    break;
                }
                all.extend(page);
            }
            // All of one moment, or once more.
            if store.webhook_head().await?.revision == head.revision {
                all.retain(|webhook| webhook.is_active);
                return Ok(Self { head, active: all });
            }
        }
    }

    /// A feed of what was not told yet, if anybody wants to be told anything.
    async fn open(&self, webhooks: &Webhooks) -> Result<Option<EventFeed>, WebhookError> {
        let Some(since) = self.active.iter().map(|webhook| webhook.since).min() else { return Ok(None) };
        let from = since.max(self.head.position);
        match webhooks.engine.events(EventFilter::default(), FeedStart::After(from)).await {
            Ok(feed) => Ok(Some(feed)),
            Err(EngineError::PositionNotFound { position, last }) => {
                tracing::warn!(
                    position,
                    last,
                    "history is shorter than what webhooks were told of; they go on at its end"
                );
                Ok(Some(webhooks.engine.events(EventFilter::default(), FeedStart::Now).await?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds what a row is to be told of.
    fn take(&self, row: &HistoryRow, webhooks: &Webhooks, read: &mut Read) {
        let (position, tenant) = (row.entry.position, row.tenant.as_ref());
        read.rows += 1;
        read.up_to = position;
        let now = webhooks.engine.clock().now();
        for (index, event) in (0..).zip(&row.entry.events) {
            let wanted = self.active.iter().filter(|webhook| webhook.wants(position, tenant, &row.workflow, event));
            // Made of text once, however many are told.
            let mut told = None;
            for webhook in wanted {
                let body = told.get_or_insert_with(|| body::of_event(row, event)).clone();
                let event_type = event.event_type().as_str();
                read.deliveries.push(new_delivery(webhook, (position, index), event_type, body, now));
            }
        }
    }

    /// Has the store keep what was read, if that is worth it. Answers whether the subscriptions are still the same.
    async fn keep(&mut self, read: &mut Read, dispatch: &Arc<Dispatch>) -> Result<bool, StoreError> {
        if read.deliveries.is_empty() && read.rows < ROWS_LEN_MAX {
            return Ok(true);
        }
        let Read { up_to, deliveries, .. } = std::mem::take(read);
        let mut told: Vec<_> = deliveries.iter().map(|delivery| delivery.webhook).collect();
        told.dedup();
        let made = MadeDeliveries { head: self.head, up_to, deliveries };
        if !dispatch.sender.webhooks.store().make_deliveries(made).await? {
            return Ok(false);
        }
        self.head.position = up_to;
        told.into_iter().for_each(|webhook| dispatch.work_on(webhook));
        Ok(true)
    }
}
