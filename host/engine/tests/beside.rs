//! An engine beside others on one database, and one whose own code fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepcell_engine::{
    Clock, ComponentFacts, ComponentRefused, EngineOptions, SimulatedClock, Sleep, StartRequest, StepRunner,
    WorkflowEngine,
};
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, StepCall};
use stepcell_model::component::ComponentExports;
use stepcell_model::definition::{Jitter, WorkflowDefinition};
use stepcell_model::failure::Failure;
use stepcell_model::id::{ComponentDigest, InstanceId};
use stepcell_model::json::Json;
use stepcell_model::name::{ComponentName, StepName, TenantId, WorkflowName};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;
use stepcell_store::MemoryStore;
use tokio::time::timeout;

use crate::kit::{Answer, Backend, START, TestHost, fails_for_now, returns};

const SOON: Duration = Duration::from_secs(20);

fn one_step() -> WorkflowDefinition {
    let slowly = |a: &mut stepcell_model::definition::MachineStep| {
        a.retry.initial_delay = "10s".parse().unwrap();
        a.retry.jitter = Jitter::None;
    };
    WorkflowDefinition::builder("w", "1.0.0").machine_with("a", "a@1", slowly).build().unwrap()
}

#[tokio::test]
async fn whoever_waits_for_a_running_instance_is_told_when_another_process_cancels_it() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.step("a", |_| Answer::Never).await;
    host.register(one_step()).await;
    let id = host.start("w", json!({})).await;
    host.called("a", 1).await;
    let waiting = tokio::spawn({
        let engine = host.engine.clone();
        async move { engine.wait_until_settled(id).await.unwrap().status }
    });

    host.visitor().cancel_workflow(id, "not needed").await.unwrap();

    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap(), WorkflowStatus::Canceled);
}

#[tokio::test]
async fn whoever_waits_through_a_retry_delay_is_told_when_another_process_cancels_the_instance() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.step("a", |_| fails_for_now("busy")).await;
    host.register(one_step()).await;
    let id = host.start("w", json!({})).await;
    host.waits(id).await;
    let waiting = tokio::spawn({
        let engine = host.engine.clone();
        async move { engine.wait_until_settled(id).await.unwrap().status }
    });

    host.visitor().cancel_workflow(id, "not needed").await.unwrap();

    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap(), WorkflowStatus::Canceled);
    assert_eq!(host.engine.store().next_wake().await.unwrap(), None);
}

#[tokio::test]
async fn a_time_that_another_process_brought_an_instance_to_wait_for_comes() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.register_yaml(
        "w",
        "initial_step: s\nsteps: { s: { type: signal }, t: { type: timer, duration: 1h } }\nedges: [{ source: s, target: t \
         }]\n",
    )
    .await;
    host.step("a", |_| returns(1)).await;
    host.register_yaml(
        "after",
        "initial_step: s\nsteps: { s: { type: signal }, a: { type: machine, component: a@1 } }\nedges: [{ source: s, target: \
         a }]\n",
    )
    .await;
    let (id, after) = (host.start("w", json!({})).await, host.start("after", json!({})).await);
    host.waits(after).await;
    host.cools().await;

    let visitor = host.visitor();
    for instance in [id, after] {
        visitor.signal(instance, &"s".parse().unwrap(), Json::null()).await.unwrap();
    }
    // Whoever saw the second signal has seen the first.
    host.called("a", 1).await;
    host.cools().await;
    let waiting = tokio::spawn({
        let engine = host.engine.clone();
        async move { engine.wait_until_settled(id).await.unwrap().status }
    });
    host.clock.advance(Duration::from_secs(3_600));

    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap(), WorkflowStatus::Completed);
}

/// A clock that counts how often it is looked at, and fails from the moment that it is broken.
#[derive(Debug)]
struct WatchedClock {
    clock: SimulatedClock,
    looks: AtomicUsize,
    is_broken: AtomicBool,
}

impl WatchedClock {
    fn new() -> Arc<Self> {
        let (looks, is_broken) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { clock: SimulatedClock::at(START), looks, is_broken })
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        assert!(!self.is_broken.load(Ordering::SeqCst), "the clock failed");
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.clock.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        self.clock.sleep_until(at)
    }
}

