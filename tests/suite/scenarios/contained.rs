//! What steps that misbehave cost: their own attempt, and nobody else anything.

use serde_json::{Value, json};
use stepcell::WorkflowStatus;
use stepcell::engine::{EventFilter, EventType, FeedStart};
use stepcell::model::failure::EngineCode;
use stepcell_tests::Scenario;

/// Runs one step that does this beside one that behaves, and says how the first failed.
async fn failure_of(order: Value, limits: &str) -> (EngineCode, String) {
    let scenario = Scenario::with_probe().await;
    let body = format!(
        "
initial_step: bad
steps:
  bad: {{ type: machine, component: probe@1, config: {{ do: {order} }}, retry: {{ max_attempts: 1 }}{limits} }}
"
    );
    scenario.register("bad", &body).await;
    scenario.register("good", "initial_step: a\nsteps: { a: { type: machine, component: probe@1 } }\n").await;

    let bad = scenario.start("bad", json!({})).await;
    let good = scenario.run("good", json!({"fine": true})).await;
    let bad = scenario.settled(bad).await;

    assert_eq!(good.status, WorkflowStatus::Completed, "the neighbour is not touched");
    assert_eq!(bad.status, WorkflowStatus::Failed);
    let error = bad.error.expect("an instance that failed says why");
    let code = EngineCode::ALL.iter().find(|code| error.code == **code);
    (*code.unwrap_or_else(|| panic!("not the engine's: {}", error.code)), error.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_its_step_only() {
    let (code, message) = failure_of(json!({"do": "trap"}), "").await;

    assert_eq!(code, EngineCode::Trap);
    assert!(!message.contains("wasmtime") && !message.contains("/"), "nothing of the host shows: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_is_stopped_by_its_cpu_limit() {
    let (code, _) = failure_of(json!({"do": "loop"}), ", limits: { cpu: 50ms }").await;

    assert_eq!(code, EngineCode::Cpu);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_is_stopped_by_its_memory_limit() {
    let (code, _) = failure_of(json!({"do": "alloc"}), ", limits: { memory: 16MiB }").await;

    assert_eq!(code, EngineCode::Memory);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_recursion_is_stopped_by_the_stack_limit() {
    let (code, _) = failure_of(json!({"do": "stack"}), "").await;

    assert_eq!(code, EngineCode::Stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn sleeping_for_ever_is_stopped_by_the_wall_clock() {
    let (code, _) = failure_of(json!({"do": "sleep", "ms": 3_600_000}), ", limits: { wall: 100ms }").await;

    assert_eq!(code, EngineCode::Wall);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_runs_past_its_own_timeout_fails_with_a_timeout() {
    let (code, _) = failure_of(json!({"do": "sleep", "ms": 3_600_000}), ", timeout: 50ms").await;

    assert_eq!(code, EngineCode::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn exiting_is_no_success_whatever_the_status() {
    let (code, _) = failure_of(json!({"do": "exit", "status": 0}), "").await;

    assert_eq!(code, EngineCode::Exit);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_too_large_is_refused() {
    let (code, _) = failure_of(json!({"do": "big_output", "bytes": 2 << 20}), "").await;

    assert_eq!(code, EngineCode::Output);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_instance_interrupts_the_guest_that_runs() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: busy
steps:
  busy: { type: machine, component: probe@1, config: { do: loop }, limits: { cpu: 60s, wall: 15m } }
";
    scenario.register("busy", body).await;
    let filter = EventFilter { types: vec![EventType::StepStarted], ..EventFilter::default() };
    let mut begun = scenario.host.engine().events(filter, FeedStart::Now).await.unwrap();
    let id = scenario.start("busy", json!({})).await;
    begun.next().await.unwrap();

    scenario.host.engine().cancel_workflow(id, "changed our mind").await.unwrap();

    let instance = scenario.settled(id).await;
    assert_eq!(instance.status, WorkflowStatus::Canceled);
    assert_eq!(instance.error.unwrap().message, "changed our mind");
    assert_eq!(scenario.path(id).await, ["busy canceled"]);
    scenario.host.close().await;
}
