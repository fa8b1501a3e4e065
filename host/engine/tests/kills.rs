//! A host that dies at every commit, once before it is stored and once after: whoever comes up in its place brings each
//! instance to the same end as a host that never died.
//!
//! Attempts may differ, and what was in flight runs again; the steps that succeeded, the context and the status may not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kit/between.rs"]
mod between;
mod kit;
#[path = "kit/stopping.rs"]
mod stopping;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepcell_engine::{Delivery, EngineError};
use stepcell_model::definition::Durability;
use stepcell_model::id::InstanceId;
use stepcell_model::instance::Phase;
use stepcell_model::json::Json;
use stepcell_model::name::SignalName;
use stepcell_model::plan::{MessageSource, PlannedKind};
use stepcell_model::status::{StepStatus, TaskStatus, WorkflowStatus};
use stepcell_store::{InstanceFilter, WorkflowStore};

use crate::kit::{Backend, TestHost, fails, returns, user};
use crate::stopping::{Death, StoppingStore};

/// What an instance came to, and what those came to that it started.
#[derive(Debug, PartialEq)]
struct End {
    workflow: String,
    status: WorkflowStatus,
    error: Option<(String, String, String)>,
    result: Option<Value>,
    /// The executions that ended, by what they are and not by when, with what they returned.
    ended: Vec<(String, String, Option<Value>)>,
    context: Value,
    tasks: Vec<(String, TaskStatus)>,
}

/// A workflow that is run over and over.
struct Story {
    /// Its definitions; the first one is started.
    definitions: &'static [(&'static str, &'static str)],
    data: Value,
}

async fn register(host: &TestHost, story: &Story, durability: Durability) {
    if durability == Durability::EachStep {
        host.stores_each_step().await;
    }
    host.step("echo", |call| returns(json!([call.info.step.as_str(), call.input.tree()]))).await;
    host.step("note", |call| {
        let key = if call.info.step.as_str().contains("compensate") { "undone" } else { "noted" };
        let before = call.context.get(key).map_or(json!([]), |value| value.tree().clone());
        let all: Vec<_> = before.as_array().unwrap().iter().cloned().chain([json!(call.info.step.as_str())]).collect();
        kit::writes(key, all)
    })
    .await;
    host.step("fails", |_| fails("broken", "it broke")).await;
    host.gateway("choose", |_| returns(json!(["left", "right"]))).await;
    for (name, body) in story.definitions.iter().rev() {
        host.register_yaml(name, body).await;
    }
}

/// Plays everybody outside: does every task, delivers every callback, sends every signal, and lets time pass.
async fn world(host: &TestHost, root: InstanceId) {
    let mut told = host.told().await;
    loop {
        let all = host.instances(InstanceFilter::default()).await;
        if all.iter().any(|instance| instance.identity.id == root) && all.iter().all(|one| one.status.is_finished()) {
            return;
        }
        let mut did_something = false;
        for instance in all.iter().filter(|instance| !instance.status.is_finished()) {
            did_something |= act_on(host, instance.identity.id).await;
        }
        if !did_something {
            told.next().await.unwrap();
        }
    }
}

