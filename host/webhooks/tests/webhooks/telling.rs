//! What is told, to whom, and how it is signed.

use serde_json::json;
use stepcell_engine::EventType;
use stepcell_model::history::Event;
use stepcell_model::time::Timestamp;
use stepcell_model::webhook::DeliveryStatus;
use stepcell_store::conformance::fixture;
use stepcell_webhooks::{FORMER_SECRET_FOR, WebhookChange};

use crate::kit::{Host, NOW, Receiver, canceled, subscription, wanted};

#[tokio::test]
async fn an_event_is_told_once_signed_as_standard_webhooks_says() {
    let (host, receiver) = (Host::new().await, Receiver::well().await);
    let subscribed = host.subscribe(Some("acme"), &receiver.url()).await;

    let position = host.commit(1, Some("acme"), vec![Event::WorkflowWaiting, canceled("not needed")]).await;

    let deliveries = host.ended(subscribed.webhook.id, 2).await;
    let mut received = receiver.received(2).await;
    received.sort_by_key(|received| received.body()["type"].to_string());
    assert_eq!(received[0].path, "/in?a=b");
    assert_eq!(
        received[0].body(),
        json!({
            "type": "workflow_canceled",
            "timestamp": fixture::at(0).to_string(),
            "data": {
                "instance": fixture::instance(1), "workflow": "expense", "tenant": "acme", "position": position, "seq": 1,
                "reason": "not needed",
            },
        })
    );
    assert_eq!(received[1].body()["type"], "workflow_waiting");
    for received in &received {
        assert!(received.is_signed_with(subscribed.secret.expose()));
        assert!(!received.is_signed_with("whsec_AAAA"));
        assert_eq!(received.header("content-type"), "application/json");
        assert_eq!(received.header("webhook-timestamp"), (NOW.unix_ms() / 1000).to_string());
        assert_eq!(received.header("idempotency-key"), received.header("webhook-id"));
        assert!(deliveries.iter().any(|delivery| delivery.id.to_string() == received.header("webhook-id")));
    }
    for delivery in deliveries {
        assert_eq!((delivery.status, delivery.last_status), (DeliveryStatus::Delivered, Some(204)));
        assert_eq!((delivery.attempts, delivery.ended_at), (1, Some(NOW)));
    }
}

#[tokio::test]
async fn a_tenant_is_told_of_its_own_instances_alone_and_of_what_it_asked_for() {
    let (host, receiver) = (Host::new().await, Receiver::well().await);
    let of_acme = host.subscribe(Some("acme"), &receiver.url()).await.webhook.id;
    let of_bolt = host.subscribe(Some("bolt"), &receiver.url()).await.webhook.id;
    let of_all = host.subscribe(None, &receiver.url()).await.webhook.id;
    let picky = WebhookChange { types: vec![EventType::WorkflowFailed], ..wanted(&receiver.url()) };
    let picky = host.webhooks.subscribe(subscription(None, picky)).await.unwrap().webhook.id;
    let other = WebhookChange { workflow: Some(fixture::workflow("order")), ..wanted(&receiver.url()) };
    let other = host.webhooks.subscribe(subscription(Some("acme"), other)).await.unwrap().webhook.id;

    let mine = host.commit(1, Some("acme"), vec![canceled("a")]).await;
    let nobodys = host.commit(2, None, vec![canceled("b")]).await;
    let theirs = host.commit(3, Some("bolt"), vec![canceled("c")]).await;

    host.ended(of_all, 3).await;
    host.ended(of_bolt, 1).await;
    host.ended(of_acme, 1).await;
    let told = async |id| host.deliveries(id).await.iter().map(|delivery| delivery.position).collect::<Vec<_>>();
    assert_eq!(told(of_acme).await, [mine]);
    assert_eq!(told(of_bolt).await, [theirs]);
    assert_eq!(told(of_all).await, [mine, nobodys, theirs]);
    assert!(told(picky).await.is_empty() && told(other).await.is_empty());
}

#[tokio::test]
async fn a_subscription_tells_of_what_comes_after_it_and_of_nothing_while_it_is_not_active() {
    let (host, receiver) = (Host::new().await, Receiver::well().await);
    let witness = host.subscribe(None, &receiver.url()).await.webhook.id;
    host.commit(1, None, vec![canceled("before")]).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;
    let second = host.commit(2, None, vec![canceled("told")]).await;
    host.ended(id, 1).await;

    let inactive = WebhookChange { is_active: false, ..wanted(&receiver.url()) };
    host.webhooks.change(id, inactive).await.unwrap();
    host.commit(3, None, vec![canceled("meanwhile")]).await;
    host.ended(witness, 3).await;
    host.webhooks.change(id, wanted(&receiver.url())).await.unwrap();
    let fourth = host.commit(4, None, vec![canceled("again")]).await;

    let told: Vec<_> = host.ended(id, 2).await.iter().map(|delivery| delivery.position).collect();
    assert_eq!(told, [second, fourth]);
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_one_before_for_a_day() {
    let (host, receiver) = (Host::new().await, Receiver::well().await);
    let first = host.subscribe(None, &receiver.url()).await;
    let id = first.webhook.id;

    let second = host.webhooks.rotate_secret(id).await.unwrap();
    host.webhooks.ping(id).await.unwrap();
    let during = receiver.received(1).await.remove(0);
    host.clock.advance(FORMER_SECRET_FOR);
    host.webhooks.ping(id).await.unwrap();
    let after = receiver.received(2).await.remove(1);

    assert_ne!(first.secret, second.secret);
    let signed = |received: &crate::kit::Received| {
        [&first, &second].map(|subscribed| received.is_signed_with(subscribed.secret.expose()))
    };
    assert_eq!(signed(&during), [true, true]);
    assert_eq!(signed(&after), [false, true]);
    assert_eq!(during.body()["type"], "ping");
    assert_eq!(during.body()["timestamp"], NOW.to_string());
}

#[tokio::test]
async fn a_ping_is_a_delivery_like_any_other() {
    let (host, receiver) = (Host::new().await, Receiver::well().await);
    let id = host.subscribe(Some("acme"), &receiver.url()).await.webhook.id;

    let ping = host.webhooks.ping(id).await.unwrap();

    let ended = host.ended(id, 1).await;
    assert_eq!((ended[0].id, ended[0].event_type.as_str()), (ping.id, "ping"));
    assert_eq!(receiver.received(1).await[0].body()["data"], json!({ "webhook": id }));
    assert!(ended[0].ended_at > Some(Timestamp::from_unix_ms(0)));
}
