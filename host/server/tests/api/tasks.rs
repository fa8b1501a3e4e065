//! Human tasks over the API.

use axum::http::StatusCode;
use serde_json::json;

use crate::kit::{TestApi, approval};

async fn with_task(api: &TestApi) -> (String, String) {
    api.define(&approval()).await;
    let instance = api.start("acme-operator", "approval").await;
    let tasks = api.get("acme-worker", "/api/v1/tasks").await.json();
    assert_eq!(tasks["total"], 1, "{tasks}");
    (instance, tasks["items"][0]["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn complete_returns_the_true_instance_state_and_the_comment_is_stored() {
    let api = TestApi::new().await;
    let (instance, task) = with_task(&api).await;

    let body = json!({ "data": { "approved": true }, "comment": "fine" });
    let answer = api.post("acme-worker", &format!("/api/v1/tasks/{task}/complete"), &body).await;

    assert_eq!((answer.status, &answer.json()["id"]), (StatusCode::OK, &json!(instance)));
    api.engine.wait_until_settled(instance.parse().unwrap()).await.unwrap();
    let found = api.get("acme-viewer", &format!("/api/v1/tasks/{task}")).await.json();
    let fields = [&found["status"], &found["completed_by"], &found["comment"]];
    assert_eq!(fields, ["completed", "acme-worker", "fine"]);
    assert_eq!(api.get("acme-viewer", &format!("/api/v1/instances/{instance}")).await.json()["status"], "completed");
}

#[tokio::test]
async fn who_completes_a_task_is_never_a_field() {
    let api = TestApi::new().await;
    let (_, task) = with_task(&api).await;
    let body = json!({ "data": { "approved": true }, "user_id": "boss" });
    let answer = api.post("acme-worker", &format!("/api/v1/tasks/{task}/complete"), &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "request.invalid"));
}

#[tokio::test]
async fn data_that_does_not_fit_the_form_is_422_with_a_list_and_the_task_stays_pending() {
    let api = TestApi::new().await;
    let (_, task) = with_task(&api).await;

    let answer =
        api.post("acme-worker", &format!("/api/v1/tasks/{task}/complete"), &json!({ "data": { "approved": 7 } })).await;

    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "data.invalid"));
    assert_eq!(answer.json()["errors"][0]["pointer"], "/data/approved");
    assert_eq!(api.get("acme-worker", &format!("/api/v1/tasks/{task}")).await.json()["status"], "pending");
}

#[tokio::test]
async fn a_second_completion_is_409_and_changes_nothing() {
    let api = TestApi::new().await;
    let (_, task) = with_task(&api).await;
    let path = format!("/api/v1/tasks/{task}/complete");

    api.post("acme-worker", &path, &json!({ "data": { "approved": true } })).await;
    let second = api.post("acme-admin", &path, &json!({ "data": { "approved": false } })).await;

    assert_eq!((second.status, second.code().as_str()), (StatusCode::CONFLICT, "task.already_completed"));
    assert_eq!(api.get("acme-viewer", &format!("/api/v1/tasks/{task}")).await.json()["completed_by"], "acme-worker");
}

#[tokio::test]
async fn a_claimed_task_is_its_claimers_and_can_be_reassigned_by_an_operator() {
    let api = TestApi::new().await;
    let (_, task) = with_task(&api).await;
    let at = |verb: &str| format!("/api/v1/tasks/{task}/{verb}");

    let claimed = api.post("acme-worker", &at("claim"), &json!({})).await.json();
    let second = api.post("acme-operator", &at("claim"), &json!({})).await;
    let reassigned = api.post("acme-operator", &at("reassign"), &json!({ "to": "bob", "reason": "away" })).await.json();

    assert_eq!((&claimed["assignee_id"], &reassigned["assignee_id"]), (&json!("acme-worker"), &json!("bob")));
    assert_eq!(second.code(), "auth.scope_missing");
    let not_mine = api.post("acme-worker", &at("complete"), &json!({ "data": { "approved": true } })).await;
    assert_eq!((not_mine.status, not_mine.code().as_str()), (StatusCode::FORBIDDEN, "task.unauthorized"));
    assert_eq!(api.get("acme-worker", "/api/v1/tasks?assignee_id=me").await.json()["total"], 0);
}

#[tokio::test]
async fn another_tenants_task_is_not_there() {
    let api = TestApi::new().await;
    let (_, task) = with_task(&api).await;

    assert_eq!(api.get("other-admin", &format!("/api/v1/tasks/{task}")).await.code(), "task.not_found");
    let body = json!({ "data": { "approved": true } });
    let answer = api.post("other-admin", &format!("/api/v1/tasks/{task}/complete"), &body).await;
    assert_eq!(answer.code(), "task.not_found");
    assert_eq!(api.get("other-admin", "/api/v1/tasks").await.json()["total"], 0);
}
