//! Outgoing webhooks: subscriptions, and deliveries that are made once of each stretch of history.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepcell_model::event_type::EventType;
use stepcell_model::id::{DeliveryId, WebhookId};
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, SealedWebhookSecret, WebhookDelivery, WebhookSubscription};
use uuid::Uuid;

use super::fixture::{after, at, register, start, tenant, user, workflow};
use crate::{
    Admitted, DeliveryFilter, ENDED_DELIVERIES_MAX, MadeDeliveries, PENDING_DELIVERIES_MAX, PageLimit, Redelivered,
    StoreError, WebhookFilter, WorkflowStore,
};

type Outcome = Result<(), StoreError>;

/// Room for every subscription of the suite.
const ROOM: u64 = 100;

pub(super) fn id(number: u128) -> WebhookId {
    WebhookId::from_uuid(Uuid::from_u128(number))
}

/// The subscription with that number, with every field in use.
pub(super) fn subscription(number: u128, of: Option<&str>) -> WebhookSubscription {
    WebhookSubscription {
        id: id(number),
        tenant: of.map(tenant),
        url: "https://example.com/hooks?a=b".parse().expect("the suite's addresses are valid"),
        types: vec![EventType::WorkflowFailed, EventType::TaskCreated],
        workflow: Some(workflow("expense")),
        description: Some("for \"us\"".to_owned()),
        is_active: true,
        stopped: None,
        since: 0,
        created_at: at(3),
        created_by: Some(user("ann")),
        secret: SealedWebhookSecret { current: vec![0, 1, 255], former: Some((vec![7], at(9))) },
    }
}

fn delivery(of: u128, position: u64, index: u32) -> WebhookDelivery {
    WebhookDelivery {
        id: id(of).delivery_of(position, index),
        webhook: id(of),
        position,
        index,
        event_type: "task_created".to_owned(),
        body: json!({ "type": "task_created", "data": { "ü": 1.5 } }).into(),
        status: DeliveryStatus::Pending,
        attempts: 0,
        next_attempt_at: Some(at(10)),
        last_status: None,
        last_error: None,
        created_at: at(10),
        ended_at: None,
    }
}

/// Makes deliveries of the stretch after where the last one ended.
async fn make(store: &Arc<dyn WorkflowStore>, deliveries: Vec<WebhookDelivery>) -> Result<bool, StoreError> {
    let head = store.webhook_head().await?;
    store.make_deliveries(MadeDeliveries { head, up_to: head.position + 1, deliveries }).await
}

async fn list(
    store: &Arc<dyn WorkflowStore>,
    of: u128,
    status: Option<DeliveryStatus>,
) -> Result<Vec<WebhookDelivery>, StoreError> {
    let filter = DeliveryFilter { webhook: id(of), status, before: None, limit: PageLimit::MAX };
    let page = store.list_deliveries(&filter).await?;
    assert_eq!(page.total, page.items.len() as u64);
    Ok(page.items.into_iter().map(|(_, delivery)| delivery).collect())
}

fn failed(delivery: &WebhookDelivery, next_attempt_at: Timestamp) -> WebhookDelivery {
    WebhookDelivery {
        attempts: delivery.attempts + 1,
        next_attempt_at: Some(next_attempt_at),
        last_status: Some(500),
        last_error: Some("it answered 500".to_owned()),
        ..delivery.clone()
    }
}

/// Puts a subscription in place of the one with its id.
async fn put(
    store: &Arc<dyn WorkflowStore>,
    webhook: WebhookSubscription,
    now: Timestamp,
) -> Result<Option<WebhookSubscription>, StoreError> {
    store.change_webhook(webhook.id, Box::new(move |kept| *kept = webhook.clone()), now).await
}

