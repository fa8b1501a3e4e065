//! Pure steps in a row are stored together: what is on disk when, and what a crash in between comes to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kit/between.rs"]
mod between;
mod kit;
#[path = "kit/stopping.rs"]
mod stopping;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepcell_engine::EventFilter;
use stepcell_model::attempt::StepCall;
use stepcell_model::component::Capability;
use stepcell_model::id::{ComponentDigest, InstanceId};
use stepcell_model::name::SignalName;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::Transition;
use stepcell_store::WorkflowStore;
use tokio::sync::Notify;

use crate::kit::{Answer, Backend, TestHost, done, fails_for_now, returns, writes};
use crate::stopping::{Death, StoppingStore};

/// A host on which only what happens ends a wait for what follows.
async fn that_fuses(backend: Backend) -> TestHost {
    TestHost::that_fuses(backend, |store| store).await
}

/// A workflow `w` of machine steps in a row; `more` is what else its definition says.
async fn row(host: &TestHost, steps: &[&str], more: &str) {
    let lines = steps.iter().map(|name| match *name {
        "loud" => {
            "  loud: { type: machine, component: loud@1, grants: { http: ['https://api.example'] } }\n".to_owned()
        }
        name => format!("  {name}: {{ type: machine, component: {name}@1 }}\n"),
    });
    let edges = steps.windows(2).map(|pair| format!("{{ source: {}, target: {} }}", pair[0], pair[1]));
    let (lines, edges) = (lines.collect::<String>(), edges.collect::<Vec<_>>().join(", "));
    host.register_yaml("w", &format!("{more}initial_step: {}\nsteps:\n{lines}edges: [{edges}]\n", steps[0])).await;
}

/// A step that reaches out, and so is not pure.
async fn loud(host: &TestHost, script: impl Fn(StepCall) -> Answer + Send + Sync + 'static) {
    host.runner.capabilities.lock().unwrap().insert(ComponentDigest::of(b"loud"), vec![Capability::Http]);
    host.step("loud", script).await;
}

/// How many transitions of an instance were stored.
async fn rows(host: &TestHost, id: InstanceId) -> usize {
    host.store().list_history(id, 0, 1_000).await.unwrap().len()
}

