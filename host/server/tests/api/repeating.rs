//! Requests that are sent again with one `Idempotency-Key`.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};
use stepcell_server::ApiOptions;
use stepcell_store::MemoryStore;

use crate::between::Between;
use crate::held::Held;
use crate::kit::{Answer, TestApi, approval, request};

const ADMIN: &str = "platform";

/// Sends a POST under a key.
async fn post(api: &TestApi, who: &str, key: &str, path: &str, body: Option<&Value>) -> Answer {
    let asked = request("POST", who, &format!("/api/v1{path}")).header("idempotency-key", key);
    let asked = match body {
        Some(body) => asked.header("content-type", "application/json").body(body.to_string().into()),
        None => asked.body(Body::empty()),
    };
    api.send(asked.unwrap()).await
}

#[tokio::test]
async fn a_repeated_creation_is_answered_as_the_first_was_and_done_once() {
    let api = TestApi::new().await;
    let send = async |who: &str, key: &str, id: &str| {
        let asked = request("POST", who, "/api/v1/admin/tenants").header("content-type", "application/json");
        let body = json!({ "id": id }).to_string();
        api.send(asked.header("idempotency-key", key).body(body.into()).unwrap()).await
    };

    let first = send(ADMIN, "one", "acme").await;
    let again = send(ADMIN, "one", "acme").await;
    let other = send(ADMIN, "one", "bolt").await;
    let refused = send("acme-admin", "two", "acme").await;

    assert_eq!((first.status, first.head.get("idempotency-replayed")), (StatusCode::CREATED, None));
    assert_eq!((again.status, &again.text), (StatusCode::CREATED, &first.text));
    assert_eq!(
        (&again.head["idempotency-replayed"], &again.head["location"]),
        (&"true".parse().unwrap(), &first.head["location"])
    );
    assert_eq!((other.status, other.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency.mismatch"));
    assert_eq!(refused.code(), "auth.admin_only");
    assert_eq!(send(ADMIN, "three", "acme").await.code(), "resource.already_exists");
    assert_eq!(send(ADMIN, "three", "bolt").await.status, StatusCode::CREATED, "what was refused keeps no key");
}

#[tokio::test]
async fn a_keys_text_is_not_told_again_to_whoever_repeats_its_creation() {
    let api = TestApi::new().await;
    let send = async || {
        let asked = request("POST", ADMIN, "/api/v1/keys").header("content-type", "application/json");
        let body = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"] }).to_string();
        api.send(asked.header("idempotency-key", "one").body(body.into()).unwrap()).await
    };

    let first = send().await;
    let again = send().await;

    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CONFLICT));
    assert_eq!(again.code(), "resource.already_exists");
    assert!(
        again.text.contains(first.json()["id"].as_str().unwrap()) && !again.text.contains("sck_"),
        "{}",
        again.text
    );
    assert_eq!(again.head["location"], first.head["location"]);
    assert_eq!(api.get(ADMIN, "/api/v1/keys").await.json()["total"], 1);
}

/// A subscription of a tenant; answers with its path.
async fn subscribe(api: &TestApi) -> String {
    let made = api.post("acme-admin", "/api/v1/webhooks", &json!({ "url": "https://example.com/hooks" })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    format!("/webhooks/{}", made.json()["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_ping_that_is_repeated_is_one_delivery() {
    let api = TestApi::new().await;
    let path = subscribe(&api).await;

    let first = post(&api, "acme-operator", "one", &format!("{path}/ping"), None).await;
    let again = post(&api, "acme-operator", "one", &format!("{path}/ping"), None).await;

    assert_eq!((first.status, again.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{}", again.text);
    assert_eq!((&again.text, &again.head["idempotency-replayed"]), (&first.text, &"true".parse().unwrap()));
    let deliveries = api.get("acme-operator", &format!("/api/v1{path}/deliveries")).await.json();
    assert_eq!(deliveries["total"], 1);
}

#[tokio::test]
async fn a_secret_that_is_given_anew_twice_under_one_key_is_given_once_and_told_once() {
    let api = TestApi::new().await;
    let path = format!("{}/rotate-secret", subscribe(&api).await);

    let first = post(&api, "acme-admin", "one", &path, None).await;
    let again = post(&api, "acme-admin", "one", &path, None).await;

    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "resource.already_exists"));
    assert!(!again.text.contains("whsec_"), "{}", again.text);
}

#[tokio::test]
async fn a_task_that_is_completed_twice_under_one_key_is_answered_as_the_first_time() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    api.start("acme-operator", "approval").await;
    let tasks = api.get("acme-worker", "/api/v1/tasks").await.json();
    let path = format!("/tasks/{}/complete", tasks["items"][0]["id"].as_str().unwrap());
    let body = json!({ "data": { "approved": true } });

    let first = post(&api, "acme-worker", "one", &path, Some(&body)).await;
    let again = post(&api, "acme-worker", "one", &path, Some(&body)).await;
    let another = post(&api, "acme-worker", "two", &path, Some(&body)).await;

    assert_eq!((first.status, &first.text), (StatusCode::OK, &again.text));
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(another.code(), "task.already_completed");
}

#[tokio::test]
async fn a_definition_that_is_registered_again_under_one_key_is_found_however_long_it_is() {
    let api = TestApi::new().await;
    let form = json!({ "type": "object", "description": "x".repeat(60 << 10) });
    let mut definition = json!({
        "schema": "stepcell/v1", "name": "long", "version": "1.0.0", "initial_step": "s0", "steps": {}, "edges": [],
    });
    for number in 0..6 {
        let step = json!({ "type": "human", "title": "Look", "form_schema": form });
        definition["steps"][format!("s{number}")] = step;
    }
    definition["edges"] =
        (0..5).map(|number| json!({ "source": format!("s{number}"), "target": format!("s{}", number + 1) })).collect();

    let first = post(&api, ADMIN, "one", "/definitions", Some(&definition)).await;
    let again = post(&api, ADMIN, "one", "/definitions", Some(&definition)).await;

    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!((again.status, &again.json()["name"]), (StatusCode::OK, &first.json()["name"]));
}

#[tokio::test]
async fn a_repeat_of_what_was_answered_at_too_great_length_is_told_that_it_was_done() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    let long = json!({ "definition_name": "approval", "metadata": { "note": "x".repeat(300 << 10) } });
    let started = api.post("acme-operator", "/api/v1/instances", &long).await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    let path = format!("/instances/{}/pause", started.json()["id"].as_str().unwrap());

    let first = post(&api, "acme-operator", "one", &path, None).await;
    let again = post(&api, "acme-operator", "one", &path, None).await;

    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    assert!(first.text.len() > 256 << 10, "{}", first.text.len());
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "resource.already_exists"));
    assert!(again.text.contains("too long to be kept"), "{}", again.text);
}

#[tokio::test]
async fn a_repeat_of_a_request_that_is_being_worked_on_is_told_when_to_come_back() {
    let way = Held::at("insert_key");
    let store = Between { store: Arc::new(MemoryStore::new()), way: Arc::clone(&way) };
    let api = TestApi::over(Arc::new(store), None, ApiOptions::default()).await;
    let key = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"] });
    let send = || post(&api, ADMIN, "one", "/keys", Some(&key));

    let second = async {
        way.until_asked().await;
        let second = send().await;
        way.let_in(1);
        second
    };
    let (first, second) = tokio::join!(send(), second);

    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!((second.status, second.code().as_str()), (StatusCode::CONFLICT, "idempotency.in_progress"));
    assert_eq!(second.head["retry-after"], "1");
}
