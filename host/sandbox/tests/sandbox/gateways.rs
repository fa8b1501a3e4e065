//! What a gateway sees, what its answer comes to, and what holds it.

use std::time::Duration;

use serde_json::{Value, json};
use stepcell_model::failure::{EngineCode, Failure};

use crate::calls::{Bench, call, config, data, failure, output, written};

#[tokio::test]
async fn a_gateway_names_the_step_that_its_input_and_the_context_lead_to() {
    let route = Bench::with("route-by-amount").await;
    let limits = data(&[("limits", json!({ "clerk": 100 }))]);

    for (amount, target) in [(7, "clerk"), (700, "board")] {
        let report = route
            .ask_with(json!({ "amount": amount }), &["board", "clerk"], |call| call.context = limits.clone())
            .await;

        assert_eq!(output(&report), &json!([target]));
        assert!(report.writes.is_empty());
        assert!(report.trace.receipt.cpu_us > 0);
    }
}

#[tokio::test]
async fn the_targets_come_in_order_and_names_go_back_exactly_as_they_are_given() {
    let probe = Bench::with("probe").await;

    for (order, names) in [
        (json!({ "do": "all" }), json!(["a", "b"])),
        (json!({ "do": "none" }), json!([])),
        (json!({ "do": "choose", "names": ["b", "a", "b"] }), json!(["b", "a", "b"])),
        (
            json!({ "do": "choose", "names": ["", "nowhere", "\u{1F552}\u{0}\""] }),
            json!(["", "nowhere", "\u{1F552}\u{0}\""]),
        ),
    ] {
        assert_eq!(output(&probe.ask(order).await), &names);
    }
    let of_context = probe.ask_with(json!({ "do": "read", "key": "way" }), &["a"], |call| {
        call.context = data(&[("way", json!(["a"]))]);
    });
    assert_eq!(output(&of_context.await), &json!(["a"]));
    let of_setting = probe.ask_with(json!(1), &["a"], |call| call.config = config(&[("do", "none")]));
    assert_eq!(output(&of_setting.await), &json!([]));
}

#[tokio::test]
async fn the_receipt_counts_the_targets_and_the_answer() {
    let probe = Bench::with("probe").await;

    let receipt = probe.ask(json!(1)).await.trace.receipt;

    assert_eq!(receipt.bytes_in, 1 + 2);
    assert_eq!(receipt.bytes_out, r#"["a","b"]"#.len() as u64);
}

/// Orders, and the code of the failure that each ends in.
fn offences() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "do": "write" }), "guard-refused"),
        (json!({ "do": "loop" }), "engine.cpu"),
        (json!({ "do": "trap" }), "engine.trap"),
        (json!({ "do": "fail", "code": "undecided" }), "undecided"),
        (json!({ "do": "fail", "code": "engine.forged" }), "step.invalid-code"),
        (json!({ "do": "many", "count": 1_001, "bytes": 1 }), "engine.output"),
        (json!({ "do": "many", "count": 2, "bytes": (32 << 10) + 1 }), "engine.output"),
        (json!({ "do": "many", "count": 1, "bytes": 9 << 20 }), "engine.output"),
    ]
}

#[tokio::test]
async fn each_offence_of_a_gateway_ends_with_a_code_of_its_own_and_leaves_nothing() {
    let probe = Bench::with("probe").await;

    for (order, code) in offences() {
        let limit = Duration::from_millis(200);
        let report = probe.ask_with(order.clone(), &["a"], |call| call.limits.cpu_max = limit).await;

        assert_eq!(failure(&report).code.as_str(), code, "{order}: {:?}", failure(&report).message);
        assert_eq!(written(&report), [""; 0], "{order}");
    }
    assert_eq!(output(&probe.ask(json!(1)).await), &json!(["a", "b"]));
}

#[tokio::test]
async fn a_gateway_may_name_as_many_steps_as_a_definition_has() {
    let probe = Bench::with("probe").await;

    let report = probe.ask(json!({ "do": "many", "count": 1_000, "bytes": 64 })).await;

    assert_eq!(output(&report).as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn waiting_in_a_gateway_ends_at_its_timeout() {
    let probe = Bench::with("probe").await;

    let report = probe
        .ask_with(json!({ "do": "loop" }), &["a"], |call| call.limits.timeout = Some(Duration::from_millis(50)))
        .await;

    assert_eq!(failure(&report).code, EngineCode::Timeout);
}

#[tokio::test]
async fn a_component_that_is_used_as_what_it_does_not_export_is_told_so() {
    let step = Bench::with("greet").await;
    let gateway = Bench::with("route-by-amount").await;

    let asked = step.ask(json!({ "name": "Ada" })).await;
    let run = gateway.run(json!({ "amount": 1 })).await;
    let cause = Failure::engine(EngineCode::Cpu, "too slow");
    let hook = gateway.sandbox.run_failure_hook(call(gateway.component, json!(1)), &cause).await;

    assert_eq!(failure(&asked).code, EngineCode::Contract);
    assert_eq!(failure(&asked).message, "The component exports no `gateway`, so no gateway can ask it.");
    assert_eq!(failure(&run).code, EngineCode::Contract);
    assert_eq!(failure(&run).message, "The component exports no `step`, so no machine step can run it.");
    assert!(!failure(&run).retryable, "trying again would not help");
    assert_eq!(hook.failure.as_ref(), Some(failure(&run)));
}

#[tokio::test]
async fn a_component_that_is_both_runs_as_either() {
    let probe = Bench::with("probe").await;

    assert_eq!(output(&probe.run(json!("x")).await), &json!("x"));
    assert_eq!(output(&probe.ask(json!("x")).await), &json!(["a", "b"]));
}
