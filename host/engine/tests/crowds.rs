//! Very many instances at once: those that sleep cost nothing, those whose time came while the host was down go on once, in
//! order and beside everybody else.
//!
//! `STEPCELL_CROWD` says how many there are, for measuring.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use stepcell_engine::StartRequest;
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::status::WorkflowStatus;
use stepcell_store::InstanceFilter;
use tokio::sync::Semaphore;

use crate::kit::{Answer, Backend, TestHost, done, fails_for_now, returns};

/// How many instances a crowd has, unless somebody measures.
const CROWD: usize = 1_500;

/// How many instances one look at the store may bring to be moved at once, and those that it finds again.
const MOVED_AT_ONCE_MAX: usize = 1_000;

/// Long enough for any crowd.
const PATIENCE: Duration = Duration::from_secs(600);

fn crowd() -> usize {
    std::env::var("STEPCELL_CROWD").map_or(CROWD, |crowd| crowd.parse().unwrap())
}

/// Starts a crowd, some at a time.
async fn start(host: &TestHost, workflow: &str, tenant: Option<&str>, count: usize) -> Vec<InstanceId> {
    let room = Arc::new(Semaphore::new(64));
    let starts = (0..count).map(|number| {
        let (engine, room) = (host.engine.clone(), Arc::clone(&room));
        let request = StartRequest {
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            ..StartRequest::new(WorkflowName::new(workflow).unwrap()).with_data(json!({ "number": number }))
        };
        tokio::spawn(async move {
            let _room = room.acquire_owned().await.unwrap();
            engine.start_workflow(request).await.unwrap().identity.id
        })
    });
    let mut ids = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        ids.push(start.await.unwrap());
    }
    ids
}

/// Waits until so many instances have a status; meanwhile tells `look` of every look.
async fn counts(host: &TestHost, status: WorkflowStatus, count: usize, mut look: impl FnMut(&TestHost)) {
    let mut told = host.told().await;
    let filter = InstanceFilter { statuses: vec![status], ..InstanceFilter::default() };
    let all = async {
        while host.store().list_instances(&filter).await.unwrap().total < count as u64 {
            look(host);
            told.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all come there");
}

const TIMER: &str = "initial_step: w\nsteps:\n  w: { type: timer, duration: 10s }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_that_were_due_while_the_host_was_down_all_fire_once_and_nobody_waits_for_them() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.step("a", |_| done()).await;
    host.register_yaml("timer", TIMER).await;
    host.register_yaml("fresh", "initial_step: a\nsteps: { a: { type: machine, component: a@1 } }\n").await;
    let ids = start(&host, "timer", None, crowd()).await;
    counts(&host, WorkflowStatus::Waiting, ids.len(), |_| {}).await;

    let store = host.store();
    let host = host.crash_and_restart_on(store, |clock| clock.advance(Duration::from_secs(7_200))).await;
    let began = Instant::now();
    let fresh = host.run("fresh", json!({})).await;
    let fresh_after = began.elapsed();
    let mut most = 0;
    counts(&host, WorkflowStatus::Completed, ids.len() + 1, |host| most = most.max(host.hot_len())).await;

    eprintln!(
        "{} timers in {:?}, a fresh instance in {fresh_after:?}, at most {most} at once",
        ids.len(),
        began.elapsed()
    );
    assert_eq!(fresh.status, WorkflowStatus::Completed);
    assert!(most <= MOVED_AT_ONCE_MAX, "{most} were moved at once");
    host.cools().await;
    for id in ids {
        let fired = host.events(id).await.iter().filter(|event| *event == "step_completed").count();
        assert_eq!(fired, 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_sleeps_is_rows_and_nothing_in_memory() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.register_yaml("timer", TIMER).await;
    host.register_yaml("person", "initial_step: h\nsteps: { h: { type: human } }\n").await;
    let half = crowd() / 2;
    start(&host, "timer", None, half).await;
    start(&host, "person", None, half).await;

    counts(&host, WorkflowStatus::Waiting, 2 * half, |_| {}).await;
    host.cools().await;

    assert_eq!(host.held_len(), 0, "nothing is held for instances that wait");
    let host = host.crash_and_restart().await;
    host.cools().await;
    assert_eq!(host.held_len(), 0, "nor is anything read of them at the start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_was_running_goes_on_after_a_restart_and_a_fresh_instance_beside_it() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.step("a", |_| Answer::Never).await;
    host.step("b", |_| done()).await;
    host.register_yaml(
        "two",
        "initial_step: a\nsteps: { a: { type: machine, component: a@1 }, b: { type: machine, component: b@1 } }\n\
         edges: [{ source: a, target: b }]\n",
    )
    .await;
    host.register_yaml("fresh", "initial_step: b\nsteps: { b: { type: machine, component: b@1 } }\n").await;
    let ids = start(&host, "two", None, crowd()).await;
    host.step("a", |_| done()).await;

    let host = host.crash_and_restart().await;
    let began = Instant::now();
    let fresh = host.run("fresh", json!({})).await;
    let fresh_after = began.elapsed();
    host.clock.advance(Duration::from_secs(60));
    counts(&host, WorkflowStatus::Completed, ids.len() + 1, |host| host.clock.advance(Duration::from_secs(1))).await;

    eprintln!("{} instances in {:?}, a fresh one in {fresh_after:?}", ids.len(), began.elapsed());
    assert_eq!(fresh.status, WorkflowStatus::Completed);
    for id in ids {
        assert_eq!(host.path(id).await, ["a succeeded", "b succeeded"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_although_a_crowd_of_another_tenant_waits_for_room() {
    let host = TestHost::on(Backend::Memory).await;
    host.step("a", |call| if call.info.attempt == 1 { fails_for_now("later") } else { Answer::Never }).await;
    host.step("after", |_| returns("after")).await;
    host.register_yaml(
        "crowd",
        "initial_step: a\nsteps: { a: { type: machine, component: a@1, retry: { initial_delay: 10s, jitter: none } } }\n",
    )
    .await;
    host.register_yaml("timer", TIMER).await;
    let crowd = start(&host, "crowd", Some("acme"), 700).await;
    host.called("a", crowd.len()).await;
    host.cools().await;
    // Due a little later than the whole crowd.
    host.clock.advance(Duration::from_secs(5));
    let timer = start(&host, "timer", Some("initech"), 1).await[0];
    host.waits(timer).await;

    host.clock.advance(Duration::from_secs(10));

    assert_eq!(host.settled(timer).await.status, WorkflowStatus::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_goes_on_after_a_restart_although_a_crowd_of_another_tenant_waits_for_room() {
    let host = TestHost::on(Backend::Memory).await;
    host.step("a", |_| Answer::Never).await;
    host.step("b", |_| Answer::Never).await;
    let pure = |name: &str| {
        let retry = "retry: { initial_delay: 0s, jitter: none }";
        format!("initial_step: {name}\nsteps: {{ {name}: {{ type: machine, component: {name}@1, {retry} }} }}\n")
    };
    host.register_yaml("crowd", &pure("a")).await;
    host.register_yaml("other", &pure("b")).await;
    // More than may be driven at once.
    start(&host, "crowd", Some("acme"), 2_100).await;
    let other = start(&host, "other", Some("initech"), 1).await[0];
    host.called("b", 1).await;
    host.step("b", |_| done()).await;

    let host = host.crash_and_restart().await;

    assert_eq!(host.settled(other).await.status, WorkflowStatus::Completed);
}