fn ended(delivery: &WebhookDelivery, status: DeliveryStatus, ended_at: Timestamp) -> WebhookDelivery {
    let next = failed(delivery, ended_at);
    WebhookDelivery { status, next_attempt_at: None, ended_at: Some(ended_at), ..next }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_subscription_reads_back_and_every_change_raises_the_revision(store: Arc<dyn WorkflowStore>) -> Outcome {
    let plain = WebhookSubscription {
        types: vec![],
        workflow: None,
        description: None,
        created_by: None,
        secret: SealedWebhookSecret { current: vec![1], former: None },
        ..subscription(2, None)
    };
    assert_eq!(store.insert_webhook(subscription(1, Some("acme")), ROOM).await?, Admitted::New);
    assert_eq!(store.insert_webhook(subscription(1, None), ROOM).await?, Admitted::AlreadyThere);
    assert_eq!(store.insert_webhook(plain.clone(), ROOM).await?, Admitted::New);
    assert_eq!(store.find_webhook(id(1)).await?, Some(subscription(1, Some("acme"))));
    assert_eq!(store.find_webhook(id(2)).await?, Some(plain.clone()));
    assert_eq!(store.find_webhook(id(3)).await?, None);
    assert_eq!(store.webhook_head().await?.revision, 2);

    let changed = WebhookSubscription { created_at: at(99), created_by: None, tenant: Some(tenant("acme")), ..plain };
    let changed = WebhookSubscription { id: id(1), ..changed };
    let elsewhere = WebhookSubscription { tenant: Some(tenant("bolt")), ..changed.clone() };
    let told = put(&store, elsewhere, at(50)).await?;
    let kept = WebhookSubscription { created_at: at(3), created_by: Some(user("ann")), ..changed };
    assert_eq!(told.as_ref(), Some(&kept), "it stays whose it is");
    assert_eq!(store.find_webhook(id(1)).await?, Some(kept));
    assert_eq!(put(&store, subscription(9, None), at(50)).await?, None);
    assert!(store.delete_webhook(id(1)).await?);
    assert!(!store.delete_webhook(id(1)).await?);
    assert_eq!(store.webhook_head().await?.revision, 4);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn subscriptions_are_listed_by_id_and_tenant(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (number, of) in [(3, Some("acme")), (1, None), (2, Some("acme")), (4, Some("bolt"))] {
        store.insert_webhook(subscription(number, of), ROOM).await?;
    }
    let listed = async |tenant: Option<&str>, after: Option<u128>, rows| {
        let limit = PageLimit::clamped(rows);
        let filter = WebhookFilter { tenant: tenant.map(super::fixture::tenant), after: after.map(id), limit };
        let page = store.list_webhooks(&filter).await?;
        let ids = page.items.iter().map(|kept| kept.id.as_uuid().as_u128()).collect::<Vec<_>>();
        Ok::<_, StoreError>((ids, page.total))
    };

    assert_eq!(listed(None, None, 10).await?, (vec![1, 2, 3, 4], 4));
    assert_eq!(listed(None, Some(1), 2).await?, (vec![2, 3], 4));
    assert_eq!(listed(Some("acme"), None, 1).await?, (vec![2], 2));
    assert_eq!(listed(Some("acme"), Some(2), 10).await?, (vec![3], 2));
    assert_eq!(listed(Some("nobody"), None, 10).await?, (vec![], 0));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_subscription_tells_of_what_is_committed_once_it_is_active(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = start(1);
    store.commit(first.clone()).await?;
    store.insert_webhook(WebhookSubscription { since: 77, ..subscription(1, None) }, ROOM).await?;
    let since = async || Ok::<_, StoreError>(store.find_webhook(id(1)).await?.map(|kept| kept.since));
    assert_eq!(since().await?, Some(1));
    let second = after(&first);
    store.commit(second.clone()).await?;

    let changed = WebhookSubscription { description: None, ..subscription(1, None) };
    put(&store, changed.clone(), at(50)).await?;
    assert_eq!(since().await?, Some(1), "it was active all the time");
    put(&store, WebhookSubscription { is_active: false, ..changed.clone() }, at(50)).await?;
    assert_eq!(since().await?, Some(1));
    store.commit(after(&second)).await?;
    put(&store, changed, at(50)).await?;

    assert_eq!(since().await?, Some(3));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn deliveries_are_made_once_of_each_stretch_of_history(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    let head = store.webhook_head().await?;
    let made = MadeDeliveries { head, up_to: 9, deliveries: vec![delivery(1, 8, 0), delivery(1, 8, 1)] };

    assert!(store.make_deliveries(made.clone()).await?);
    assert!(!store.make_deliveries(made.clone()).await?, "the position is another");
    let head = store.webhook_head().await?;
    assert_eq!((head.revision, head.position), (1, 9));
    store.insert_webhook(subscription(2, None), ROOM).await?;
    let late = MadeDeliveries { head, up_to: 10, deliveries: vec![delivery(1, 10, 0)] };
    assert!(!store.make_deliveries(late).await?, "the subscriptions are others");
    let nobodys = delivery(3, 10, 0);
    assert!(make(&store, vec![nobodys.clone(), delivery(1, 8, 0), delivery(2, 10, 3)]).await?);

    assert_eq!(list(&store, 1, None).await?, [delivery(1, 8, 1), delivery(1, 8, 0)]);
    assert_eq!(list(&store, 2, None).await?, [delivery(2, 10, 3)]);
    assert_eq!(store.find_delivery(nobodys.id).await?, None);
    assert_eq!(store.find_delivery(delivery(1, 8, 1).id).await?, Some(delivery(1, 8, 1)));
    assert!(!store.insert_delivery(nobodys).await?);
    let ping = WebhookDelivery { id: DeliveryId::from_uuid(Uuid::from_u128(5)), ..delivery(1, 0, 0) };
    assert!(store.insert_delivery(ping.clone()).await?);
    assert_eq!(store.find_delivery(ping.id).await?, Some(ping));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn pending_deliveries_are_listed_by_the_time_of_their_next_attempt(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    store.insert_webhook(subscription(2, None), ROOM).await?;
    let [first, second, third] = [0, 1, 2].map(|index| delivery(1, 1, index));
    make(&store, vec![first.clone(), second.clone(), third.clone(), delivery(2, 1, 0)]).await?;

    let again = failed(&first, at(30));
    assert!(store.put_attempt(again.clone()).await?);
    assert!(!store.put_attempt(again.clone()).await?, "that attempt is counted already");
    assert!(store.put_attempt(ended(&second, DeliveryStatus::Delivered, at(20))).await?);
    assert!(!store.put_attempt(failed(&failed(&second, at(20)), at(20))).await?, "it does not wait any more");

    assert_eq!(store.list_pending(id(1), 10).await?, [third.clone(), again.clone()]);
    assert_eq!(store.list_pending(id(1), 1).await?, [third]);
    assert_eq!(store.list_waiting_webhooks().await?, [id(1), id(2)]);
    store.put_attempt(ended(&delivery(2, 1, 0), DeliveryStatus::Dead, at(20))).await?;
    assert_eq!(store.list_waiting_webhooks().await?, [id(1)]);
    assert_eq!(store.find_delivery(again.id).await?, Some(again));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn deliveries_are_listed_latest_first_and_by_status_in_pages(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    make(&store, (0..5).map(|index| delivery(1, 1, index)).collect()).await?;
    for index in [1, 3] {
        store.put_attempt(ended(&delivery(1, 1, index), DeliveryStatus::Dead, at(20))).await?;
    }
    let filter = DeliveryFilter { webhook: id(1), status: None, before: None, limit: PageLimit::clamped(2) };
    let (mut told, mut before) = (Vec::new(), None);
    loop {
        let page = store.list_deliveries(&DeliveryFilter { before, ..filter.clone() }).await?;
        assert_eq!(page.total, 5);
        let Some((last, _)) = page.items.last() else { break };
        before = Some(*last);
        told.extend(page.items.into_iter().map(|(_, delivery)| delivery.index));
    }
    assert_eq!(told, [4, 3, 2, 1, 0]);
    let dead = list(&store, 1, Some(DeliveryStatus::Dead)).await?;
    assert_eq!(dead.iter().map(|delivery| delivery.index).collect::<Vec<_>>(), [3, 1]);
    assert!(list(&store, 2, None).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_delivery_or_all_dead_ones_are_sent_anew(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    store.insert_webhook(subscription(2, None), ROOM).await?;
    let all: Vec<_> = (0..4).map(|index| delivery(1, 1, index)).collect();
    make(&store, all.clone()).await?;
    store.put_attempt(ended(&all[0], DeliveryStatus::Delivered, at(20))).await?;
    store.put_attempt(ended(&all[1], DeliveryStatus::Dead, at(21))).await?;
    store.put_attempt(ended(&all[2], DeliveryStatus::Dead, at(22))).await?;

    assert_eq!(store.redeliver(id(2), Redelivered::One(all[0].id), at(40)).await?, 0, "it is another's");
    assert_eq!(store.redeliver(id(1), Redelivered::One(all[0].id), at(40)).await?, 1);
    assert_eq!(store.redeliver(id(1), Redelivered::DeadSince(at(22)), at(41)).await?, 1);
    assert_eq!(store.redeliver(id(1), Redelivered::DeadSince(at(0)), at(42)).await?, 1);

    let anew = |index: usize, now| WebhookDelivery {
        next_attempt_at: Some(at(now)),
        last_status: Some(500),
        last_error: Some("it answered 500".to_owned()),
        ..all[index].clone()
    };
    assert_eq!(store.list_pending(id(1), 10).await?, [all[3].clone(), anew(0, 40), anew(2, 41), anew(1, 42)]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_delivery_that_waits_is_sent_anew_at_once_and_its_attempts_still_count(
    store: Arc<dyn WorkflowStore>,
) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    let [due, later] = [0, 1].map(|index| delivery(1, 1, index));
    make(&store, vec![due.clone(), later.clone()]).await?;
    let later = failed(&later, at(90));
    store.put_attempt(later.clone()).await?;

    assert_eq!(store.redeliver(id(1), Redelivered::DeadSince(at(0)), at(40)).await?, 0, "none of them is dead");
    assert_eq!(store.redeliver(id(1), Redelivered::One(later.id), at(40)).await?, 1);
    assert_eq!(store.redeliver(id(1), Redelivered::One(due.id), at(40)).await?, 1);

    let now = WebhookDelivery { next_attempt_at: Some(at(40)), ..later };
    assert_eq!(store.list_pending(id(1), 10).await?, [due, now.clone()], "what is due already waits no longer for it");
    assert!(store.put_attempt(failed(&now, at(120))).await?, "what comes of an attempt under way is kept");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_waits_for_a_subscription_is_dead_once_that_is_not_active(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    make(&store, vec![delivery(1, 1, 0), delivery(1, 1, 1)]).await?;
    store.put_attempt(ended(&delivery(1, 1, 0), DeliveryStatus::Delivered, at(20))).await?;
    let stopped = Some("it is gone".to_owned());

    let inactive = WebhookSubscription { is_active: false, stopped, ..subscription(1, None) };
    put(&store, inactive, at(30)).await?;

    let dead = list(&store, 1, Some(DeliveryStatus::Dead)).await?;
    let expected = WebhookDelivery {
        status: DeliveryStatus::Dead,
        next_attempt_at: None,
        last_error: Some("it is gone".to_owned()),
        ended_at: Some(at(30)),
        ..delivery(1, 1, 1)
    };
    assert_eq!(dead, [expected]);
    store.redeliver(id(1), Redelivered::DeadSince(at(0)), at(40)).await?;
    assert!(store.list_waiting_webhooks().await?.is_empty(), "nothing is sent for it");
    store.delete_webhook(id(1)).await?;
    assert!(list(&store, 1, None).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn no_more_deliveries_wait_or_are_kept_than_there_is_room_for(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, None), ROOM).await?;
    let many = (0..=PENDING_DELIVERIES_MAX).map(|index| delivery(1, 1, index)).collect();
    make(&store, many).await?;
    make(&store, vec![delivery(1, 2, 0)]).await?;

    let status = Some(DeliveryStatus::Dead);
    let dead = list(&store, 1, status).await?;
    let of_dead: Vec<_> = dead.iter().map(|delivery| (delivery.position, delivery.index)).collect();
    assert_eq!(of_dead, [(2, 0), (1, PENDING_DELIVERIES_MAX)]);
    assert_eq!(dead[0].ended_at, Some(at(10)));
    assert!(dead[0].last_error.as_ref().is_some_and(|error| error.starts_with("10000 deliveries")));

    put(&store, WebhookSubscription { is_active: false, ..subscription(1, None) }, at(30)).await?;
    let count = async |status| {
        let filter = DeliveryFilter { webhook: id(1), status, before: None, limit: PageLimit::clamped(1) };
        Ok::<_, StoreError>(store.list_deliveries(&filter).await?.total)
    };
    assert_eq!(count(status).await?, u64::from(ENDED_DELIVERIES_MAX) + 2);
    assert_eq!(store.forget_deliveries(at(0)).await?, 2);
    assert_eq!(count(status).await?, u64::from(ENDED_DELIVERIES_MAX));
    assert_eq!(store.find_delivery(delivery(1, 1, 0).id).await?, None, "the oldest went");
    assert_eq!(store.forget_deliveries(at(11)).await?, 2, "those that ended before");
    let later = at(30).after(Duration::from_secs(1));
    while store.forget_deliveries(later).await? > 0 {}
    assert_eq!(count(None).await?, 0);
    Ok(())
}
