//! What holds a step that does not hold itself: each limit ends the attempt with a code of its own, and the host goes
//! on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepcell_model::attempt::{AttemptOutcome, LogLevel};

use crate::assembly::step_in_text;
use crate::calls::{Bench, failure, output, written};

/// Orders, and the code of the failure that each ends in.
fn offences() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "do": "trap" }), "engine.trap"),
        (json!({ "do": "trap_can_execute" }), "engine.trap"),
        (json!({ "do": "alloc" }), "engine.memory"),
        (json!({ "do": "stack" }), "engine.stack"),
        (json!({ "do": "exit", "status": 0 }), "engine.exit"),
        (json!({ "do": "exit", "status": 3 }), "engine.exit"),
        (json!({ "do": "big_output", "bytes": 1 << 20 }), "engine.output"),
        (json!({ "do": "big_output", "bytes": 9 << 20 }), "engine.output"),
        (json!({ "do": "deep_output", "depth": 65 }), "engine.invalid-output"),
        (json!({ "do": "host_calls", "times": 100_001 }), "engine.host-calls"),
        (json!({ "do": "fail", "code": "engine.forged" }), "step.invalid-code"),
        (json!({ "do": "fail_can_execute" }), "guard-failed"),
        (json!({ "do": "write_can_execute" }), "guard-refused"),
        (json!({ "do": "connect", "address": "127.0.0.1:80" }), "not-connected"),
        (json!({ "do": "connect", "address": "localhost:80" }), "not-connected"),
        (json!({ "do": "secret", "name": "TOKEN" }), "secret-not-granted"),
        (json!({ "do": "write", "key": "engine.x" }), "invalid-key"),
        (json!({ "do": "write_many", "count": 1, "bytes": 256 << 10 }), "value-too-large"),
        (json!({ "do": "write_many", "count": 17, "bytes": 250_000 }), "value-too-large"),
        (json!({ "do": "write_many", "count": 1_001, "bytes": 1 }), "value-too-large"),
    ]
}

#[tokio::test]
async fn each_offence_ends_the_attempt_with_a_code_of_its_own_and_leaves_nothing() {
    let probe = Bench::with("probe").await;

    for (order, code) in offences() {
        let report = probe.run_with(order.clone(), |call| call.limits.cpu_max = Duration::from_secs(20)).await;

        assert_eq!(failure(&report).code.as_str(), code, "{order}: {:?}", failure(&report).message);
        assert_eq!(written(&report), [""; 0], "{order}");
    }
    assert_eq!(output(&probe.run(json!(1)).await), &json!(1));
}

