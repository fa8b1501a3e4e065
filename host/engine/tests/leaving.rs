//! Callers that stop waiting before they are answered: what the store has taken goes on all the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kit/between.rs"]
mod between;
mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use stepcell_engine::StartRequest;
use stepcell_model::id::InstanceId;
use stepcell_model::name::WorkflowName;
use stepcell_model::transition::Transition;
use stepcell_store::{Committed, InstanceFilter, StoreError, WorkflowStore};
use tokio::sync::Notify;

use crate::between::{Between, Way};
use crate::kit::{Backend, TestHost, done, user};

/// Long enough for anything, so that what never comes fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

const ASKS: &str = "initial_step: a\nsteps:\n  a: { type: machine, component: a@1 }\n  h: { type: human }\n  \
                    b: { type: machine, component: b@1 }\n\
                    edges: [{ source: a, target: h }, { source: h, target: b }]\n";

/// A way on which the answer to one commit is held back.
#[derive(Default)]
struct SlowAnswer {
    holds_next: AtomicBool,
    stored: Notify,
    answer: Notify,
}

#[async_trait]
impl Way for SlowAnswer {
    async fn there(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn back(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        let committed = store.commit(transition).await;
        if self.holds_next.swap(false, Ordering::SeqCst) {
            self.stored.notify_one();
            self.answer.notified().await;
        }
        committed
    }

    fn nudges(&self) -> Vec<InstanceId> {
        Vec::new()
    }
}

impl SlowAnswer {
    /// Has a caller go away once the store has taken what it asks for, and answers only then.
    async fn abandons<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) {
        self.holds_next.store(true, Ordering::SeqCst);
        let call = tokio::spawn(call);
        self.stored.notified().await;
        call.abort();
        assert!(call.await.is_err(), "the caller has gone unanswered");
        self.answer.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_has_taken_goes_on_although_its_caller_has_gone() {
    let way = Arc::new(SlowAnswer::default());
    let between = Arc::clone(&way);
    let host = TestHost::on_wrapped(Backend::Memory, |store| Arc::new(Between { store, way: between })).await;
    for step in ["a", "b"] {
        host.step(step, |_| done()).await;
    }
    host.register_yaml("asks", ASKS).await;
    let reaches = async |step: &str| {
        let reached = tokio::time::timeout(PATIENCE, host.called(step, 1)).await;
        reached.unwrap_or_else(|_| panic!("nobody goes on to `{step}`"));
    };

    let engine = host.engine.clone();
    let request = StartRequest::new(WorkflowName::new("asks").unwrap()).with_data(json!({}));
    way.abandons(async move { engine.start_workflow(request).await }).await;
    reaches("a").await;

    let id = host.instances(InstanceFilter::default()).await[0].identity.id;
    host.settled(id).await;
    let (engine, task) = (host.engine.clone(), host.tasks(id).await[0].id);
    way.abandons(async move { engine.complete_task(task, user("ada"), json!({}).into(), None).await }).await;
    reaches("b").await;
}
