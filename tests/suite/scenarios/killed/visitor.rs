//! Another process beside the server: starts instances and does tasks, and notes what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell::engine::{
    ComponentFacts, ComponentRefused, EngineError, EngineOptions, EventFilter, FeedStart, StartRequest, StepRunner,
    WorkflowEngine,
};
use stepcell::model::attempt::{AttemptReport, HookReport, StepCall};
use stepcell::model::failure::Failure;
use stepcell::model::id::{ComponentDigest, InstanceId};
use stepcell::model::name::{StepName, TenantId};
use stepcell::model::status::TaskStatus;
use stepcell::store::{InstanceFilter, PageLimit, Role, SqliteOptions, SqliteStore, TaskFilter, WorkflowStore};

use super::world::WORKFLOWS;
use super::{Random, user};

/// How many instances are started at once at most.
const TOGETHER_MAX: usize = 4;

/// How long it may take until anything happens while anything is left to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged, and what was tried.
#[derive(Default)]
pub(crate) struct Told {
    /// The keys that something was started with, acknowledged or not.
    pub(crate) tried: BTreeSet<String>,
    /// Starts that were acknowledged, with their key.
    pub(crate) started: BTreeMap<InstanceId, String>,
    /// Whose completion of the task of an instance was acknowledged.
    pub(crate) completed: BTreeMap<InstanceId, String>,
}

/// The other process.
pub(crate) struct Visitor {
    engine: WorkflowEngine,
    store: Arc<SqliteStore>,
}

impl Visitor {
    pub(crate) fn on(database: &Path) -> Self {
        let options = SqliteOptions { role: Role::Visitor, ..SqliteOptions::default() };
        let store = Arc::new(SqliteStore::open(database, options).expect("it opens, whoever was killed"));
        let engine = WorkflowEngine::new(
            Arc::clone(&store) as Arc<dyn WorkflowStore>,
            Arc::new(NoComponents),
            EngineOptions::default(),
        );
        Self { engine, store }
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
    }

    /// Does one thing: starts something new, starts something again, or does a task.
    pub(crate) async fn act(&self, random: &mut Random, told: &mut Told) {
        match random.below(10) {
            0..6 => {
                let first = told.tried.len();
                let key = |number| format!("{number}-{}", WORKFLOWS[pick(random, WORKFLOWS.len())]);
                let keys = (first..=first + pick(&mut Random(first as u64), TOGETHER_MAX)).map(key).collect();
                self.start(keys, told).await;
            }
            6 => {
                let again = told.tried.iter().nth(pick(random, told.tried.len().max(1))).cloned();
                self.start(again.into_iter().collect(), told).await;
            }
            _ => {
                let pending = TaskFilter { status: Some(TaskStatus::Pending), ..TaskFilter::default() };
                let page = self.store.list_tasks(&pending).await.expect("the store works").items;
                if !page.is_empty() {
                    let task = &page[pick(random, page.len())];
                    let who = format!("user-{}", random.below(1_000_000));
                    self.complete(task.instance, task.id, &who, told).await;
                }
            }
        }
    }

    /// Starts instances at once, each of the workflow that its key ends with.
    async fn start(&self, keys: Vec<String>, told: &mut Told) {
        let starts = keys.into_iter().map(|key| {
            told.tried.insert(key.clone());
            let engine = self.engine.clone();
            tokio::spawn(async move {
                let (_, workflow) = key.split_once('-').expect("keys are made so");
                let request = StartRequest {
                    idempotency_key: Some(key.clone()),
                    ..StartRequest::new(workflow.parse().expect("the test names it well"))
                        .with_data(json!({ "key": key }))
                };
                (engine.start_workflow(request).await, key)
            })
        });
        for start in starts.collect::<Vec<_>>() {
            match start.await.expect("it does not panic") {
                (Ok(started), key) => {
                    let known = told.started.insert(started.identity.id, key.clone());
                    assert!(known.is_none_or(|known| known == key), "one instance has one key");
                }
                (Err(EngineError::Store(error)), _) => assert!(!error.is_refusal(), "{error}"),
                (Err(error), _) => panic!("{error}"),
            }
        }
    }

    async fn complete(&self, id: InstanceId, task: stepcell::model::id::TaskId, who: &str, told: &mut Told) {
        match self.engine.complete_task(task, user(who), json!({ "by": who }).into(), None).await {
            Ok(()) => {
                let before = told.completed.insert(id, who.to_owned());
                assert_eq!(before, None, "a task is completed once");
            }
            Err(
                EngineError::TaskAlreadyCompleted { .. } | EngineError::TaskNotFound { .. } | EngineError::Store(_),
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts again what nobody knows whether it was started, does every task, and waits until all instances have ended.
    pub(crate) async fn finish_everything(&self, told: &mut Told) {
        self.start(told.tried.iter().cloned().collect(), told).await;
        let mut events = self.engine.events(EventFilter::default(), FeedStart::Now).await.expect("the store works");
        let open = WorkflowStatus::ALL.iter().filter(|status| !status.is_finished()).copied().collect();
        let open = InstanceFilter { statuses: open, limit: PageLimit::clamped(1), ..InstanceFilter::default() };
        while self.store.list_instances(&open).await.expect("the store works").total > 0 {
            let pending = TaskFilter { status: Some(TaskStatus::Pending), ..TaskFilter::default() };
            for task in self.store.list_tasks(&pending).await.expect("the store works").items {
                self.complete(task.instance, task.id, "the-last", told).await;
            }
            let next = tokio::time::timeout(PATIENCE, events.next()).await;
            next.expect("nobody is stuck").expect("the store works");
        }
    }
}

fn pick(random: &mut Random, len: usize) -> usize {
    usize::try_from(random.below(len as u64)).expect("it is below a length")
}

/// Stands where a sandbox would: this process runs no steps.
struct NoComponents;

#[async_trait]
impl StepRunner for NoComponents {
    async fn inspect(&self, _: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        Err(ComponentRefused { reason: "a visitor runs no components".to_owned() })
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        Err(ComponentRefused { reason: "a visitor runs no components".to_owned() })
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        false
    }

    async fn run(&self, _: StepCall) -> AttemptReport {
        unreachable!("a visitor runs no components")
    }

    async fn run_gateway(&self, _: StepCall, _: Vec<StepName>) -> AttemptReport {
        unreachable!("a visitor runs no components")
    }

    async fn run_failure_hook(&self, _: StepCall, _: Failure) -> HookReport {
        unreachable!("a visitor runs no components")
    }
}
