//! What an attempt sees and leaves when it keeps to its limits.

use std::sync::Arc;

use serde_json::json;
use stepcell_model::attempt::{AttemptOutcome, StepCall};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::{ComponentDigest, ExecutionId, ExecutionNumber};
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, TenantId};
use stepcell_model::record::ExecutionRecord;
use stepcell_model::status::{StepStatus, StepType};
use stepcell_model::time::Timestamp;
use uuid::Uuid;

use crate::calls::{Bench, call, config, data, failure, output, written};

#[tokio::test]
async fn a_step_greets_whom_it_is_given() {
    let greet = Bench::with("greet").await;

    let report = greet.run(json!({ "name": "Ada" })).await;

    assert_eq!(output(&report)["greeting"], "Hello, Ada!");
    assert!(report.trace.receipt.cpu_us > 0);
    assert!(report.trace.receipt.memory_bytes_peak >= 4 << 20);
    assert_eq!(report.trace.receipt.bytes_in, r#"{"name":"Ada"}"#.len() as u64);
    assert_eq!(report.trace.receipt.bytes_out, r#"{"greeting":"Hello, Ada!"}"#.len() as u64);
}

#[tokio::test]
async fn an_input_that_does_not_fit_names_the_field() {
    let greet = Bench::with("greet").await;

    let missing = greet.run(json!({})).await;
    let mistyped = greet.run(json!({ "name": 7 })).await;

    assert_eq!(failure(&missing).code.as_str(), "invalid-input");
    assert!(failure(&missing).message.contains("missing field `name`"), "{}", failure(&missing).message);
    assert!(failure(&mistyped).message.contains("`name`: invalid type"), "{}", failure(&mistyped).message);
}

#[tokio::test]
async fn a_guard_that_says_no_skips_the_step() {
    let probe = Bench::with("probe").await;

    assert_eq!(probe.run(json!({ "do": "skip" })).await.outcome, AttemptOutcome::Skipped);
}

#[tokio::test]
async fn reads_see_the_snapshot_and_writes_are_reported() {
    let probe = Bench::with("probe").await;
    let with_data = |call: &mut StepCall| {
        call.context = data(&[("amount", json!(12)), ("a", json!(1))]);
        call.metadata = data(&[("region", json!("eu"))]);
        call.previous = Some(json!({ "before": true }).into());
        call.config = config(&[("unit", "EUR")]);
    };

    for (order, expected) in [
        (json!({ "do": "read", "key": "amount" }), json!({ "value": 12 })),
        (json!({ "do": "read", "key": "nothing" }), json!({ "value": null })),
        (json!({ "do": "keys" }), json!(["a", "amount"])),
        (json!({ "do": "metadata", "key": "region" }), json!({ "value": "eu" })),
        (json!({ "do": "config", "key": "unit" }), json!({ "value": "EUR" })),
        (json!({ "do": "previous" }), json!({ "previous": { "before": true } })),
    ] {
        assert_eq!(output(&probe.run_with(order, with_data).await), &expected);
    }
    let write = probe.run_with(json!({ "do": "write", "key": "k", "value": [1] }), with_data).await;
    let delete = probe.run_with(json!({ "do": "delete", "key": "a" }), with_data).await;
    assert_eq!(write.writes["k"].as_ref().map(Json::text), Some("[1]"));
    assert_eq!((output(&delete), &delete.writes["a"]), (&json!({ "deleted": true }), &None));
}

#[tokio::test]
async fn writes_of_an_attempt_that_fails_or_traps_are_dropped() {
    let probe = Bench::with("probe").await;

    for order in ["write_then_fail", "write_then_trap"] {
        let report = probe.run(json!({ "do": order, "key": "k" })).await;
        assert!(matches!(report.outcome, AttemptOutcome::Failed(_)));
        assert_eq!(written(&report), [""; 0]);
    }
}

#[tokio::test]
async fn a_failure_keeps_all_that_the_step_said() {
    let probe = Bench::with("probe").await;

    let report = probe.run(json!({ "do": "fail_retryable", "code": "busy", "retry_after_ms": 20 })).await;
    let detailed = probe.run(json!({ "do": "fail", "details": { "why": ["a"] } })).await;

    let busy = failure(&report);
    assert_eq!((busy.code.as_str(), busy.retryable, busy.retry_after_ms), ("busy", true, Some(20)));
    assert_eq!(failure(&detailed).details, Some(json!({ "why": ["a"] }).into()));
}

#[tokio::test]
async fn the_hook_after_success_adds_its_writes() {
    let probe = Bench::with("probe").await;

    let report = probe
        .run_with(json!({ "do": "write", "key": "k" }), |call| call.config = config(&[("on_success", "write")]))
        .await;

    assert_eq!(written(&report), ["k", "on_success", "on_success_output"]);
    assert_eq!(report.hook_failure, None);
}

#[tokio::test]
async fn a_hook_that_fails_loses_its_own_writes_and_the_outcome_stands() {
    let probe = Bench::with("probe").await;

    for (order, code) in [("fail", "hook-failed"), ("trap", "engine.trap"), ("loop", "engine.cpu")] {
        let report = probe
            .run_with(json!({ "do": "write", "key": "k" }), |call| call.config = config(&[("on_success", order)]))
            .await;

        assert_eq!(output(&report), &json!({ "written": "k" }));
        assert_eq!(report.hook_failure.as_ref().map(|failure| failure.code.as_str()), Some(code));
        assert_eq!(written(&report), ["k"]);
    }
}

#[tokio::test]
async fn the_hook_after_failure_runs_in_a_cell_of_its_own() {
    let probe = Bench::with("probe").await;
    let cause = Failure::engine(EngineCode::Cpu, "too slow");

    let kept = probe.sandbox.run_failure_hook(call(probe.component, json!(1)), &cause).await;
    let mut failing = call(probe.component, json!(1));
    failing.config = config(&[("on_failure", "trap")]);
    let dropped = probe.sandbox.run_failure_hook(failing, &cause).await;

    assert_eq!(kept.writes["on_failure_code"].as_ref().map(Json::text), Some("\"engine.cpu\""));
    assert_eq!(kept.failure, None);
    assert!(dropped.writes.is_empty());
    assert_eq!(dropped.failure.map(|failure| failure.code.as_str().to_owned()).as_deref(), Some("engine.trap"));
}

#[tokio::test]
async fn a_step_knows_who_runs_it_and_what_ran_before() {
    let probe = Bench::with("probe").await;
    let ended = |status| ExecutionRecord {
        number: ExecutionNumber(1),
        step: StepName::new("first").unwrap(),
        step_type: StepType::Machine,
        status,
        attempts: 2,
        input: None,
        output: Some(json!(7).into()),
        failure: None,
        started_at: Timestamp::from_unix_ms(0),
        completed_at: Some(Timestamp::from_unix_ms(5)),
        ended_order: Some(1),
        assigned_to: None,
        completed_by: None,
        part_of: None,
        item: None,
    };

    let info = probe
        .run_with(json!({ "do": "info" }), |call| {
            call.info.attempt = 2;
            call.info.tenant = Some(TenantId::new("acme").unwrap());
        })
        .await;
    let history = probe
        .run_with(json!({ "do": "history" }), |call| {
            call.history = Arc::new(vec![ended(StepStatus::Succeeded), ended(StepStatus::Running)]);
        })
        .await;

    let info = output(&info);
    assert_eq!((&info["workflow_version"], &info["attempt"]), (&json!("1.2.3"), &json!(2)));
    assert_eq!((&info["tenant_id"], &info["started_at"]), (&json!("acme"), &json!("2026-01-31T09:30:00.000Z")));
    assert_eq!(info["idempotency_key"], "00000000-0000-0000-0000-000000000003");
    let expected = json!([{ "step": "first", "status": "StepStatus::Succeeded", "output": 7 }]);
    assert_eq!(output(&history), &expected);
}

#[tokio::test]
async fn the_clock_stands_at_the_executions_start_and_a_repeated_attempt_draws_the_same_bits() {
    let probe = Bench::with("probe").await;

    let clock = probe.run(json!({ "do": "clock" })).await;
    let first = probe.run(json!({ "do": "random" })).await;
    let again = probe.run_with(json!({ "do": "random" }), |call| call.info.attempt = 2).await;
    let other = probe
        .run_with(json!({ "do": "random" }), |call| call.info.execution = ExecutionId::from_uuid(Uuid::from_u128(9)))
        .await;

    assert_eq!(output(&clock), "1769851801000");
    assert_eq!(output(&first), output(&again));
    assert_ne!(output(&first), output(&other));
}

#[tokio::test]
async fn a_cell_has_no_environment_no_arguments_no_files_and_no_input() {
    let probe = Bench::with("probe").await;

    let report = probe.run(json!({ "do": "surroundings" })).await;

    assert_eq!(output(&report), &json!({ "environment": 0, "arguments": 0, "root": 0, "input": 0 }));
}

#[tokio::test]
async fn a_component_that_is_not_ready_is_the_hosts_failure() {
    let probe = Bench::with("probe").await;

    let unknown = call(ComponentDigest::of(b"unknown"), json!(1));
    let report = probe.sandbox.run(unknown.clone()).await;
    let hook = probe.sandbox.run_failure_hook(unknown, &Failure::engine(EngineCode::Cpu, "x")).await;

    assert_eq!(failure(&report).code, EngineCode::Host);
    assert!(hook.failure.is_some_and(|failure| failure.retryable));
}
