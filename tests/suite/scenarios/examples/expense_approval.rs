//! Expense approval: a gateway component, checks at once, people in groups, and a director where nobody answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepcell::WorkflowStatus;
use stepcell::engine::{EventFilter, EventType, FeedStart, SimulatedClock};
use stepcell::model::id::InstanceId;
use stepcell::model::status::TaskStatus;
use stepcell::model::time::Timestamp;
use stepcell::store::TaskFilter;
use stepcell_tests::{Example, Scenario};

const NAME: &str = "expense-approval";

/// The path without the two checks, which run at once.
async fn path(example: &Example, id: InstanceId) -> Vec<String> {
    let mut path = example.scenario.path(id).await;
    path.retain(|step| !step.starts_with("checks/fraud") && !step.starts_with("checks/budget"));
    path
}

async fn titles(example: &Example, id: InstanceId) -> Vec<String> {
    let pending = TaskFilter { instance: Some(id), status: Some(TaskStatus::Pending), ..TaskFilter::default() };
    let tasks = example.scenario.host.store().list_tasks(&pending).await.unwrap();
    tasks.items.into_iter().map(|task| task.title).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_expense_is_paid_at_once() {
    let example = Example::open(NAME).await;

    let instance = example.run(NAME, example.data("expense-approval-small")).await;

    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    assert_eq!(path(&example, instance.identity.id).await, ["validate succeeded", "route succeeded", "pay succeeded"]);
    assert_eq!(instance.result.unwrap().tree()["amount"], json!(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_one_is_checked_and_decided_on_by_a_manager() {
    let example = Example::open(NAME).await;
    let id = example.run(NAME, example.data(NAME)).await.identity.id;
    assert_eq!(titles(&example, id).await, ["ada@example.com wants 420 for travel: approve?"]);

    let stranger = example.scenario.complete(id, "manager", "interns", json!({"approved": true})).await;
    assert!(stranger.unwrap_err().to_string().contains("interns"));
    let vague = example.scenario.complete(id, "manager", "managers", json!({"approved": "maybe"})).await;
    assert!(vague.unwrap_err().to_string().contains("/approved"));
    let instance = example.complete(id, "manager", "managers", json!({"approved": true})).await;

    let expected = [
        "validate succeeded",
        "route succeeded",
        "checks/callback succeeded",
        "checks succeeded",
        "manager succeeded",
        "pay succeeded",
    ];
    assert_eq!(path(&example, id).await, expected);
    assert_eq!(instance.status, WorkflowStatus::Completed);
    let context = example.scenario.context(id).await;
    assert_eq!((&context["concerns"], &context["paid"]), (&json!(["the budget `travel` has 300 left"]), &json!(420)));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_manager_answers_a_director_is_asked() {
    let clock = Arc::new(SimulatedClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
    let example = Example::open_on(Scenario::with_clock(Arc::clone(&clock) as Arc<_>).await, NAME).await;
    let id = example.run(NAME, example.data(NAME)).await.identity.id;
    let filter = EventFilter { instance: Some(id), types: vec![EventType::TaskCreated], ..EventFilter::default() };
    let mut tasks = example.scenario.host.engine().events(filter, FeedStart::Now).await.unwrap();

    clock.advance(Duration::from_secs(3 * 24 * 3600));
    tasks.next().await.unwrap();

    let late = example.scenario.complete(id, "manager", "managers", json!({"approved": true})).await;
    assert!(late.is_err(), "the manager's task is gone");
    let instance = example.complete(id, "director", "directors", json!({"approved": false, "note": "No."})).await;
    assert_eq!(instance.status, WorkflowStatus::Completed);
    assert_eq!(path(&example, id).await[4..], ["manager failed", "director succeeded", "refuse succeeded"]);
    assert_eq!(example.scenario.context(id).await.get("paid"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_go_to_a_director_without_a_manager() {
    let example = Example::open(NAME).await;
    let mut data = example.data(NAME);
    data["amount"] = json!(5_001);

    let id = example.run(NAME, data).await.identity.id;
    example.complete(id, "director", "directors", json!({"approved": true})).await;

    assert_eq!(path(&example, id).await[1..], ["route succeeded", "director succeeded", "pay succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expense_without_its_receipt_is_refused_with_a_mail() {
    let example = Example::open(NAME).await;

    let instance = example.run(NAME, example.data("expense-approval-no-receipt")).await;

    let id = instance.identity.id;
    assert_eq!(instance.status, WorkflowStatus::Completed);
    assert_eq!(path(&example, id).await, ["validate failed", "refuse succeeded"]);
    let context: Value = example.scenario.context(id).await;
    assert_eq!(context["validate"]["code"], json!("no-receipt"));
    assert_eq!(context["mail/refuse"]["to"], json!("ada@example.com"));
}