#[tokio::test]
async fn messages_of_failures_tell_nothing_of_the_host() {
    let probe = Bench::with("probe").await;

    for (order, _) in offences() {
        let report = probe.run_with(order, |call| call.limits.cpu_max = Duration::from_secs(20)).await;

        let message = &failure(&report).message;
        for word in ["wasmtime", "backtrace", "stepcell_", "/src/", ".rs", "0x", "<unknown>", "::"] {
            assert!(!message.contains(word), "{message}");
        }
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_cpu_limit_and_lets_others_run_meanwhile() {
    let probe = Bench::with("probe").await;
    let limit = Duration::from_millis(100);

    let (looping, quick) = tokio::join!(
        probe.run_with(json!({ "do": "loop" }), |call| call.limits.cpu_max = limit),
        probe.run(json!("quick")),
    );

    assert_eq!(failure(&looping).code.as_str(), "engine.cpu");
    let cpu = Duration::from_micros(looping.trace.receipt.cpu_us);
    assert!((limit..limit * 3).contains(&cpu), "{cpu:?}");
    assert_eq!(output(&quick), "quick");
    assert!(Duration::from_micros(quick.trace.receipt.wall_us) < limit);
}

#[tokio::test]
async fn waiting_is_no_cpu_time_and_ends_at_the_wall_limit_or_at_the_steps_own_timeout() {
    let probe = Bench::with("probe").await;
    let sleep = json!({ "do": "sleep", "ms": 5_000 });

    let wall = probe.run_with(sleep.clone(), |call| call.limits.wall_max = Duration::from_millis(50)).await;
    let timeout = probe.run_with(sleep, |call| call.limits.timeout = Some(Duration::from_millis(50))).await;

    assert_eq!(failure(&wall).code.as_str(), "engine.wall");
    assert_eq!(failure(&timeout).code.as_str(), "engine.timeout");
    assert!(failure(&timeout).retryable);
    assert!(wall.trace.receipt.cpu_us < 40_000, "{:?}", wall.trace.receipt);
}

#[tokio::test]
async fn a_step_may_use_what_it_is_given_up_to_the_last_byte() {
    let probe = Bench::with("probe").await;

    for order in [
        json!({ "do": "alloc", "mib": 30 }),
        json!({ "do": "big_output", "bytes": (1 << 20) - 2 }),
        json!({ "do": "deep_output", "depth": 64 }),
        json!({ "do": "sleep", "ms": 1 }),
        json!({ "do": "write_many", "count": 1_000, "bytes": 1 }),
    ] {
        let report = probe.run(order.clone()).await;
        assert!(matches!(report.outcome, AttemptOutcome::Succeeded(_)), "{order}: {:?}", report.outcome);
    }
}

#[tokio::test]
async fn a_larger_limit_lets_a_step_have_more_memory() {
    let probe = Bench::with("probe").await;

    let report =
        probe.run_with(json!({ "do": "alloc", "mib": 100 }), |call| call.limits.memory_bytes_max = 256 << 20).await;

    assert!(report.trace.receipt.memory_bytes_peak > 100 << 20, "{:?}", report.outcome);
}

#[tokio::test]
async fn what_a_step_logs_and_prints_comes_to_one_log_within_its_quota() {
    let probe = Bench::with("probe").await;

    let logged = probe.run(json!({ "do": "log", "message": "hi", "level": "warn", "fields": { "n": 1 } })).await;
    let printed = probe.run(json!({ "do": "print", "text": "one\ntwo" })).await;
    let flooded = probe.run(json!({ "do": "print", "text": "x\n", "to_stderr": true, "times": 1_500 })).await;

    let line = &logged.trace.log[0];
    assert_eq!((line.level, line.message.as_str()), (LogLevel::Warn, "hi"));
    assert_eq!(line.fields.as_ref().map(ToString::to_string).as_deref(), Some(r#"{"n":1}"#));
    let texts: Vec<_> = printed.trace.log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!((flooded.trace.log.len(), flooded.trace.log_lines_dropped), (1_000, 500));
}

#[tokio::test]
async fn a_panic_leaves_its_message_in_the_log() {
    let probe = Bench::with("probe").await;

    let report = probe.run(json!({ "do": "trap" })).await;

    assert!(report.trace.log.iter().any(|line| line.message.contains("told to panic")), "{:?}", report.trace.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_attempts_than_cells_wait_their_turn_on_whatever_thread() {
    let probe = Arc::new(Bench::with("probe").await);

    let tasks = (0..40).map(|number| {
        let probe = Arc::clone(&probe);
        tokio::spawn(async move { probe.run(json!(number)).await })
    });

    for (number, report) in futures::future::join_all(tasks).await.into_iter().enumerate() {
        assert_eq!(output(&report.unwrap()), &json!(number));
    }
}

#[tokio::test]
async fn a_stopped_attempt_frees_its_cell() {
    let runaway = Bench::with("runaway").await;

    for _ in 0..20 {
        let run = runaway.run_with(json!(null), |call| call.limits.cpu_max = Duration::from_secs(60));
        assert!(tokio::time::timeout(Duration::from_millis(10), run).await.is_err());
    }
    let report = runaway.run_with(json!(null), |call| call.limits.cpu_max = Duration::from_millis(20)).await;

    assert_eq!(failure(&report).code.as_str(), "engine.cpu");
}

#[tokio::test]
async fn what_no_toolchain_would_make_ends_with_a_code_of_its_own_too() {
    let endless_handles = "(loop $more (drop (call $get_stdout)) (br $more)) unreachable";
    let growing_table = "(drop (table.grow (ref.null func) (i32.const 60000))) unreachable";
    for (definitions, execute, text, code) in [
        ("", "(global.get $ok)", "not json", "engine.invalid-output"),
        ("", "(global.get $ok)", "", "engine.invalid-output"),
        ("", "(global.get $ok)", "\\ff\\fe", "engine.trap"),
        ("", "(i32.const 70000)", "1", "engine.trap"),
        ("", "(i32.div_s (i32.const 1) (i32.const 0))", "1", "engine.trap"),
        ("", endless_handles, "1", "engine.handles"),
        ("(table 1 funcref)", growing_table, "1", "engine.table"),
        ("(func $again (call $again) (call $again))", "(call $again) unreachable", "1", "engine.stack"),
        ("(func $start (loop $more (br $more))) (start $start)", "(global.get $ok)", "1", "engine.cpu"),
    ] {
        let bytes = step_in_text(definitions, execute, text);
        let step = Bench::with_bytes(bytes).await;

        let report = step.run_with(json!(1), |call| call.limits.cpu_max = Duration::from_millis(100)).await;

        assert_eq!(failure(&report).code.as_str(), code, "{definitions} {execute} {text}: {:?}", failure(&report));
    }
    let fine = Bench::with_bytes(step_in_text("", "(global.get $ok)", "[1]")).await;
    assert_eq!(output(&fine.run(json!(1)).await), &json!([1]));
}

#[tokio::test]
async fn a_step_that_wants_too_much_memory_from_the_start_is_not_started() {
    let greet = Bench::with("greet").await;

    let report = greet.run_with(json!({ "name": "Ada" }), |call| call.limits.memory_bytes_max = 1 << 20).await;

    assert_eq!(failure(&report).code.as_str(), "engine.memory");
}