on_every_store! {
    on that_fuses;

    async fn pure_steps_in_a_row_are_stored_together(host: TestHost) {
        host.named(&["a", "b"]).await;
        host.step("c", |call| returns(call.history.len())).await;
        row(&host, &["a", "b", "c"], "").await;

        let instance = host.run("w", json!({"n": 1})).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(instance.result.unwrap().tree(), &json!(2), "a step sees those before it");
        assert_eq!(rows(&host, instance.identity.id).await, 2, "the start, and everything else");
        assert_eq!(host.path(instance.identity.id).await, ["a succeeded", "b succeeded", "c succeeded"]);
        let started = host.events(instance.identity.id).await.iter().filter(|event| *event == "step_started").count();
        assert_eq!(started, 3, "nothing that happened is missing");
    }

    async fn a_definition_can_have_each_step_stored_on_its_own(host: TestHost) {
        host.named(&["a", "b", "c"]).await;
        row(&host, &["a", "b", "c"], "durability: each_step\n").await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(rows(&host, instance.identity.id).await, 5, "the start, each attempt before it begins, and the end");
    }

    async fn an_operator_can_have_each_step_stored_on_its_own(host: TestHost) {
        host.stores_each_step().await;
        host.named(&["a", "b", "c"]).await;
        row(&host, &["a", "b", "c"], "durability: fused\n").await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(rows(&host, instance.identity.id).await, 5);
    }

    async fn everything_before_an_effectful_attempt_is_stored_before_it_begins(host: TestHost) {
        host.named(&["a", "b", "c"]).await;
        loud(&host, |_| Answer::Never).await;
        row(&host, &["a", "b", "loud", "c"], "").await;
        let id = host.start("w", json!({})).await;
        host.called("loud", 1).await;

        assert_eq!(host.path(id).await, ["a succeeded", "b succeeded"]);
        assert_eq!(host.events(id).await.last().unwrap(), "step_started");
        let host = host.crash_and_restart().await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(60));

        host.called("loud", 2).await;
        assert_eq!((host.calls("a").len(), host.calls("loud")[1].info.attempt), (1, 2), "the crash cost it an attempt");
    }

    async fn what_an_effectful_attempt_came_to_is_stored_at_once(host: TestHost) {
        loud(&host, |_| done()).await;
        host.step("a", |_| Answer::Never).await;
        row(&host, &["loud", "a"], "").await;
        let id = host.start("w", json!({})).await;
        host.called("a", 1).await;

        assert_eq!(host.path(id).await, ["loud succeeded"]);
    }

    async fn a_task_is_there_while_pure_steps_beside_it_still_run(host: TestHost) {
        host.named(&["a"]).await;
        let hold = Arc::new(Notify::new());
        let held = Arc::clone(&hold);
        host.step("b", move |_| Answer::Hold(Arc::clone(&held))).await;
        host.register_yaml("w", "initial_step: a
steps:
  a: { type: machine, component: a@1 }
  b: { type: machine, component: b@1 }
  h: { type: human }
edges: [{ source: a, target: b }, { source: a, target: h }]
").await;
        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;

        host.completes(id, "h", json!({})).await;
        hold.notify_one();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("b").len(), 1, "what was stored as begun is not begun again");
    }

    async fn a_further_attempt_is_stored_before_it_begins(host: TestHost) {
        host.step("a", |call| if call.info.attempt == 1 { fails_for_now("busy") } else { Answer::Never }).await;
        row(&host, &["a"], "").await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(60));
        host.called("a", 2).await;

        let started = host.events(id).await.iter().filter(|event| *event == "step_started").count();
        assert_eq!(started, 2);
    }

    async fn what_was_in_flight_when_the_host_went_down_runs_each_step_on_its_own(host: TestHost) {
        host.named(&["a", "b"]).await;
        host.step("c", |_| Answer::Never).await;
        row(&host, &["a", "b", "c"], "").await;
        let id = host.start("w", json!({})).await;
        host.called("c", 1).await;
        assert_eq!(rows(&host, id).await, 1);

        let host = host.crash_and_restart().await;
        host.called("c", 2).await;

        assert_eq!(host.path(id).await, ["a succeeded", "b succeeded"]);
        assert_eq!((rows(&host, id).await, host.calls("a").len()), (4, 2));
        let host = host.crash_and_restart().await;
        host.called("c", 3).await;
        assert_eq!((host.calls("a").len(), host.calls("b").len()), (2, 2), "what is stored runs no more");
    }

    async fn a_pure_step_that_takes_the_host_down_each_time_uses_up_its_attempts(host: TestHost) {
        host.named(&["a"]).await;
        host.step("b", |_| Answer::Never).await;
        row(&host, &["a", "b"], "").await;
        let id = host.start("w", json!({})).await;

        let mut host = host;
        // The first time nothing was stored of it. Then three attempts by its policy, and three more as it is pure.
        for time in 1..=7 {
            host.called("b", time).await;
            host = host.crash_and_restart().await;
        }

        assert_eq!(host.settled(id).await.error.unwrap().code.as_str(), "engine.crashed");
        assert_eq!(host.calls("b").len(), 7);
    }

    async fn a_change_from_outside_has_pure_steps_that_were_not_stored_begin_anew(host: TestHost) {
        let hold = Arc::new(Notify::new());
        let held = Arc::clone(&hold);
        host.step("a", |_| writes("a", 1)).await;
        host.step("b", move |call| {
            let is_first = !call.context.iter().any(|(key, _)| key.as_str() == "told");
            if is_first { Answer::Hold(Arc::clone(&held)) } else { writes("b", 2) }
        }).await;
        host.register_yaml("w", "initial_step: a
steps:
  a: { type: machine, component: a@1 }
  b: { type: machine, component: b@1 }
  s: { type: signal, signal: tell, payload_key: told }
edges: [{ source: a, target: b }, { source: b, target: s }]
").await;
        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;

        host.engine.signal(id, &SignalName::new("tell").unwrap(), json!("now").into()).await.unwrap();
        host.called("b", 2).await;
        hold.notify_waiters();
        hold.notify_one();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["a succeeded", "b succeeded", "s succeeded"]);
        assert_eq!(host.context(id).await["told"], "now");
    }

    async fn a_cancel_finds_what_is_stored_and_ends_what_runs(host: TestHost) {
        host.named(&["a"]).await;
        host.step("b", |_| Answer::Never).await;
        row(&host, &["a", "b"], "").await;
        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;

        host.engine.cancel_workflow(id, "not wanted").await.unwrap();
        host.cools().await;

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Canceled);
        assert_eq!(host.path(id).await, ["a canceled"], "nothing is told of what was not stored");
    }
}

