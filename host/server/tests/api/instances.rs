//! Instances over the API.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;

use crate::kit::{TestApi, approval, echo, request};

#[tokio::test]
async fn post_instance_answers_201_with_a_summary_and_keeps_correlation_id_user_and_tenant() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.post("platform", "/api/v1/admin/tenants", &json!({ "id": "acme" })).await;
    let start = json!({
        "definition_name": "echo", "input_data": { "n": 1 }, "correlation_id": "order-7", "user_id": "ann", "tenant_id": "acme",
    });

    let answer = api.post("platform", "/api/v1/instances", &start).await;

    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let started = answer.json();
    assert_eq!(answer.head["location"], format!("/api/v1/instances/{}", started["id"].as_str().unwrap()));
    let fields = [&started["workflow_name"], &started["correlation_id"], &started["created_by"], &started["tenant_id"]];
    assert_eq!(fields, ["echo", "order-7", "ann", "acme"]);
    let found = api.get("platform", "/api/v1/instances?correlation_id=order-7&tenant_id=acme").await.json();
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &started["id"]));
}

#[tokio::test]
async fn an_unknown_workflow_is_404() {
    let api = TestApi::new().await;
    let answer = api.post("platform", "/api/v1/instances", &json!({ "definition_name": "nope" })).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "definition.not_found"));
}

#[tokio::test]
async fn starts_with_one_idempotency_key_are_one_instance_and_another_start_is_refused() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let start = async |body: serde_json::Value| {
        let request = request("POST", "acme-operator", "/api/v1/instances")
            .header("content-type", "application/json")
            .header("idempotency-key", "k1");
        api.send(request.body(body.to_string().into()).unwrap()).await
    };
    let body = json!({ "definition_name": "echo", "input_data": { "n": 1 } });

    let first = start(body.clone()).await;
    let second = start(body).await;
    let other = start(json!({ "definition_name": "echo", "input_data": { "n": 2 } })).await;

    assert_eq!(first.json()["id"], second.json()["id"]);
    assert!(!first.head.contains_key("idempotency-replayed"));
    assert_eq!(second.head["idempotency-replayed"], "true");
    assert_eq!((other.status, other.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency.mismatch"));
}

#[tokio::test]
async fn instance_detail_has_the_step_history_and_an_etag() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;

    let answer = api.get("acme-viewer", &format!("/api/v1/instances/{id}")).await;
    let again = request("GET", "acme-viewer", &format!("/api/v1/instances/{id}"))
        .header("if-none-match", &answer.head["etag"])
        .body(Body::empty());

    let detail = answer.json();
    assert_eq!((&detail["status"], &detail["history"][0]["step"]), (&json!("completed"), &json!("say")));
    assert_eq!(detail["created_by"], "acme-operator");
    assert_eq!(api.send(again.unwrap()).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_definition_that_has_not_changed_is_not_sent_again() {
    let api = TestApi::new().await;
    api.define(&echo()).await;

    for path in ["/api/v1/definitions/echo", "/api/v1/definitions/echo/versions/1.0.0"] {
        let tag = api.get("acme-viewer", path).await.head["etag"].clone();
        let again = || request("GET", "acme-viewer", path).header("if-none-match", &tag).body(Body::empty()).unwrap();
        assert_eq!(api.send(again()).await.status, StatusCode::NOT_MODIFIED, "{path}");

        let version = "/api/v1/definitions/echo/versions/1.0.0";
        api.post("platform", &format!("{version}/deactivate"), &json!({})).await;
        assert_ne!(api.send(again()).await.status, StatusCode::NOT_MODIFIED, "{path}");
        api.post("platform", &format!("{version}/activate"), &json!({})).await;
    }
}

#[tokio::test]
async fn history_comes_in_pages_that_end_with_whole_transitions() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;

    let whole = api.get("acme-viewer", &format!("/api/v1/instances/{id}/history")).await.json();
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get("acme-viewer", &format!("/api/v1/instances/{id}/history?limit=1{cursor}")).await.json();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }

    assert_eq!(whole["items"].as_array().unwrap(), &paged);
    assert_eq!(paged[0]["type"], "workflow_started");
}

#[tokio::test]
async fn instance_graph_highlights_completed_and_current_steps() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    let id = api.start("acme-operator", "approval").await;

    let mermaid = api.get("acme-viewer", &format!("/api/v1/instances/{id}/graph")).await;
    let json = api.get("acme-viewer", &format!("/api/v1/instances/{id}/graph?format=json")).await.json();

    assert!(mermaid.text.contains("style review fill:#FFD700"), "{}", mermaid.text);
    assert_eq!(json["nodes"][0]["state"], "current");
    let unknown = api.get("acme-viewer", &format!("/api/v1/instances/{id}/graph?format=png")).await;
    assert_eq!(unknown.code(), "request.invalid");
}

#[tokio::test]
async fn another_tenants_instance_is_not_there_whatever_is_asked_of_it() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    let id = api.start("acme-operator", "approval").await;

    for path in ["", "/history", "/graph", "/why"] {
        let answer = api.get("other-admin", &format!("/api/v1/instances/{id}{path}")).await;
        assert_eq!(answer.code(), "instance.not_found", "{path}");
    }
    for path in ["/cancel", "/retry", "/pause", "/resume", "/signals/go"] {
        let body = if path == "/cancel" { json!({ "reason": "mine" }) } else { json!({}) };
        let answer = api.post("other-admin", &format!("/api/v1/instances/{id}{path}"), &body).await;
        assert_eq!(answer.code(), "instance.not_found", "{path}");
    }
    assert_eq!(api.get("other-admin", "/api/v1/instances").await.json()["total"], 0);
    assert_eq!(api.get("other-admin", "/api/v1/instances?tenant_id=acme").await.code(), "tenant.not_found");
    assert_eq!(api.get("acme-viewer", &format!("/api/v1/instances/{id}")).await.json()["status"], "waiting");
}

#[tokio::test]
async fn cancel_accepts_a_reason_and_a_finished_instance_refuses_with_409() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    let id = api.start("acme-operator", "approval").await;
    let cancel = format!("/api/v1/instances/{id}/cancel");

    let canceled = api.post("acme-operator", &cancel, &json!({ "reason": "not needed" })).await.json();
    let again = api.post("acme-operator", &cancel, &json!({ "reason": "not needed" })).await;
    let retried = api.post("acme-operator", &format!("/api/v1/instances/{id}/retry"), &json!({})).await;

    assert_eq!((&canceled["status"], &canceled["error"]["message"]), (&json!("canceled"), &json!("not needed")));
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "instance.already_completed"));
    assert_eq!(retried.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_key_that_reaches_less_far_is_refused() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    for who in ["acme-viewer", "acme-worker", "acme-author"] {
        let answer = api.post(who, "/api/v1/instances", &json!({ "definition_name": "echo" })).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "auth.scope_missing"), "{who}");
    }
}
