//! Servers that do not take what they are told.

use std::sync::Arc;

use stepcell_model::time::Timestamp;
use stepcell_model::webhook::DeliveryStatus;
use stepcell_store::MemoryStore;
use stepcell_webhooks::{RETRY_DELAYS, WebhookError};

use crate::kit::{Answer, Host, NOW, Receiver, canceled};

#[tokio::test]
async fn what_is_refused_is_tried_again_later_each_time_until_it_is_taken() {
    let mut host = Host::new().await;
    let receiver =
        Receiver::new(vec![Answer::Status(500), Answer::Status(503), Answer::Status(301)], Answer::Status(200)).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;

    host.commit(1, None, vec![canceled("a")]).await;
    for (attempt, (status, delay)) in (1..).zip([500, 503, 301].into_iter().zip(RETRY_DELAYS)) {
        host.attempted(attempt).await;
        let waiting = host.until(id, |found| found.len() == 1 && u64::from(found[0].attempts) == attempt).await;
        assert_eq!(waiting[0].last_status, Some(status));
        assert!(waiting[0].next_attempt_at.unwrap().since(host.webhooks.engine().clock().now()) >= delay);
        host.pass_to_next_attempt(id).await;
    }

    let taken = host.ended(id, 1).await;
    assert_eq!((taken[0].status, taken[0].attempts), (DeliveryStatus::Delivered, 4));
    let received = receiver.received(4).await;
    let ids: std::collections::BTreeSet<_> = received.iter().map(|received| received.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "the same whichever attempt");
    assert!(received[3].header("webhook-timestamp") > received[0].header("webhook-timestamp"));
}

#[tokio::test]
async fn what_is_never_taken_is_dead_after_the_last_attempt_and_may_be_sent_anew() {
    let mut host = Host::new().await;
    let receiver = Receiver::new(vec![Answer::Status(500); 20], Answer::Status(200)).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;
    host.commit(1, None, vec![canceled("a")]).await;
    host.commit(2, None, vec![canceled("b")]).await;

    let tries = RETRY_DELAYS.len() as u64 + 1;
    let mut dead = host.until(id, |found| found.len() == 2).await;
    for _ in 0..2 * tries {
        let pending: Vec<_> = host.store.list_pending(id, 10).await.unwrap();
        let Some(first) = pending.first() else { break };
        let before = *host.attempts.borrow();
        host.clock.set(first.next_attempt_at.unwrap().max(host.webhooks.engine().clock().now()));
        host.attempted(before + 1).await;
        dead = host.deliveries(id).await;
    }
    dead =
        if dead.iter().any(|found| found.status == DeliveryStatus::Pending) { host.ended(id, 2).await } else { dead };
    assert!(dead.iter().all(|found| (found.status, u64::from(found.attempts)) == (DeliveryStatus::Dead, tries)));
    assert!(dead.iter().all(|found| found.last_error.as_deref() == Some("it answered 500")));
    receiver.received(20).await;

    let anew = host.webhooks.redeliver(id, dead[0].id).await.unwrap();
    assert_eq!((anew.id, anew.created_at), (dead[0].id, dead[0].created_at));
    host.until(id, |found| found[0].status == DeliveryStatus::Delivered).await;
    assert_eq!(host.deliveries(id).await[1].status, DeliveryStatus::Dead);
    let late = host.webhooks.engine().clock().now().after(std::time::Duration::from_secs(1));
    assert_eq!(host.webhooks.redeliver_dead(id, late).await.unwrap(), 0);
    assert_eq!(host.webhooks.redeliver_dead(id, NOW).await.unwrap(), 1);
    host.until(id, |found| found.iter().all(|found| found.status == DeliveryStatus::Delivered)).await;
}

#[tokio::test]
async fn what_waits_for_its_next_attempt_is_sent_at_once_when_somebody_asks_for_it() {
    let mut host = Host::new().await;
    let receiver = Receiver::new(vec![Answer::Status(500)], Answer::Status(200)).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;
    host.commit(1, None, vec![canceled("a")]).await;
    host.attempted(1).await;
    let waiting = host.deliveries(id).await;
    let now = host.webhooks.engine().clock().now();
    assert!(waiting[0].next_attempt_at.unwrap() > now);

    // The clock stands still: its next attempt is never due by itself.
    let anew = host.webhooks.redeliver(id, waiting[0].id).await.unwrap();

    assert_eq!((anew.status, anew.attempts, anew.next_attempt_at), (DeliveryStatus::Pending, 1, Some(now)));
    let taken = host.ended(id, 1).await;
    assert_eq!((taken[0].status, taken[0].attempts), (DeliveryStatus::Delivered, 2));
}