/// A host whose store lets the start through and then dies when anything else of an instance is stored.
async fn that_dies_when_it_stores_more(
    backend: Backend,
    death: Death,
) -> (TestHost, Arc<dyn WorkflowStore>, Arc<StoppingStore>) {
    let mut ways = None;
    let host = TestHost::that_fuses(backend, |store| {
        let choose = move |transition: &Transition| if transition.seq > 1 { death } else { Death::None };
        let stopping = StoppingStore::new(Arc::clone(&store), choose);
        ways = Some((store, Arc::clone(&stopping)));
        stopping
    })
    .await;
    let (store, stopping) = ways.unwrap();
    (host, store, stopping)
}

async fn nothing_shows_before_it_is_stored(backend: Backend) {
    let (host, store, stopping) = that_dies_when_it_stores_more(backend, Death::Before).await;
    host.step("a", |_| writes("a", 1)).await;
    host.step("b", |_| writes("b", 2)).await;
    row(&host, &["a", "b"], "").await;
    let mut told = host.engine.events(EventFilter::default(), stepcell_engine::FeedStart::Beginning).await.unwrap();
    let id = host.start("w", json!({})).await;
    stopping.died().await;

    assert_eq!(host.calls("b").len(), 1, "all of it ran");
    let instance = host.engine.get_instance(id).await.unwrap();
    assert_eq!((instance.status, instance.seq), (WorkflowStatus::Running, 1));
    assert_eq!(host.context(id).await, json!({}));
    assert_eq!(host.executions(id).await.len(), 0);
    assert_eq!(told.next().await.unwrap().unwrap().seq, 1);
    assert!(!host.engine.is_settled(id).await.unwrap());
    assert_eq!(store.list_history(id, 0, 10).await.unwrap().len(), 1);

    let host = host.crash_and_restart_on(store, |_| {}).await;
    assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    assert_eq!(host.context(id).await, json!({"a": 1, "b": 2}));
    assert_eq!(host.path(id).await, ["a succeeded", "b succeeded"]);
    assert_eq!((host.calls("a").len(), host.calls("b").len()), (2, 2));
    assert_eq!(told.next().await.unwrap().unwrap().seq, 2);
}

async fn a_run_that_is_stored_is_not_run_again(backend: Backend) {
    let (host, store, stopping) = that_dies_when_it_stores_more(backend, Death::After).await;
    host.named(&["a", "b"]).await;
    row(&host, &["a", "b"], "").await;
    let id = host.start("w", json!({})).await;
    stopping.died().await;

    let host = host.crash_and_restart_on(store, |_| {}).await;

    assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    assert_eq!((host.calls("a").len(), host.calls("b").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fused_run_that_is_stored_is_not_run_again_in_memory() {
    a_run_that_is_stored_is_not_run_again(Backend::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fused_run_that_is_stored_is_not_run_again_on_sqlite() {
    a_run_that_is_stored_is_not_run_again(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_fused_run_shows_before_it_is_stored_in_memory() {
    nothing_shows_before_it_is_stored(Backend::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_fused_run_shows_before_it_is_stored_on_sqlite() {
    nothing_shows_before_it_is_stored(Backend::Sqlite).await;
}
