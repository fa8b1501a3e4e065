//! Subscriptions: what may be subscribed, and what nobody sees.

use stepcell_model::id::WebhookId;
use stepcell_model::webhook::WebhookSubscription;
use stepcell_store::conformance::fixture::tenant;
use stepcell_store::{PageLimit, WebhookFilter};
use stepcell_webhooks::{WEBHOOKS_LEN_MAX, WebhookChange, WebhookEdit, WebhookError};

use crate::kit::{Host, subscription, wanted};

const URL: &str = "https://example.com/in";

#[tokio::test]
async fn addresses_to_which_nothing_can_be_sent_are_refused() {
    let host = Host::new().await;
    for url in ["https://exa_mple..com/", "http://127.1/", "http://0x7f.1/", "https://example.com:0/", "https://a:b:c/"]
    {
        let refused = host.webhooks.subscribe(subscription(None, wanted(url))).await;
        assert!(matches!(refused, Err(WebhookError::Address { .. })), "{url}: {refused:?}");
    }
    let long = WebhookChange { description: Some("x".repeat(1_025)), ..wanted(URL) };
    assert!(matches!(host.webhooks.subscribe(subscription(None, long)).await, Err(WebhookError::Description { .. })));
}

#[tokio::test]
async fn a_tenant_has_no_more_subscriptions_than_there_is_room_for() {
    let host = Host::new().await;
    for _ in 0..WEBHOOKS_LEN_MAX {
        host.subscribe(Some("acme"), URL).await;
    }

    let refused = host.webhooks.subscribe(subscription(Some("acme"), wanted(URL))).await;

    assert!(matches!(refused, Err(WebhookError::TooMany { max: WEBHOOKS_LEN_MAX })));
    host.subscribe(Some("bolt"), URL).await;
    host.subscribe(None, URL).await;
    let filter = WebhookFilter { tenant: Some(tenant("acme")), after: None, limit: PageLimit::clamped(1) };
    assert_eq!(host.webhooks.list(&filter).await.unwrap().total, WEBHOOKS_LEN_MAX);
}

#[tokio::test]
async fn a_secret_is_told_once_and_kept_encrypted() {
    let host = Host::new().await;

    let subscribed = host.subscribe(None, URL).await;

    assert!(subscribed.secret.expose().starts_with("whsec_"));
    assert!(!format!("{subscribed:?}").contains(subscribed.secret.expose()));
    let kept = host.webhooks.load(subscribed.webhook.id).await.unwrap();
    assert!(kept.secret.current.len() > 32 + 24);
    assert_ne!(host.subscribe(None, URL).await.secret, subscribed.secret);
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let host = Host::new().await;
    let nobody = WebhookId::from_uuid(*host.subscribe(None, URL).await.webhook.id.as_uuid());
    host.webhooks.delete(nobody).await.unwrap();

    let is_missing = |refused: &WebhookError| matches!(refused, WebhookError::NotFound { id } if *id == nobody);
    assert!(is_missing(&host.webhooks.load(nobody).await.unwrap_err()));
    assert!(is_missing(&host.webhooks.delete(nobody).await.unwrap_err()));
    assert!(is_missing(&host.webhooks.ping(nobody).await.unwrap_err()));
    assert!(is_missing(&host.webhooks.rotate_secret(nobody).await.unwrap_err()));
    assert!(is_missing(&host.webhooks.change(nobody, wanted(URL)).await.unwrap_err()));
}

#[tokio::test]
async fn what_an_edit_does_not_name_stays_as_it_is_whatever_happened_meanwhile() {
    let host = Host::new().await;
    let wanted = WebhookChange { description: Some("ours".to_owned()), ..wanted(URL) };
    let webhook = host.webhooks.subscribe(subscription(None, wanted)).await.unwrap().webhook;
    let (webhooks, now) = (&host.webhooks, webhook.created_at);
    let stop = |kept: &mut WebhookSubscription| {
        (kept.is_active, kept.stopped) = (false, Some("its address is gone".to_owned()));
    };
    webhooks.engine().store().change_webhook(webhook.id, Box::new(stop), now).await.unwrap().unwrap();

    let elsewhere = WebhookEdit { url: Some("https://example.com/x".parse().unwrap()), ..WebhookEdit::default() };
    let moved = webhooks.edit(webhook.id, elsewhere).await.unwrap();
    let nothing = WebhookEdit { description: Some(None), is_active: Some(true), ..WebhookEdit::default() };
    let active = webhooks.edit(webhook.id, nothing).await.unwrap();

    assert_eq!((moved.url.as_str(), moved.is_active), ("https://example.com/x", false));
    assert_eq!((moved.stopped.as_deref(), moved.description.as_deref()), (Some("its address is gone"), Some("ours")));
    assert_eq!((active.url, active.stopped, active.description, active.is_active), (moved.url, None, None, true));
    let bad = WebhookEdit { url: Some("https://a:b:c/".parse().unwrap()), ..WebhookEdit::default() };
    assert!(matches!(webhooks.edit(webhook.id, bad).await, Err(WebhookError::Address { .. })));
}
