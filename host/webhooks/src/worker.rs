//! The deliveries of one subscription: sent when their time has come, some at once while they are taken, one by one while
//! they are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::stream;
use stepcell_model::id::WebhookId;
use stepcell_model::webhook::{WebhookDelivery, WebhookSubscription};
use stepcell_store::StoreError;

use crate::dispatch::{Dispatch, Poke};
use crate::schedule::{self, Outcome};

/// How many deliveries of one subscription are under way at once. Protects whoever is told.
const AT_ONCE_MAX: usize = 4;

/// How many deliveries of one subscription are held at once. Bounds memory.
const HELD_LEN_MAX: u32 = 64;

/// Works on the deliveries of a subscription until none waits, or the host stops.
pub(crate) async fn work(dispatch: &Arc<Dispatch>, id: WebhookId, poke: &Poke) {
    // Whether the address took what it was last sent.
    let is_well = AtomicBool::new(true);
    while !dispatch.is_stopping() {
        poke.take();
        match work_once(dispatch, id, poke, &is_well).await {
            Ok(true) => {}
            Ok(false) => {
                if dispatch.may_leave(id, poke) {
                    return;
                }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::warn!(webhook = %id, %error, "deliveries can not be read or kept for now");
                dispatch.look_again().await;
            }
        }
    }
}

/// Sends what is due, or waits for what will be. Answers whether anything waits.
async fn work_once(
    dispatch: &Arc<Dispatch>,
    id: WebhookId,
    poke: &Poke,
    is_well: &AtomicBool,
) -> Result<bool, StoreError> {
    let store = dispatch.sender.webhooks.store();
    let Some(webhook) = store.find_webhook(id).await?.filter(|webhook| webhook.is_active) else { return Ok(false) };
    let pending = store.list_pending(id, HELD_LEN_MAX).await?;
    let Some(first) = pending.first().and_then(|delivery| delivery.next_attempt_at) else { return Ok(false) };
    let clock = dispatch.sender.webhooks.engine.clock();
    let now = clock.now();
    if first > now {
        tokio::select! {
            () = clock.sleep_until(first) => {}
            () = poke.wait() => {}
            () = dispatch.stopped() => {}
        }
        return Ok(true);
    }
    let due = pending.into_iter().filter(|delivery| delivery.next_attempt_at.is_some_and(|at| at <= now));
    let at_once = if is_well.load(Ordering::Relaxed) { AT_ONCE_MAX } else { 1 };
    let webhook = &webhook;
    let mut sent = stream::iter(due)
        .map(|delivery| async move { send(dispatch, webhook, &delivery, is_well).await })
        .buffer_unordered(at_once);
    while let Some(outcome) = sent.next().await {
        if outcome? == Some(Outcome::Gone) {
            return Ok(true);
        }
    }
    Ok(true)
}

/// Sends a delivery and keeps what came of it. Nothing if the host stops.
async fn send(
    dispatch: &Arc<Dispatch>,
    webhook: &WebhookSubscription,
    delivery: &WebhookDelivery,
    is_well: &AtomicBool,
) -> Result<Option<Outcome>, StoreError> {
    let Some(_turn) = dispatch.turn(webhook.tenant.as_ref()).await else { return Ok(None) };
    let outcome = dispatch.sender.send(webhook, delivery).await;
    is_well.store(matches!(outcome, Outcome::Taken { .. }), Ordering::Relaxed);
    let webhooks = &dispatch.sender.webhooks;
    let next = schedule::after(delivery, &outcome, webhooks.engine.clock().now());
    tracing::debug!(webhook = %webhook.id, delivery = %delivery.id, attempt = next.attempts, ?outcome, "a webhook was sent");
    webhooks.store().put_attempt(next).await?;
    if outcome == Outcome::Gone {
        tracing::info!(webhook = %webhook.id, "a webhook's address answered 410 Gone; nothing is sent there any more");
        if let Err(error) = webhooks.stop(webhook.id, "its address answered 410 Gone").await {
            tracing::warn!(webhook = %webhook.id, %error, "a webhook whose address is gone could not be stopped");
        }
    }
    if matches!(outcome, Outcome::Taken { .. }) {
        dispatch.taken.fetch_add(1, Ordering::Relaxed);
    }
    dispatch.told.send_modify(|told| *told += 1);
    Ok(Some(outcome))
}