/// Runs a step that does what its input says.
struct Obedient(Arc<WatchedClock>);

#[async_trait]
impl StepRunner for Obedient {
    async fn inspect(&self, _: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        Ok(ComponentFacts { exports: ComponentExports::Step, capabilities: Vec::new(), manifest: None })
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        Ok(())
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        true
    }

    async fn run(&self, call: StepCall) -> AttemptReport {
        let _under_way = Arc::clone(&self.0);
        let outcome = match call.input.tree()["do"].as_str() {
            Some("stay") => std::future::pending().await,
            Some("break the clock") => {
                self.0.is_broken.store(true, Ordering::SeqCst);
                AttemptOutcome::Succeeded(Json::null())
            }
            _ => AttemptOutcome::Failed(Failure::from_guest("busy", "not yet".into(), true)),
        };
        let (writes, trace) = (ContextWrites::new(), AttemptTrace::default());
        AttemptReport { outcome, writes, hook_failure: None, trace }
    }

    async fn run_gateway(&self, _: StepCall, _: Vec<StepName>) -> AttemptReport {
        unreachable!("there is no gateway")
    }

    async fn run_failure_hook(&self, _: StepCall, _: Failure) -> HookReport {
        unreachable!("no step fails for good")
    }
}

/// An engine with room for one attempt, in memory.
async fn engine_on(clock: &Arc<WatchedClock>) -> WorkflowEngine {
    let options =
        EngineOptions { concurrency: 1, clock: Arc::clone(clock) as Arc<dyn Clock>, ..EngineOptions::default() };
    let engine = WorkflowEngine::new(Arc::new(MemoryStore::new()), Arc::new(Obedient(Arc::clone(clock))), options);
    let (name, version) = (ComponentName::new("a").unwrap(), semver::Version::new(1, 0, 0));
    engine.registry().register_component(name, version, b"a".as_slice().into()).await.unwrap();
    engine.registry().register_definition(one_step()).await.unwrap();
    engine
}

async fn start(engine: &WorkflowEngine, data: Value) -> InstanceId {
    let request = StartRequest::new(WorkflowName::new("w").unwrap()).with_data(data);
    engine.start_workflow(request).await.unwrap().identity.id
}

#[tokio::test]
async fn an_engine_whose_own_code_panicked_while_it_moved_an_instance_still_stops() {
    let clock = WatchedClock::new();
    let engine = engine_on(&clock).await;
    let driving = engine.drive().await.unwrap();

    start(&engine, json!({"do": "break the clock"})).await;

    until(|| driving.hot_len() == 0).await;
    timeout(SOON, driving.stop()).await.expect("the engine stops");
}

/// Waits until something has come about.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.expect("it comes about");
}

#[tokio::test]
async fn an_engine_that_is_dropped_while_it_drives_stops_at_once() {
    let clock = WatchedClock::new();
    let engine = engine_on(&clock).await;
    let driving = engine.drive().await.unwrap();
    let at_rest = Arc::strong_count(&clock);
    start(&engine, json!({"do": "stay"})).await;
    until(|| Arc::strong_count(&clock) > at_rest).await;

    drop(driving);

    until(|| Arc::strong_count(&clock) <= at_rest).await;
}

/// The time of tokio is simulated here: its sleeps take no time, and what turns in circles is seen by its turns.
#[tokio::test(start_paused = true)]
async fn retries_that_are_due_wait_for_room_without_being_looked_at_all_the_time() {
    let clock = WatchedClock::new();
    let engine = engine_on(&clock).await;
    let _driving = engine.drive().await.unwrap();
    for _ in 0..20 {
        start(&engine, json!({"do": "fail"})).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    start(&engine, json!({"do": "stay"})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let looks_before = clock.looks.load(Ordering::SeqCst);

    clock.clock.advance(Duration::from_secs(10));
    tokio::time::sleep(Duration::from_secs(10)).await;

    let looks = clock.looks.load(Ordering::SeqCst) - looks_before;
    assert!((1..500).contains(&looks), "{looks} looks at the clock in ten seconds");
}