#[tokio::test]
async fn an_address_that_is_gone_is_told_nothing_more() {
    let mut host = Host::new().await;
    let receiver = Receiver::new(vec![], Answer::Status(410)).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;

    host.commit(1, None, vec![canceled("a")]).await;

    host.attempted(1).await;
    let dead = host.ended(id, 1).await;
    assert_eq!((dead[0].status, dead[0].last_status), (DeliveryStatus::Dead, Some(410)));
    let stopped = host.webhooks.load(id).await.unwrap().stopped;
    assert_eq!(stopped.as_deref(), Some("its address answered 410 Gone"));
    host.commit(2, None, vec![canceled("b")]).await;
    assert!(matches!(host.webhooks.ping(id).await, Err(WebhookError::Inactive)));
    assert!(matches!(host.webhooks.redeliver(id, dead[0].id).await, Err(WebhookError::Inactive)));
    let witness = Receiver::well().await;
    let other = host.subscribe(None, &witness.url()).await.webhook.id;
    host.commit(3, None, vec![canceled("c")]).await;
    host.ended(other, 1).await;
    assert_eq!((host.deliveries(id).await.len(), receiver.so_far().len()), (1, 1));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut host = Host::new().await;
    let elsewhere = Receiver::well().await;
    let redirect = Answer::With(307, format!("location: {}", elsewhere.url()));
    let receiver = Receiver::new(vec![], redirect).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;

    host.commit(1, None, vec![canceled("a")]).await;
    host.attempted(1).await;

    let waiting = host.until(id, |found| found.first().is_some_and(|found| found.attempts == 1)).await;
    assert_eq!((waiting[0].status, waiting[0].last_status), (DeliveryStatus::Pending, Some(307)));
    assert!(elsewhere.so_far().is_empty());
}

#[tokio::test]
async fn an_answer_without_end_is_broken_off() {
    let mut host = Host::new().await;
    let receiver = Receiver::new(vec![Answer::Flood], Answer::Status(200)).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;

    host.commit(1, None, vec![canceled("a")]).await;
    host.attempted(1).await;

    let waiting = host.until(id, |found| found.first().is_some_and(|found| found.attempts == 1)).await;
    assert!(waiting[0].last_error.as_ref().unwrap().contains("larger than 65536 bytes"), "{:?}", waiting[0].last_error);
    host.pass_to_next_attempt(id).await;
    assert_eq!(host.ended(id, 1).await[0].status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn whoever_never_answers_delays_nobody_else() {
    let host = Host::new().await;
    let (deaf, well) = (Receiver::new(vec![], Answer::Never).await, Receiver::well().await);
    for _ in 0..10 {
        host.subscribe(Some("bolt"), &deaf.url()).await;
    }
    let id = host.subscribe(Some("acme"), &well.url()).await.webhook.id;

    for number in 1..=20 {
        host.commit(number, Some("bolt"), vec![canceled("a")]).await;
        host.commit(100 + number, Some("acme"), vec![canceled("b")]).await;
    }

    let told = host.ended(id, 20).await;
    assert!(told.iter().all(|told| told.status == DeliveryStatus::Delivered));
    assert!(deaf.received(16).await.len() <= 16, "no more at once than a tenant may");
}

#[tokio::test]
async fn an_address_that_is_not_public_is_told_nothing_unless_the_operator_opens_its_network() {
    let mut host = Host::on(Arc::new(MemoryStore::new()), NOW).await;
    let receiver = Receiver::well().await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;

    host.commit(1, None, vec![canceled("a")]).await;
    host.attempted(1).await;
    let waiting = host.until(id, |found| found.first().is_some_and(|found| found.attempts == 1)).await;
    assert!(waiting[0].last_error.as_ref().unwrap().contains("not public"), "{:?}", waiting[0].last_error);
    assert!(receiver.so_far().is_empty());

    host.open_loopback().await;
    host.pass_to_next_attempt(id).await;
    assert_eq!(host.ended(id, 1).await[0].status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn an_answer_may_ask_for_a_longer_wait() {
    let mut host = Host::new().await;
    let busy = Answer::With(429, "retry-after: 3600".to_owned());
    let receiver = Receiver::new(vec![busy], Answer::Status(200)).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;

    host.commit(1, None, vec![canceled("a")]).await;
    host.attempted(1).await;

    let waiting = host.until(id, |found| found.first().is_some_and(|found| found.attempts == 1)).await;
    assert_eq!(waiting[0].next_attempt_at, Some(Timestamp::from_unix_ms(NOW.unix_ms() + 3_600_000)));
}
