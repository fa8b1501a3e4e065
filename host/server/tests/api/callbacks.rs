//! Callbacks: what those are told whose token and signature are right, and what all others are.

use axum::body::Body;
use serde_json::{Value, json};
use stepcell_engine::Delivery;

use crate::kit::{Answer, TestApi, request};

fn hooks() -> Value {
    json!({
        "schema": "stepcell/v1", "name": "hooks", "version": "1.0.0", "initial_step": "fork",
        "steps": {
            "fork": { "type": "gateway", "mode": "parallel" },
            "open": { "type": "webhook", "callback_key": "open" },
            "signed": { "type": "webhook", "callback_key": "signed", "signed": true },
        },
        "edges": [{ "source": "fork", "target": "open" }, { "source": "fork", "target": "signed" }],
    })
}

async fn deliver(api: &TestApi, path: &str, delivery: Delivery) -> Answer {
    let heads = [
        ("webhook-id", delivery.id),
        ("webhook-timestamp", delivery.timestamp),
        ("webhook-signature", delivery.signature),
    ];
    let asked = request("POST", "", path);
    let asked = heads.into_iter().fold(asked, |asked, (name, value)| match value {
        Some(value) => asked.header(name, value),
        None => asked,
    });
    api.send(asked.body(Body::from(delivery.body)).unwrap()).await
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400_to_those_whose_token_and_signature_are_right_and_403_to_all_others() {
    let api = TestApi::new().await;
    api.define(&hooks()).await;
    let id = api.start("acme-operator", "hooks").await;
    let address = async |step: &str| {
        let path = format!("/api/v1/instances/{id}/callbacks/{step}");
        api.get("acme-operator", &path).await.json()
    };
    let (open, signed) = (address("open").await, address("signed").await);
    let (open, path) = (open["path"].as_str().unwrap(), signed["path"].as_str().unwrap());
    let secret = signed["signing_secret"].as_str().unwrap();
    let no_json = || Delivery { body: b"no JSON".to_vec(), ..Delivery::default() };
    let right = no_json().signed("one", api.engine.now(), secret).unwrap();
    let wrong = Delivery { body: b"other JSON".to_vec(), ..right.clone() };

    for (path, delivery, status, code) in [
        (open, no_json(), 400, "request.invalid"),
        (&open.replace("/open/", "/signed/"), no_json(), 403, "callback.refused"),
        (path, right, 400, "request.invalid"),
        (path, wrong, 403, "callback.refused"),
        (path, no_json(), 403, "callback.refused"),
    ] {
        let answer = deliver(&api, path, delivery).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}: {}", answer.text);
    }
}
