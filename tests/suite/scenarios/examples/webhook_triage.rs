//! GitHub triage: each tenant's own policy as a step, and one tenant whose step never ends. The demo runs all webhooks.

use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell_tests::Example;

const NAME: &str = "webhook-triage";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_risky_by_a_tenants_policy_is_put_before_a_person() {
    let example = Example::open(NAME).await;
    let id = example.run("acme", example.data("acme")).await.identity.id;

    let instance = example.complete(id, "review", "security", json!({"approved": true})).await;

    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    let expected =
        ["normalise succeeded", "triage succeeded", "route succeeded", "review succeeded", "archive succeeded"];
    assert_eq!(example.scenario.path(id).await, expected);
    let context = example.scenario.context(id).await;
    assert_eq!((&context["summary"]["event"], &context["approved"]), (&json!("membership"), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn everyday_events_are_archived_and_a_step_that_never_ends_is_stopped() {
    let example = Example::open(NAME).await;

    let calm = example.run("globex", example.data("globex")).await;
    let endless = example.run("initech", example.data("initech")).await;

    assert_eq!(calm.status, WorkflowStatus::Completed, "{:?}", calm.error);
    assert!(!example.scenario.path(calm.identity.id).await.contains(&"review succeeded".to_owned()));
    assert_eq!(endless.error.unwrap().code.as_str(), "engine.cpu");
    assert_eq!(example.scenario.path(endless.identity.id).await, ["normalise succeeded", "triage failed"]);
}
