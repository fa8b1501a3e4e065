//! The worked examples run as they are committed: real steps in cells, on SQLite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod document_review;
mod expense_approval;
mod onboarding;
mod order;
mod readme;
mod webhook_triage;

use std::fmt::Write as _;

use stepcell::model::record::InstanceSummary;
use stepcell_tests::Example;
use stepcell_tests::example::folders;

/// Where an instance stands, in a line.
fn standing(instance: &InstanceSummary) -> String {
    let step = instance.current_step.as_ref().map(ToString::to_string).unwrap_or_default();
    let why = instance.error.as_ref().map(|error| format!(" ({})", error.code)).unwrap_or_default();
    format!("{} at {step}{why}", instance.status)
}

/// Each definition of each example is started with each of its data; one that has none is told.
#[tokio::test(flavor = "multi_thread")]
async fn every_definition_of_the_examples_runs_with_its_data() {
    let mut told = String::new();
    for folder in folders() {
        let example = Example::open(&folder).await;
        for definition in example.definitions.keys() {
            assert!(!example.data_of(definition).is_empty(), "{folder}/{definition} has no data to be started with");
            for data in example.data_of(definition) {
                let instance = example.run(definition, example.data(&data)).await;
                writeln!(told, "{folder}/{data}: {}", standing(&instance)).unwrap();
            }
        }
    }

    insta::assert_snapshot!(told, @r"
    document-review/document-review: waiting at review
    expense-approval/expense-approval: waiting at manager
    expense-approval/expense-approval-no-receipt: completed at refuse
    expense-approval/expense-approval-small: completed at pay
    onboarding/onboarding: waiting at contract
    order/order: completed at confirm
    order/order-antarctica: failed at ship (no-carrier)
    order/order-out-of-stock: failed at reserve (out-of-stock)
    order/shipping: completed at carrier
    webhook-triage/acme: waiting at review
    webhook-triage/globex: completed at archive
    webhook-triage/initech: failed at triage (engine.cpu)
    ");
}