async fn act_on(host: &TestHost, id: InstanceId) -> bool {
    let instance = host.store().load_instance(id).await.unwrap().unwrap();
    let mut did_something = false;
    for active in &instance.state.control.active {
        let outcome = match &active.phase {
            Phase::AwaitingTask { task, .. } => {
                host.engine.complete_task(*task, user("ada"), json!({"done": active.step.as_str()}).into(), None).await
            }
            Phase::AwaitingMessage { .. } => send(host, id, active.step.as_str()).await,
            _ => continue,
        };
        match outcome {
            // Somebody else moved on since the look, such as what came before a restart.
            Ok(()) | Err(EngineError::TaskAlreadyCompleted { .. } | EngineError::NobodyWaits { .. }) => {}
            Err(EngineError::AlreadyCompleted { .. } | EngineError::TaskNotFound { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        did_something = true;
    }
    let now = stepcell_engine::Clock::now(&*host.clock);
    if let Some(at) = instance.state.wake_at.filter(|at| *at > now) {
        host.clock.advance(at.since(now));
        did_something = true;
    }
    did_something
}

async fn send(host: &TestHost, id: InstanceId, step: &str) -> Result<(), EngineError> {
    let name = stepcell_model::name::StepName::new(step).unwrap();
    let definition = host.engine.get_instance(id).await?.identity.definition;
    let record = host.store().find_definition_by_id(definition).await.unwrap().unwrap();
    let definition = stepcell_model::definition::WorkflowDefinition::from_text(record.document.text()).unwrap();
    let components = record.components.into_iter().collect();
    let plan = stepcell_model::plan::Plan::new(record.id, definition, &components).unwrap();
    let PlannedKind::Message(message) = &plan.step(plan.find(&name).unwrap()).kind else { panic!("{step}") };
    match &message.source {
        MessageSource::Webhook { .. } => {
            let token = host.engine.webhook_address(id, &name).await?.token;
            let delivery = Delivery::of(&Json::from(json!({"for": step})));
            host.engine.deliver_webhook(id, &name, &token, delivery).await.map(drop)
        }
        MessageSource::Signal(signal) => {
            host.engine.signal(id, &SignalName::new(signal.as_str()).unwrap(), json!({"to": step}).into()).await
        }
    }
}

/// What every instance came to, the root among them.
async fn ends(host: &TestHost) -> Vec<End> {
    let all = host.instances(InstanceFilter::default()).await;
    // The id of a child is another one each time.
    let without_ids = |text: &str| {
        all.iter().fold(text.to_owned(), |text, one| {
            text.replace(&one.identity.id.to_string(), one.identity.workflow_name.as_str())
        })
    };
    let mut ends = Vec::new();
    for instance in all.clone() {
        let id = instance.identity.id;
        let executions = host.executions(id).await;
        let is_open = |status: StepStatus| matches!(status, StepStatus::Running | StepStatus::Waiting);
        assert!(executions.iter().all(|record| !is_open(record.status)), "{executions:?}");
        let mut ended: Vec<_> = executions
            .iter()
            .map(|record| {
                let output = record.output.as_ref().map(|output| output.tree().clone());
                (record.step.to_string(), record.status.to_string(), output)
            })
            .collect();
        ended.sort_by_key(|(step, status, output)| {
            (step.clone(), status.clone(), output.as_ref().map(Value::to_string))
        });
        let mut tasks: Vec<_> = host.tasks(id).await.iter().map(|task| (task.step.to_string(), task.status)).collect();
        tasks.sort_by(|a, b| a.0.cmp(&b.0));
        ends.push(End {
            workflow: instance.identity.workflow_name.to_string(),
            status: instance.status,
            error: instance.error.map(|error| {
                let step = error.step.map_or_else(String::new, |step| step.to_string());
                (error.code.to_string(), step, without_ids(&error.message))
            }),
            result: instance.result.map(|result| result.tree().clone()),
            ended,
            context: serde_json::from_str(&without_ids(&host.context(id).await.to_string())).unwrap(),
            tasks,
        });
    }
    ends.sort_by_key(|end| (end.workflow.clone(), format!("{:?}", end.context), format!("{:?}", end.ended)));
    ends
}

async fn finishes<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap_or_else(|_| panic!("{what} does not end"))
}

async fn start(host: &TestHost, story: &Story) -> InstanceId {
    let request = stepcell_engine::StartRequest {
        idempotency_key: Some("once".to_owned()),
        ..stepcell_engine::StartRequest::new(story.definitions[0].0.parse().unwrap()).with_data(story.data.clone())
    };
    host.engine.start_workflow(request).await.unwrap().identity.id
}

async fn undisturbed(backend: Backend, story: &Story) -> Vec<End> {
    let host = TestHost::on(backend).await;
    register(&host, story, Durability::Fused).await;
    let id = start(&host, story).await;
    finishes("the undisturbed run", world(&host, id)).await;
    ends(&host).await
}

/// Runs a story on a host that dies at its `nth` commit, and on another one afterwards. Says whether it died at all.
async fn killed(backend: Backend, story: &Story, durability: Durability, nth: usize, death: Death) -> (bool, Vec<End>) {
    let (mut seen, mut ways) = (0, None);
    let host = TestHost::on_wrapped(backend, |store| {
        let choose = move |_: &_| {
            seen += 1;
            if seen == nth { death } else { Death::None }
        };
        let stopping = StoppingStore::new(Arc::clone(&store), choose);
        ways = Some((store, Arc::clone(&stopping)));
        stopping
    })
    .await;
    let (store, stopping) = ways.unwrap();
    register(&host, story, durability).await;
    let what = format!("the run that dies {death:?} commit {nth}");
    let plays = async {
        let id = start(&host, story).await;
        world(&host, id).await;
    };
    let died = finishes(&what, async {
        tokio::select! {
            () = plays => false,
            () = stopping.died() => true,
        }
    })
    .await;
    if !died {
        return (false, ends(&host).await);
    }
    let store: Arc<dyn WorkflowStore> = store;
    let host = host.crash_and_restart_on(store, |_| {}).await;
    // Whoever started it was not told whether it did, and asks again.
    let id = start(&host, story).await;
    finishes(&what, world(&host, id)).await;
    (true, ends(&host).await)
}

/// Kills the host at every `step`th commit of a story.
async fn killed_everywhere(backend: Backend, story: Story, step: usize) {
    let expected = undisturbed(backend, &story).await;
    let (fused, each_step) = (Durability::Fused, Durability::EachStep);
    for (durability, death) in
        [(each_step, Death::Before), (each_step, Death::After), (fused, Death::Before), (fused, Death::After)]
    {
        for nth in (1..).step_by(step) {
            let (died, came_to) = killed(backend, &story, durability, nth, death).await;
            assert_eq!(came_to, expected, "{durability:?}: {death:?} commit {nth}");
            if !died {
                assert!(nth > 3, "there was nothing to be killed in");
                break;
            }
        }
    }
}

/// Makes each story a test on every store; on SQLite it is a sample.
macro_rules! stories {
    ($($name:ident: $story:expr;)+) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn in_memory() {
                    killed_everywhere(Backend::Memory, $story, 1).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    killed_everywhere(Backend::Sqlite, $story, 4).await;
                }
            }
        )+
    };
}

