//! Requests that are made to harm: many at once, large without end, and credentials where they must not be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::future::join_all;
use futures::stream;
use serde_json::{Value, json};

use crate::kit::{Answer, TestApi, approval, echo, request};

/// How many send the same at once.
const AT_ONCE: usize = 1_000;

/// A body of 100 MiB, in parts of 1 MiB; counts those that were taken.
fn endless(taken: &Arc<AtomicUsize>) -> Body {
    let taken = Arc::clone(taken);
    let part = Bytes::from(vec![b' '; 1 << 20]);
    Body::from_stream(stream::iter((0..100).map(move |_| {
        taken.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(part.clone())
    })))
}

fn webhook() -> Value {
    json!({
        "schema": "stepcell/v1", "name": "hooked", "version": "1.0.0", "initial_step": "hook",
        "steps": { "hook": { "type": "webhook", "callback_key": "hook" } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_identical_starts_with_one_idempotency_key_are_one_instance() {
    for api in [TestApi::new().await, TestApi::on_sqlite().await] {
        api.define(&approval()).await;
        let start = || {
            let asked = request("POST", "acme-operator", "/api/v1/instances")
                .header("content-type", "application/json")
                .header("idempotency-key", "once");
            api.send(asked.body(json!({ "definition_name": "approval" }).to_string().into()).unwrap())
        };

        let answers: Vec<Answer> = join_all((0..AT_ONCE).map(|_| start())).await;

        let ids: BTreeSet<_> = answers.iter().map(|answer| answer.json()["id"].to_string()).collect();
        let new = answers.iter().filter(|answer| !answer.head.contains_key("idempotency-replayed")).count();
        assert!(answers.iter().all(|answer| answer.status == StatusCode::CREATED));
        assert_eq!((ids.len(), new), (1, 1));
        assert_eq!(api.get("acme-viewer", "/api/v1/instances").await.json()["total"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_copies_of_one_webhook_have_one_effect() {
    let api = TestApi::new().await;
    api.define(&webhook()).await;
    let id = api.start("acme-operator", "hooked").await;
    let address = api.get("acme-operator", &format!("/api/v1/instances/{id}/callbacks/hook")).await.json();
    let path = address["path"].as_str().unwrap();
    let deliver = || {
        let asked = request("POST", "", path).header("content-type", "application/json").header("webhook-id", "msg_1");
        api.send(asked.body(r#"{"paid": true}"#.into()).unwrap())
    };

    let answers: Vec<Answer> = join_all((0..AT_ONCE).map(|_| deliver())).await;

    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
    let harmless = |answer: &&Answer| [200, 202, 409].contains(&answer.status.as_u16());
    assert_eq!((accepted, answers.iter().filter(harmless).count()), (1, AT_ONCE));
    let history = api.get("acme-viewer", &format!("/api/v1/instances/{id}/history?limit=100")).await.json();
    let events = history["items"].as_array().unwrap();
    assert_eq!(events.iter().filter(|event| event["type"] == "step_completed").count(), 1, "{history}");
    assert_eq!(
        api.get("acme-viewer", &format!("/api/v1/instances/{id}")).await.json()["data"]["hook"],
        json!({ "paid": true })
    );
}

#[tokio::test]
async fn a_wrong_callback_token_tells_nothing_of_what_there_is() {
    let api = TestApi::new().await;
    api.define(&webhook()).await;
    let id = api.start("acme-operator", "hooked").await;
    let mut told = BTreeSet::new();
    for path in [
        format!("{id}/hook/AAAA"),
        format!("{id}/other/AAAA"),
        "01890000-0000-7000-8000-000000000000/hook/AAAA".to_owned(),
        "..%2F/hook/AAAA".to_owned(),
    ] {
        let answer = api.post("", &format!("/api/v1/callbacks/{path}"), &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "callback.refused"), "{path}");
        told.insert(answer.json()["detail"].to_string());
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn a_body_of_100_mib_is_refused_before_it_is_taken() {
    let api = TestApi::new().await;
    for (path, media_type, parts_max) in [
        ("/api/v1/instances", "application/json", 4),
        ("/api/v1/definitions", "application/yaml", 4),
        ("/api/v1/components?name=a&version=1.0.0", "application/wasm", 34),
    ] {
        let taken = Arc::new(AtomicUsize::new(0));
        let asked = request("POST", "platform", path).header("content-type", media_type);
        let answer = api.send(asked.body(endless(&taken)).unwrap()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::PAYLOAD_TOO_LARGE, "body.too_large"),
            "{path}"
        );
        assert!(taken.load(Ordering::Relaxed) <= parts_max, "{path}: {taken:?} MiB were taken");
    }
}

#[tokio::test]
async fn whoever_has_no_token_sends_a_callback_nothing() {
    let api = TestApi::new().await;
    api.define(&webhook()).await;
    let id = api.start("acme-operator", "hooked").await;
    let taken = Arc::new(AtomicUsize::new(0));
    let refused = request("POST", "", &format!("/api/v1/callbacks/{id}/hook/AAAA")).body(endless(&taken)).unwrap();
    assert_eq!(api.send(refused).await.code(), "callback.refused");
    assert_eq!(taken.load(Ordering::Relaxed), 0);

    let address = api.get("acme-operator", &format!("/api/v1/instances/{id}/callbacks/hook")).await.json();
    let large = request("POST", "", address["path"].as_str().unwrap()).body(endless(&taken)).unwrap();
    assert_eq!(api.send(large).await.code(), "body.too_large");
    assert!(taken.load(Ordering::Relaxed) <= 4, "{taken:?} MiB were taken");
}

#[tokio::test]
async fn a_callback_that_is_repeated_after_the_end_is_told_so() {
    let api = TestApi::new().await;
    api.define(&webhook()).await;
    let id = api.start("acme-operator", "hooked").await;
    let address = api.get("acme-operator", &format!("/api/v1/instances/{id}/callbacks/hook")).await.json();
    let path = address["path"].as_str().unwrap();

    assert_eq!(api.post("", path, &json!({})).await.status, StatusCode::ACCEPTED);
    api.engine.wait_until_settled(id.parse().unwrap()).await.unwrap();

    let again = api.post("", path, &json!({})).await;
    assert_eq!((again.status, &again.json()["status"]), (StatusCode::OK, &json!("repeated")));
}

#[tokio::test]
async fn a_tenant_that_nobody_made_comes_in_nowhere_and_is_served_nothing() {
    let api = TestApi::new().await;
    api.define(&echo()).await;

    let by_token = api.get("ghost-admin", "/api/v1/instances").await;
    let named = json!({ "definition_name": "echo", "tenant_id": "ghost" });

    assert_eq!((by_token.status, by_token.code().as_str()), (StatusCode::FORBIDDEN, "tenant.unknown"));
    assert_eq!(api.post("platform", "/api/v1/instances", &named).await.code(), "tenant.not_found");
}

#[tokio::test]
async fn wide_json_and_long_texts_are_refused_or_kept_whole() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let wide: serde_json::Map<_, _> = (0..100_000).map(|key| (format!("k{key}"), json!(0))).collect();
    let cases = [
        json!({ "definition_name": "echo", "input_data": wide }),
        json!({ "definition_name": "echo", "correlation_id": "x".repeat(257) }),
        json!({ "definition_name": "echo", "correlation_id": "a\u{0}b" }),
        json!({ "definition_name": "echo", "user_id": "x".repeat(257) }),
        json!({ "definition_name": "x".repeat(65) }),
        json!({ "definition_name": "echo", "metadata": [1] }),
    ];
    for body in cases {
        let answer = api.post("acme-operator", "/api/v1/instances", &body).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
        assert!(!answer.json()["errors"].as_array().unwrap().is_empty(), "{}", answer.text);
    }
    assert_eq!(api.get("acme-viewer", "/api/v1/instances").await.json()["total"], 0);
}

#[tokio::test]
async fn a_key_in_the_url_is_no_credential() {
    let api = TestApi::new().await;
    for query in ["?key=platform", "?access_token=platform", "?api_key=platform", "?authorization=Bearer%20platform"] {
        let answer = api.get("", &format!("/api/v1/instances{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "auth.required"), "{query}");
        assert!(!answer.text.contains("platform"), "{}", answer.text);
    }
}
