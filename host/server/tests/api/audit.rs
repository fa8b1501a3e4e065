//! The audit log: what is in it, in whose, and that a stop loses none of it.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use stepcell_server::ApiOptions;
use stepcell_store::{AccessStore as _, AuditFilter, MemoryStore};

use crate::between::Between;
use crate::held::Held;
use crate::kit::{COMPONENT, TestApi, echo, request};

const ADMIN: &str = "platform";

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The records of a log, of all that was answered before.
async fn audited(api: &TestApi, who: &str, query: &str) -> Vec<Value> {
    api.audit.flush().await;
    let page = api.get(who, &format!("/api/v1/audit{query}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    page.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_was_answered_before_a_stop_is_in_the_audit_log_after_it() {
    let way = Held::at("append_audit");
    let memory = Arc::new(MemoryStore::new());
    let store = Between { store: Arc::clone(&memory) as _, way: Arc::clone(&way) };
    let api = TestApi::over(Arc::new(store), None, ApiOptions::default()).await;
    let set = async |name: &str| {
        let path = format!("/api/v1/secrets/{name}");
        let answer = api.send_json("PUT", "acme-admin", &path, &json!({ "value": "hunter2hunter2" })).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    };
    set("ONE").await;
    // The first is being written while the second is answered.
    way.until_asked().await;
    set("TWO").await;

    let mut stop = std::pin::pin!(api.audit.flush());
    assert!(futures::poll!(&mut stop).is_pending(), "nothing is written yet");
    way.let_in(2);
    stop.await;

    let kept = memory.list_audit(&AuditFilter::default()).await.unwrap().items;
    let targets: Vec<_> = kept.iter().map(|entry| entry.record.target.as_deref().unwrap()).collect();
    assert_eq!(targets, ["/secrets/TWO", "/secrets/ONE"]);
}

#[tokio::test]
async fn what_goes_on_after_its_client_has_gone_is_in_the_audit_log_after_a_stop() {
    let way = Held::at("insert_key");
    let memory = Arc::new(MemoryStore::new());
    let store = Between { store: Arc::clone(&memory) as _, way: Arc::clone(&way) };
    let api = TestApi::over(Arc::new(store), None, ApiOptions::default()).await;
    let key = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"] });
    let mut asked = Box::pin(api.post(ADMIN, "/api/v1/keys", &key));
    tokio::select! {
        answer = &mut asked => panic!("it is held: {}", answer.text),
        () = way.until_asked() => {}
    }

    drop(asked);
    let mut stop = std::pin::pin!(api.audit.flush());
    assert!(futures::poll!(&mut stop).is_pending(), "the key is not made yet");
    way.let_in(1);
    stop.await;

    let kept = memory.list_audit(&AuditFilter::default()).await.unwrap().items;
    assert_eq!(kept.iter().map(|entry| entry.record.action.as_str()).collect::<Vec<_>>(), ["key.create"]);
}

#[tokio::test]
async fn whoever_is_refused_without_end_fills_no_log_and_hides_nobody() {
    let api = TestApi::new().await;
    for _ in 0..50 {
        let refused = api.post("acme-viewer", "/api/v1/instances", &json!({ "definition_name": "echo" })).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "what is no record is refused all the same");
    }
    api.post("acme-worker", "/api/v1/instances", &json!({ "definition_name": "echo" })).await;

    let of_one = audited(&api, "acme-admin", "?user_id=acme-viewer&limit=100").await.len();
    let of_other = audited(&api, "acme-admin", "?user_id=acme-worker").await.len();

    // The minute may turn in between.
    assert!((20..=40).contains(&of_one), "{of_one}");
    assert_eq!(of_other, 1);
}

#[tokio::test]
async fn a_log_without_a_record_has_nothing_to_wait_for() {
    let api = TestApi::new().await;

    api.audit.flush().await;
}

#[tokio::test]
async fn who_did_what_is_kept_with_its_outcome_and_nothing_that_was_only_read() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.get("acme-viewer", "/api/v1/instances").await;
    let started = api.post("acme-operator", "/api/v1/instances", &json!({ "definition_name": "echo" })).await;
    let refused = api.post("acme-viewer", "/api/v1/instances", &json!({ "definition_name": "echo" })).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let records = audited(&api, "acme-admin", "").await;

    let told: Vec<_> = records.iter().map(|row| [&row["action"], &row["user_id"], &row["outcome"]].map(text)).collect();
    assert_eq!(told, [["instance.start", "acme-viewer", "refused"], ["instance.start", "acme-operator", "done"]]);
    assert_eq!(records[1]["target"], format!("/instances/{}", text(&started.json()["id"])));
    assert_eq!(records[0]["target"], "/instances", "a target has no prefix");
    assert_eq!(records[0]["details"], json!({ "status": 403, "code": "auth.scope_missing" }));
    let of_platform = audited(&api, ADMIN, "?action=definition.register").await;
    assert_eq!(of_platform[0]["user_id"], ADMIN);
    assert_eq!(api.get("bolt-admin", "/api/v1/audit").await.json()["total"], 0);
}

