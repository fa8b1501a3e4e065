//! Hosts that end in between: everything is told all the same, and made into one delivery.

use std::collections::BTreeSet;

use stepcell_model::webhook::DeliveryStatus;

use crate::kit::{Answer, Host, NOW, Receiver, canceled};

#[tokio::test]
async fn what_waits_and_what_happened_meanwhile_is_told_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(vec![Answer::Status(500)], Answer::Status(200)).await;
    let mut host = Host::on_sqlite(folder.path(), NOW).await;
    let id = host.subscribe(None, &receiver.url()).await.webhook.id;
    host.commit(1, None, vec![canceled("before")]).await;
    host.attempted(1).await;
    host.stop().await;
    host.commit(2, None, vec![canceled("meanwhile")]).await;
    let retry_at = host.store.list_pending(id, 1).await.unwrap()[0].next_attempt_at.unwrap();
    drop(host);

    let host = Host::on_sqlite(folder.path(), retry_at).await;

    let told = host.ended(id, 2).await;
    assert!(told.iter().all(|told| told.status == DeliveryStatus::Delivered));
    let attempts: BTreeSet<_> = told.iter().map(|told| (told.position, told.attempts)).collect();
    assert_eq!(attempts, [(1, 2), (2, 1)].into());
    let reasons: Vec<_> =
        receiver.received(3).await.iter().map(|received| received.body()["data"]["reason"].to_string()).collect();
    assert_eq!(reasons.iter().filter(|reason| *reason == "\"before\"").count(), 2);
}

#[tokio::test]
async fn each_event_is_made_into_one_delivery_and_told_however_often_the_host_ends() {
    const EVENTS: usize = 120;
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::well().await;
    let mut host = Host::on_sqlite(folder.path(), NOW).await;
    let id = host.subscribe(Some("acme"), &receiver.url()).await.webhook.id;

    for number in 0..EVENTS as u128 {
        let tenant = if number.is_multiple_of(3) { "bolt" } else { "acme" };
        host.commit(number + 1, Some(tenant), vec![canceled("a"), canceled("b")]).await;
        if number % 10 == 9 {
            host.kill();
            host.begin();
        }
    }

    let expected = EVENTS / 3 * 2 * 2;
    let told = host.ended(id, expected).await;
    let places: BTreeSet<_> = told.iter().map(|told| (told.position, told.index)).collect();
    assert_eq!((told.len(), places.len()), (expected, expected));
    assert!(told.iter().all(|told| told.status == DeliveryStatus::Delivered));
    let ids: BTreeSet<_> = told.iter().map(|told| told.id.to_string()).collect();
    let received: BTreeSet<_> =
        receiver.so_far().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert_eq!(received, ids);
}
