//! Outgoing webhooks in memory: subscriptions and deliveries.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, WebhookDelivery, WebhookSubscription};

use super::MemoryStore;
use crate::error::StoreError;
use crate::query::{Admitted, LIST_LEN_MAX, Page};
use crate::webhooks::{
    DEACTIVATED, DeliveryFilter, ENDED_DELIVERIES_MAX, MadeDeliveries, PENDING_DELIVERIES_MAX, Redelivered,
    SubscriptionChange, WebhookFilter, WebhookHead, WebhookStore, beyond_pending,
};

#[derive(Debug, Default)]
pub(super) struct Webhooks {
    head: WebhookHead,
    subscriptions: BTreeMap<WebhookId, WebhookSubscription>,
    deliveries: BTreeMap<u64, WebhookDelivery>,
    keys: HashMap<DeliveryId, u64>,
    last_key: u64,
}

impl Webhooks {
    fn insert(&mut self, webhook: WebhookSubscription, last: u64, max: u64) -> Admitted {
        if self.subscriptions.contains_key(&webhook.id) {
            return Admitted::AlreadyThere;
        }
        if self.subscriptions.values().filter(|kept| kept.tenant == webhook.tenant).count() as u64 >= max {
            return Admitted::Full;
        }
        self.subscriptions.insert(webhook.id, WebhookSubscription { since: last, ..webhook });
        self.head.revision += 1;
        Admitted::New
    }

    fn change(
        &mut self,
        id: WebhookId,
        change: &SubscriptionChange,
        last: u64,
        now: Timestamp,
    ) -> Option<WebhookSubscription> {
        let kept = self.subscriptions.get_mut(&id)?;
        let before = kept.clone();
        change(kept);
        kept.since = if kept.is_active && !before.is_active { last } else { before.since };
        (kept.id, kept.tenant) = (before.id, before.tenant);
        (kept.created_at, kept.created_by) = (before.created_at, before.created_by);
        self.head.revision += 1;
        let changed = kept.clone();
        if !kept.is_active {
            let (id, why) = (kept.id, kept.stopped.clone().unwrap_or_else(|| DEACTIVATED.to_owned()));
            let pending = self.deliveries.values_mut().filter(|delivery| waits(delivery, id));
            pending.for_each(|delivery| {
                delivery.status = DeliveryStatus::Dead;
                delivery.next_attempt_at = None;
                delivery.last_error = Some(why.clone());
                delivery.ended_at = Some(now);
            });
        }
        Some(changed)
    }

    fn delete(&mut self, id: WebhookId) -> bool {
        let was_there = self.subscriptions.remove(&id).is_some();
        self.deliveries.retain(|_, delivery| delivery.webhook != id);
        self.forget_keys();
        self.head.revision += u64::from(was_there);
        was_there
    }

    fn forget_keys(&mut self) {
        self.keys.retain(|_, key| self.deliveries.contains_key(key));
    }

    fn list(&self, filter: &WebhookFilter) -> Page<WebhookSubscription> {
        let of_tenant =
            || self.subscriptions.values().filter(|kept| filter.tenant.is_none() || kept.tenant == filter.tenant);
        let after = of_tenant().filter(|kept| filter.after.is_none_or(|after| kept.id > after));
        Page { items: after.take(filter.limit.rows() as usize).cloned().collect(), total: of_tenant().count() as u64 }
    }

    fn make(&mut self, made: MadeDeliveries) -> bool {
        if made.head != self.head {
            return false;
        }
        self.head.position = made.up_to;
        let mut pending = HashMap::new();
        for delivery in made.deliveries {
            let id = delivery.webhook;
            let count = pending
                .entry(id)
                .or_insert_with(|| self.deliveries.values().filter(|delivery| waits(delivery, id)).count());
            let is_beyond = *count >= PENDING_DELIVERIES_MAX as usize;
            *count += 1;
            self.insert_delivery(if is_beyond { beyond_pending(delivery) } else { delivery });
        }
        true
    }

    fn insert_delivery(&mut self, delivery: WebhookDelivery) -> bool {
        if !self.subscriptions.contains_key(&delivery.webhook) || self.keys.contains_key(&delivery.id) {
            return false;
        }
        self.last_key += 1;
        self.keys.insert(delivery.id, self.last_key);
        self.deliveries.insert(self.last_key, delivery);
        true
    }

    fn list_deliveries(&self, filter: &DeliveryFilter) -> Page<(u64, WebhookDelivery)> {
        let matching = || {
            self.deliveries.iter().rev().filter(|(_, delivery)| {
                delivery.webhook == filter.webhook && filter.status.is_none_or(|status| delivery.status == status)
            })
        };
        let before = matching().filter(|(key, _)| filter.before.is_none_or(|before| **key < before));
        let items = before.take(filter.limit.rows() as usize).map(|(key, delivery)| (*key, delivery.clone()));
        Page { items: items.collect(), total: matching().count() as u64 }
    }

    fn waiting(&self) -> Vec<WebhookId> {
        let has_pending = |id| self.deliveries.values().any(|delivery| waits(delivery, id));
        let active = self.subscriptions.values().filter(|kept| kept.is_active).map(|kept| kept.id);
        active.filter(|id| has_pending(*id)).collect()
    }

    fn pending(&self, webhook: WebhookId, limit: u32) -> Vec<WebhookDelivery> {
        let mut pending: Vec<_> =
            self.deliveries.values().filter(|delivery| waits(delivery, webhook)).cloned().collect();
        pending.sort_by_key(|delivery| delivery.next_attempt_at);
        pending.truncate(limit.min(LIST_LEN_MAX) as usize);
        pending
    }

