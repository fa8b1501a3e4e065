//! An order: a step for each line, another workflow as a step, and what undoes them.

use serde_json::{Value, json};
use stepcell::WorkflowStatus;
use stepcell_tests::Example;

/// What there is of goods and money in the context.
fn left(context: &Value) -> Vec<&str> {
    let is_kept = |key: &&str| key.starts_with("reserved/") || ["paid", "refunded"].contains(key);
    context.as_object().unwrap().keys().map(String::as_str).filter(is_kept).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_reserved_line_by_line_paid_and_sent_by_another_workflow() {
    let example = Example::open("order").await;

    let instance = example.run("order", example.data("order")).await;

    let id = instance.identity.id;
    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    let expected = [
        "reserve/item succeeded",
        "reserve/item succeeded",
        "reserve succeeded",
        "charge succeeded",
        "ship succeeded",
        "confirm succeeded",
    ];
    assert_eq!(example.scenario.path(id).await, expected);
    let context = example.scenario.context(id).await;
    assert_eq!(context["shipment"], json!({"carrier": "northmail", "country": "IS"}));
    assert_eq!(left(&context), ["paid", "reserved/chair", "reserved/lamp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_brings_the_parcel_everything_is_undone_latest_first() {
    let example = Example::open("order").await;

    let instance = example.run("order", example.data("order-antarctica")).await;

    let id = instance.identity.id;
    let error = instance.error.unwrap();
    assert_eq!((instance.status, error.code.as_str()), (WorkflowStatus::Failed, "no-carrier"));
    let expected = [
        "ship failed",
        "charge/compensate succeeded",
        "reserve/item/compensate succeeded",
        "reserve/item/compensate succeeded",
    ];
    assert_eq!(example.scenario.path(id).await[4..], expected);
    let undone: Vec<_> = example.scenario.executions(id).await.split_off(6);
    let articles: Vec<_> = undone.iter().map(|record| &record.output.as_ref().unwrap().tree()["article"]).collect();
    assert_eq!(articles, ["chair", "lamp"], "each was given what its line returned");
    assert_eq!(left(&example.scenario.context(id).await), ["refunded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_line_is_out_of_stock_the_lines_before_it_are_given_back() {
    let example = Example::open("order").await;

    let instance = example.run("order", example.data("order-out-of-stock")).await;

    assert_eq!(instance.error.unwrap().code.as_str(), "out-of-stock");
    let expected =
        ["reserve/item succeeded", "reserve/item failed", "reserve failed", "reserve/item/compensate succeeded"];
    assert_eq!(example.scenario.path(instance.identity.id).await, expected);
    assert_eq!(left(&example.scenario.context(instance.identity.id).await), Vec::<&str>::new());
}
