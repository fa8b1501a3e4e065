//! A store that fails under the engine, and a clock that somebody sets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kit/between.rs"]
mod between;
mod kit;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use stepcell_engine::EngineError;
use stepcell_model::id::InstanceId;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;
use stepcell_store::conformance::disk::{Disk, Fault, How, Operation};
use stepcell_store::{Committed, SqliteOptions, SqliteStore, StoreError, WorkflowStore};
use tokio::sync::{Notify, Semaphore};

use crate::between::{Between, Way};
use crate::kit::{Answer, Backend, START, TestHost, done, fails_for_now, returns};

/// Long enough for anything, so that what never ends fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

const TWO: &str = "initial_step: a\nsteps: { a: { type: machine, component: a@1 }, b: { type: machine, component: b@1 } }\n\
                   edges: [{ source: a, target: b }]\n";

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flush_that_failed_the_engine_says_why_begins_nothing_ends_and_loses_nothing_acknowledged() {
    let (disk, folder) = (Disk::new(), tempfile::tempdir().unwrap());
    disk.plan(None, 0);
    let path = folder.path().join("failing.db");
    let options = SqliteOptions { vfs: Some(disk.name()), ..SqliteOptions::default() };
    let failing: Arc<dyn WorkflowStore> = Arc::new(SqliteStore::open(&path, options).unwrap());
    let host = TestHost::on_wrapped(Backend::Memory, |_| failing).await;
    host.stores_each_step().await;
    let go_on = Arc::new(Notify::new());
    let held = Arc::clone(&go_on);
    host.step("a", move |_| Answer::Hold(Arc::clone(&held))).await;
    host.step("b", |_| done()).await;
    host.register_yaml("two", TWO).await;
    let id = host.start("two", json!({})).await;
    host.called("a", 1).await;

    disk.fail(Fault { operation: Operation::Sync, nth: 1, how: How::Error });
    let told = host.engine.wait_until_settled(id);
    go_on.notify_one();

    let fault = soon("the engine says that it can not go on", host.engine.faulted()).await;
    assert!(matches!(&fault, StoreError::Stopped { action, .. } if action == "flush to disk"), "{fault:?}");
    let refused = host.try_start("two", json!({})).await.unwrap_err();
    assert!(matches!(refused, EngineError::Store(StoreError::Stopped { .. })), "a start is told: {refused:?}");
    let told = soon("whoever waits is told", told).await.unwrap_err();
    assert!(matches!(told, EngineError::Store(StoreError::Stopped { .. })), "{told:?}");
    assert!(host.calls("b").is_empty(), "nothing begins that the store may not know of");

    let store: Arc<dyn WorkflowStore> = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).unwrap());
    let host = soon("the engine stops", host.stop_and_restart_on(store)).await;
    go_on.notify_one();
    assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    assert_eq!(host.path(id).await, ["a succeeded", "b succeeded"]);
}

/// A timer of two hours, a step that fails once and is tried again in ten seconds, and a task that is due in an hour.
const TIMES: [(&str, &str); 3] = [
    ("timer", "initial_step: w\nsteps:\n  w: { type: timer, duration: 2h }\n"),
    (
        "retried",
        "initial_step: a\nsteps: { a: { type: machine, component: a@1, retry: { initial_delay: 10s, jitter: none } } }\n",
    ),
    ("asked", "initial_step: h\nsteps: { h: { type: human, due_in: 1h } }\n"),
];

/// Waits until an event of that type is told of an instance.
async fn told_of(host: &TestHost, id: InstanceId, event: &str) {
    let mut told = host.told().await;
    let seen = async {
        while !host.events(id).await.iter().any(|known| known == event) {
            told.next().await.unwrap();
        }
    };
    soon("it is told", seen).await;
}

async fn count(host: &TestHost, id: InstanceId, event: &str) -> usize {
    host.events(id).await.iter().filter(|known| *known == event).count()
}

on_every_store! {
    async fn a_clock_that_is_set_back_an_hour_and_on_a_day_loses_no_time_and_fires_none_twice(host: TestHost) {
        let hour = Duration::from_secs(3_600);
        host.step("a", |call| if call.info.attempt == 1 { fails_for_now("later") } else { returns("a") }).await;
        for (name, body) in TIMES {
            host.register_yaml(name, body).await;
        }
        let (timer, asked) = (host.start("timer", json!({})).await, host.start("asked", json!({})).await);
        let retried = host.start("retried", json!({})).await;
        host.called("a", 1).await;
        host.waits(timer).await;
        host.waits(asked).await;
        host.cools().await;

        let back = Timestamp::from_unix_ms(START.unix_ms() - 3_600_000);
        host.clock.set(back);
        let meanwhile = host.start("retried", json!({})).await;
        host.called("a", 2).await;
        host.cools().await;
        host.clock.set(back.after(Duration::from_secs(10)));
        assert_eq!(host.settled(meanwhile).await.status, WorkflowStatus::Completed, "what begins then goes by that clock");
        assert_eq!((count(&host, timer, "step_completed").await, host.path(retried).await.len()), (0, 0), "times stay");

        host.clock.set(START.after(24 * hour));
        for id in [timer, retried] {
            assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        }
        told_of(&host, asked, "task_overdue").await;

        host.clock.set(START);
        host.completes(asked, "h", json!({})).await;
        assert_eq!(host.settled(asked).await.status, WorkflowStatus::Completed);
        host.cools().await;
        for (id, event) in [(timer, "step_completed"), (retried, "step_completed"), (asked, "task_overdue")] {
            assert_eq!(count(&host, id, event).await, 1, "{event}");
        }
        for id in [timer, retried, asked, meanwhile] {
            for record in host.executions(id).await {
                let took = record.completed_at.unwrap().since(record.started_at);
                assert!(took <= 24 * hour, "times of a clock that was set back are never negative: {record:?}");
            }
        }
    }
}

/// A way on which a read of an instance comes no further than an attempt, while there is one: they share a place.
struct OnePlace {
    go_on: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    nudged: Mutex<Vec<InstanceId>>,
}

#[async_trait]
impl Way for OnePlace {
    async fn there(&self, call: &'static str) -> Result<(), StoreError> {
        if call == "load_instance" && self.running.load(Ordering::SeqCst) > 0 {
            self.go_on.add_permits(1);
            while self.running.load(Ordering::SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn back(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        store.commit(transition).await
    }

    fn nudges(&self) -> Vec<InstanceId> {
        std::mem::take(&mut self.nudged.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_waits_for_the_store_does_not_hold_up_the_attempt_that_the_store_waits_for() {
    let (go_on, running) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let nudged = Mutex::default();
    let way = Arc::new(OnePlace { go_on: Arc::clone(&go_on), running: Arc::clone(&running), nudged });
    let between = Arc::clone(&way);
    let host = TestHost::on_wrapped(Backend::Memory, |store| Arc::new(Between { store, way: between })).await;
    let (gate, counter) = (Arc::clone(&go_on), Arc::clone(&running));
    host.step("a", move |_| Answer::HoldAt(Arc::clone(&gate), Arc::clone(&counter))).await;
    host.step("b", |_| done()).await;
    host.register_yaml("two", TWO).await;
    let id = host.start("two", json!({})).await;
    host.called("a", 1).await;

    running.store(1, Ordering::SeqCst);
    way.nudged.lock().unwrap().push(id);

    let end = soon("the attempt goes on while its driver reads", host.settled(id)).await;
    assert_eq!(end.status, WorkflowStatus::Completed);
}