#[tokio::test]
async fn a_tenant_sees_what_the_platform_did_to_it_and_to_its_things() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.post(ADMIN, "/api/v1/admin/tenants", &json!({ "id": "acme" })).await;
    let key = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"], "tenant_id": "acme" });
    let repeated = crate::kit::request("POST", ADMIN, "/api/v1/keys").header("content-type", "application/json");
    let repeated = repeated.header("idempotency-key", "one").body(key.to_string().into()).unwrap();
    let made = api.send(repeated).await.json();
    let instance = api.start("acme-operator", "echo").await;
    for (method, path, body) in [
        ("PATCH", "/admin/tenants/acme".to_owned(), json!({ "quotas": { "components": 3 } })),
        ("PUT", "/secrets/TOKEN?tenant_id=acme".to_owned(), json!({ "value": "hunter2hunter2" })),
        ("DELETE", format!("/keys/{}", text(&made["id"])), json!(null)),
        ("POST", format!("/instances/{instance}/cancel"), json!({ "reason": "x" })),
        ("PATCH", "/admin/tenants/acme".to_owned(), json!({ "status": "suspended" })),
        ("PATCH", "/admin/tenants/acme".to_owned(), json!({ "status": "active" })),
        ("PUT", "/secrets/OTHER?tenant_id=bolt".to_owned(), json!({ "value": "hunter2hunter2" })),
    ] {
        api.send_json(method, ADMIN, &format!("/api/v1{path}"), &body).await;
    }

    let records = audited(&api, "acme-admin", &format!("?user_id={ADMIN}")).await;

    let told = records.iter().rev().map(|row| format!("{} {}", text(&row["action"]), text(&row["target"])));
    let key = text(&made["id"]);
    let expected = [
        "tenant.create /admin/tenants/acme".to_owned(),
        format!("key.create /keys/{key}"),
        "tenant.update /admin/tenants/acme".to_owned(),
        "secret.set /secrets/TOKEN".to_owned(),
        format!("key.revoke /keys/{key}"),
        format!("instance.cancel /instances/{instance}/cancel"),
        "tenant.update /admin/tenants/acme".to_owned(),
        "tenant.update /admin/tenants/acme".to_owned(),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(records[0]["tenant_id"], "acme");
    assert_eq!(audited(&api, "bolt-admin", "").await.len(), 1);
}

#[tokio::test]
async fn what_is_done_to_something_shared_is_in_no_tenants_log_whomever_the_request_names() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.post(ADMIN, "/api/v1/admin/tenants", &json!({ "id": "acme" })).await;
    let path = "/api/v1/definitions/echo/versions/1.0.0/deactivate?tenant_id=acme";

    let answer = api.post(ADMIN, path, &json!({})).await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(audited(&api, "acme-admin", "?action=definition.deactivate").await, Vec::<Value>::new());
    let of_platform = audited(&api, ADMIN, "?action=definition.deactivate").await;
    assert_eq!(of_platform[0]["tenant_id"], Value::Null);
}

#[tokio::test]
async fn a_component_is_revoked_by_its_digest_whoever_has_it_and_that_is_in_the_platforms_log() {
    let api = TestApi::new().await;
    let upload = request("POST", "acme-author", "/api/v1/components?name=acme/new&version=1.0.0");
    let upload = upload.header("content-type", "application/wasm").body(COMPONENT.into()).unwrap();
    let digest = text(&api.send(upload).await.json()["digest"]).to_owned();
    let path = |rest: &str| format!("/api/v1/components/{digest}{rest}");

    let revoked = api.post(ADMIN, &path("/revoke"), &json!({ "reason": "bad" })).await;

    assert_eq!(revoked.json()["blocked"]["reason"], "bad", "{}", revoked.text);
    assert_eq!(api.get(ADMIN, &path("")).await.status, StatusCode::OK);
    assert_eq!(api.get("bolt-viewer", &path("")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(audited(&api, "acme-admin", "?action=component.revoke").await, Vec::<Value>::new());
    assert_eq!(audited(&api, ADMIN, "?action=component.revoke").await[0]["tenant_id"], Value::Null);
}

#[tokio::test]
async fn an_answer_that_was_told_again_is_recorded_as_that() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let start = async || {
        let asked = request("POST", "acme-operator", "/api/v1/instances").header("idempotency-key", "one");
        let body = json!({ "definition_name": "echo" }).to_string();
        api.send(asked.header("content-type", "application/json").body(body.into()).unwrap()).await
    };
    start().await;
    start().await;

    let records = audited(&api, "acme-admin", "").await;

    assert_eq!(records[0]["details"], json!({ "status": 201, "code": null, "replayed": true }));
    assert_eq!(records[1]["details"], json!({ "status": 201, "code": null }));
}

#[tokio::test]
async fn an_action_that_there_is_not_is_refused_instead_of_listed_as_nothing() {
    let api = TestApi::new().await;

    let unknown = api.get(ADMIN, "/api/v1/audit?action=instance.explode").await;

    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::BAD_REQUEST, "request.invalid"));
    assert!(unknown.text.contains("instance.cancel"), "{}", unknown.text);
    assert!(!unknown.text.contains("callback.deliver"), "nobody does that: {}", unknown.text);
    assert_eq!(audited(&api, ADMIN, "?action=instance.cancel").await, Vec::<Value>::new());
}