    fn put_attempt(&mut self, delivery: WebhookDelivery) -> bool {
        let kept = self.keys.get(&delivery.id).and_then(|key| self.deliveries.get_mut(key));
        let is_next = |kept: &WebhookDelivery| waits(kept, delivery.webhook) && kept.attempts + 1 == delivery.attempts;
        match kept.filter(|kept| is_next(kept)) {
            Some(kept) => {
                *kept = delivery;
                true
            }
            None => false,
        }
    }

    fn redeliver(&mut self, webhook: WebhookId, which: Redelivered, now: Timestamp) -> u64 {
        let is_wanted = |delivery: &WebhookDelivery| match which {
            Redelivered::One(id) => delivery.id == id,
            Redelivered::DeadSince(since) => {
                delivery.status == DeliveryStatus::Dead && delivery.ended_at.is_some_and(|at| at >= since)
            }
        };
        let of_webhook = self.deliveries.values_mut().filter(|delivery| delivery.webhook == webhook);
        let wanted = of_webhook.filter(|delivery| is_wanted(delivery)).take(LIST_LEN_MAX as usize);
        let mut changed = 0;
        for delivery in wanted {
            // Of what waits the attempts still count, so that what comes of one under way is kept.
            if delivery.status != DeliveryStatus::Pending {
                delivery.status = DeliveryStatus::Pending;
                delivery.attempts = 0;
            }
            delivery.next_attempt_at = Some(delivery.next_attempt_at.map_or(now, |next| next.min(now)));
            delivery.ended_at = None;
            changed += 1;
        }
        changed
    }

    fn forget(&mut self, ended_before: Timestamp) -> u64 {
        let is_old = |delivery: &WebhookDelivery| delivery.ended_at.is_some_and(|at| at < ended_before);
        let old = self.deliveries.iter().filter(|(_, delivery)| is_old(delivery)).map(|(key, _)| *key);
        let mut gone: Vec<u64> = old.take(LIST_LEN_MAX as usize).collect();
        let mut kept = HashMap::new();
        for (key, delivery) in self.deliveries.iter().rev().filter(|(key, _)| !gone.contains(key)).collect::<Vec<_>>() {
            if delivery.status != DeliveryStatus::Pending {
                let count = kept.entry((delivery.webhook, delivery.status)).or_insert(0);
                *count += 1;
                let beyond = ENDED_DELIVERIES_MAX..ENDED_DELIVERIES_MAX + LIST_LEN_MAX;
                if beyond.contains(&(*count - 1)) {
                    gone.push(*key);
                }
            }
        }
        gone.iter().for_each(|key| drop(self.deliveries.remove(key)));
        self.forget_keys();
        gone.len() as u64
    }
}

fn waits(delivery: &WebhookDelivery, webhook: WebhookId) -> bool {
    delivery.webhook == webhook && delivery.status == DeliveryStatus::Pending
}

#[async_trait]
impl WebhookStore for MemoryStore {
    async fn webhook_head(&self) -> Result<WebhookHead, StoreError> {
        Ok(self.state().webhooks.head)
    }

    async fn insert_webhook(&self, webhook: WebhookSubscription, max: u64) -> Result<Admitted, StoreError> {
        let mut state = self.state();
        let last = state.instances.last_position();
        Ok(state.webhooks.insert(webhook, last, max))
    }

    async fn find_webhook(&self, id: WebhookId) -> Result<Option<WebhookSubscription>, StoreError> {
        Ok(self.state().webhooks.subscriptions.get(&id).cloned())
    }

    async fn list_webhooks(&self, filter: &WebhookFilter) -> Result<Page<WebhookSubscription>, StoreError> {
        Ok(self.state().webhooks.list(filter))
    }

    async fn change_webhook(
        &self,
        id: WebhookId,
        change: SubscriptionChange,
        now: Timestamp,
    ) -> Result<Option<WebhookSubscription>, StoreError> {
        let mut state = self.state();
        let last = state.instances.last_position();
        Ok(state.webhooks.change(id, &change, last, now))
    }

    async fn delete_webhook(&self, id: WebhookId) -> Result<bool, StoreError> {
        Ok(self.state().webhooks.delete(id))
    }

    async fn make_deliveries(&self, made: MadeDeliveries) -> Result<bool, StoreError> {
        Ok(self.state().webhooks.make(made))
    }

    async fn insert_delivery(&self, delivery: WebhookDelivery) -> Result<bool, StoreError> {
        Ok(self.state().webhooks.insert_delivery(delivery))
    }

    async fn find_delivery(&self, id: DeliveryId) -> Result<Option<WebhookDelivery>, StoreError> {
        let state = self.state();
        let webhooks = &state.webhooks;
        Ok(webhooks.keys.get(&id).and_then(|key| webhooks.deliveries.get(key)).cloned())
    }

    async fn list_deliveries(&self, filter: &DeliveryFilter) -> Result<Page<(u64, WebhookDelivery)>, StoreError> {
        Ok(self.state().webhooks.list_deliveries(filter))
    }

    async fn list_waiting_webhooks(&self) -> Result<Vec<WebhookId>, StoreError> {
        Ok(self.state().webhooks.waiting())
    }

    async fn list_pending(&self, webhook: WebhookId, limit: u32) -> Result<Vec<WebhookDelivery>, StoreError> {
        Ok(self.state().webhooks.pending(webhook, limit))
    }

    async fn put_attempt(&self, delivery: WebhookDelivery) -> Result<bool, StoreError> {
        Ok(self.state().webhooks.put_attempt(delivery))
    }

    async fn redeliver(&self, webhook: WebhookId, which: Redelivered, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state().webhooks.redeliver(webhook, which, now))
    }

    async fn forget_deliveries(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state().webhooks.forget(ended_before))
    }
}