stories! {
    a_host_that_dies_at_any_commit_of_steps_that_wait_comes_to_the_same_end: Story {
        definitions: &[("waits", "initial_step: a
steps:
  a: { type: machine, component: echo@1 }
  t: { type: timer, duration: 1h }
  h: { type: human, due_in: 2h, reminder_in: 1h }
  w: { type: webhook, callback_key: receipt }
  s: { type: signal, signal: go, payload_key: word }
  j: { type: machine, component: note@1 }
edges:
  - { source: a, target: t }
  - { source: t, target: h }
  - { source: t, target: w }
  - { source: w, target: s }
  - { source: h, target: j }
  - { source: s, target: j }
")],
        data: json!({"n": 1}),
    };
    a_host_that_dies_at_any_commit_of_groups_comes_to_the_same_end: Story {
        definitions: &[("groups", "initial_step: g
steps:
  g:
    type: parallel
    max_concurrency: 2
    steps:
      a: { type: machine, component: echo@1 }
      in: { type: sequential, steps: { b: { type: machine, component: note@1 }, c: { type: human }, d: { type: machine, component: echo@1 } } }
      pick: { type: conditional, key: kind, steps: { x: { type: machine, component: echo@1 }, y: { type: machine, component: fails@1 } } }
    callback: { type: machine, component: echo@1 }
  each: { type: machine, component: echo@1, for_each: items, max_concurrency: 2 }
  way: { type: gateway, component: choose@1 }
  left: { type: machine, component: echo@1 }
  right: { type: machine, component: echo@1 }
  j: { type: machine, component: echo@1 }
edges:
  - { source: g, target: each }
  - { source: each, target: way }
  - { source: way, target: left }
  - { source: way, target: right }
  - { source: left, target: j }
  - { source: right, target: j }
")],
        data: json!({"kind": "x", "items": ["one", "two", "three"]}),
    };
    a_host_that_dies_at_any_commit_of_undoing_comes_to_the_same_end: Story {
        definitions: &[("undoes", "initial_step: a
steps:
  a: { type: machine, component: echo@1, compensate: note@1 }
  g: { type: sequential, steps: { b: { type: machine, component: echo@1, compensate: note@1 }, h: { type: human, compensate: fails@1 } } }
  c: { type: workflow, workflow: child, compensate: note@1 }
  f: { type: machine, component: fails@1 }
edges:
  - { source: a, target: g }
  - { source: g, target: c }
  - { source: c, target: f }
"), ("child", "initial_step: x\nsteps: { x: { type: machine, component: echo@1 } }\n")],
        data: json!({}),
    };
    a_host_that_dies_at_any_commit_of_parents_and_children_comes_to_the_same_end: Story {
        definitions: &[("parent", "initial_step: each
steps:
  each: { type: workflow, workflow: child, for_each: orders, max_concurrency: 2 }
  bad: { type: workflow, workflow: fails, input: \"{'n': 1}\" }
  sorry: { type: machine, component: echo@1 }
  ok: { type: machine, component: echo@1 }
edges:
  - { source: each, target: bad }
  - { source: bad, target: ok }
  - { source: bad, target: sorry, outcome: failure }
"), ("child", "initial_step: t
steps: { t: { type: timer, duration: 1m }, h: { type: human }, x: { type: machine, component: echo@1 } }
edges: [{ source: t, target: h }, { source: h, target: x }]
"), ("fails", "initial_step: x\nsteps: { x: { type: machine, component: fails@1 } }\n")],
        data: json!({"orders": [{"n": 1}, {"n": 2}, {"n": 3}]}),
    };
    a_host_that_dies_at_any_commit_of_a_loop_comes_to_the_same_end: Story {
        definitions: &[("turns", "initial_step: l
steps:
  l: { type: machine, component: note@1 }
  p: { type: parallel, steps: { a: { type: machine, component: echo@1 }, h: { type: human } } }
  e: { type: machine, component: echo@1 }
edges:
  - { source: l, target: p }
  - { source: p, target: l, condition: 'size(context.noted) < 3' }
  - { source: p, target: e, default: true }
")],
        data: json!({}),
    };
}
