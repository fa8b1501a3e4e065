//! The library as an embedding program meets it: the same on both engines.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepcell::{
    Actor, EngineError, ExecutionEngine, Failure, HostError, HumanStep, HumanTaskRepository, InstanceId, Json,
    LocalExecutionEngine, PersistentExecutionEngine, Step, StepExecutionRepository, StepStatus, StepType,
    WorkflowContext, WorkflowDefinition, WorkflowEngine, WorkflowRegistry, WorkflowStatus,
};

/// Books what was approved, and notes in the context when it fails.
struct Book;

#[async_trait]
impl Step for Book {
    fn name(&self) -> &str {
        "shop/book"
    }

    fn description(&self) -> &str {
        "Books what was approved."
    }

    async fn can_execute(&self, context: &WorkflowContext) -> Result<bool, Failure> {
        Ok(context.get_or("approved", false) == true)
    }

    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
        let amount = context.get("amount").and_then(Value::as_i64);
        let amount = amount.ok_or_else(|| Failure::new("no-amount", "`amount` is no whole number."))?;
        context.set("booked", amount)?;
        Ok(json!({ "receipt": format!("R-{amount}") }).into())
    }

    async fn on_failure(&self, context: &mut WorkflowContext, error: &Failure) -> Result<(), Failure> {
        Ok(context.set("refused", error.code.as_str())?)
    }
}

fn steps(registry: &WorkflowRegistry) -> Result<(), EngineError> {
    registry.register_step(Arc::new(Book))
}

async fn register<E: AsRef<WorkflowEngine>>(engine: &E) {
    let definition = WorkflowDefinition::builder("expense", "1.0.0")
        .step("review", HumanStep::titled("Approve {context.amount}"))
        .machine("book", "host:shop/book")
        .edge("review", "book")
        .build()
        .unwrap();
    engine.as_ref().registry().register_definition(definition).await.unwrap();
}

async fn start<E: ExecutionEngine>(engine: &E, data: Value) -> InstanceId {
    let name = "expense".parse().unwrap();
    engine.start_workflow(&name, data.into(), None).await.unwrap().identity.id
}

/// Completes the review as Ada, and waits for the end.
async fn review<E: ExecutionEngine + AsRef<WorkflowEngine>>(engine: &E, id: InstanceId, answer: Value) {
    let ada = Actor::user("ada".parse().unwrap());
    engine.complete_human_task(id, &"review".parse().unwrap(), ada, answer.into()).await.unwrap();
    let settled = engine.as_ref().wait_until_settled(id);
    tokio::time::timeout(Duration::from_secs(20), settled).await.expect("it settles").unwrap();
}

async fn a_workflow_of_a_person_and_a_host_step_runs<E: ExecutionEngine + AsRef<WorkflowEngine>>(engine: &E) {
    register(engine).await;
    let [paid, refused, broken] = [json!({ "amount": 12 }), json!({ "amount": 13 }), json!({})];
    let (paid, refused, broken) =
        (start(engine, paid).await, start(engine, refused).await, start(engine, broken).await);
    assert_eq!(HumanTaskRepository::new(engine.as_ref()).find_pending(None, None).await.unwrap().total, 3);

    review(engine, paid, json!({ "approved": true })).await;
    review(engine, refused, json!({ "approved": false })).await;
    review(engine, broken, json!({ "approved": true })).await;

    let executions = StepExecutionRepository::new(engine.as_ref());
    let book = "book".parse().unwrap();
    let cases = [
        (paid, WorkflowStatus::Completed, StepStatus::Succeeded, json!({"amount": 12, "approved": true, "booked": 12})),
        (refused, WorkflowStatus::Completed, StepStatus::Skipped, json!({"amount": 13, "approved": false})),
        (broken, WorkflowStatus::Failed, StepStatus::Failed, json!({"approved": true, "refused": "no-amount"})),
    ];
    for (id, instance, step, context) in cases {
        assert_eq!(engine.get_instance(id).await.unwrap().status, instance);
        let execution = executions.find_by_step_name(id, &book).await.unwrap().unwrap();
        assert_eq!((execution.step_type, execution.status), (StepType::Machine, step));
        let kept = engine.as_ref().store().load_context(id).await.unwrap();
        assert_eq!(serde_json::to_value(kept).unwrap(), context);
    }
    assert!(engine.get_running_instances().await.unwrap().is_empty());
}

async fn what_is_refused_is_told_by_kind<E: ExecutionEngine + AsRef<WorkflowEngine>>(engine: &E) {
    register(engine).await;
    let id = start(engine, json!({})).await;
    let ada = || Actor::user("ada".parse().unwrap());
    let nobody = InstanceId::from_uuid("00000000-0000-0000-0000-000000000000".parse().unwrap());
    let (other, book) = ("other".parse().unwrap(), "book".parse().unwrap());

    let no_workflow = engine.start_workflow(&other, Json::null(), None).await.unwrap_err();
    let no_instance = engine.cancel_workflow(nobody, "").await.unwrap_err();
    let no_task = engine.complete_human_task(id, &book, ada(), Json::null()).await.unwrap_err();
    engine.cancel_workflow(id, "not needed").await.unwrap();
    let finished = engine.cancel_workflow(id, "again").await.unwrap_err();
    let mut context = WorkflowContext::new(book.clone(), json!({ "approved": true })).unwrap();
    let failed = engine.execute_step(&Book, &mut context, None).await.unwrap_err();

    assert!(matches!(no_workflow, EngineError::WorkflowNotFound { .. }), "{no_workflow}");
    assert!(matches!(no_instance, EngineError::InstanceNotFound { .. }), "{no_instance}");
    assert!(matches!(no_task, EngineError::TaskNotFound { .. }), "{no_task}");
    assert!(matches!(finished, EngineError::AlreadyCompleted { .. }), "{finished}");
    assert!(matches!(failed, EngineError::StepExecution { .. }), "{failed}");
    assert_eq!(context.get("refused"), Some(&json!("no-amount")));
}

/// Makes each scenario a test on either engine.
macro_rules! on_both_engines {
    ($($scenario:ident),+ $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    let engine = super::LocalExecutionEngine::open(super::steps).await.unwrap();
                    super::$scenario(&engine).await;
                    engine.close().await;
                }
            )+
        }

        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    let folder = tempfile::tempdir().unwrap();
                    let database = folder.path().join("library.db");
                    let engine = super::PersistentExecutionEngine::open(&database, super::steps).await.unwrap();
                    super::$scenario(&engine).await;
                    engine.close().await;
                }
            )+
        }
    };
}

on_both_engines!(a_workflow_of_a_person_and_a_host_step_runs, what_is_refused_is_told_by_kind);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_goes_on_after_the_program_was_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("library.db");
    let engine = PersistentExecutionEngine::open(&database, steps).await.unwrap();
    register(&engine).await;
    let id = start(&engine, json!({ "amount": 12 })).await;
    engine.close().await;

    let engine = PersistentExecutionEngine::open(&database, steps).await.unwrap();
    review(&engine, id, json!({ "approved": true })).await;

    assert_eq!(engine.get_instance(id).await.unwrap().result, Some(json!({ "receipt": "R-12" }).into()));
    engine.close().await;
}

#[tokio::test]
async fn an_engine_with_two_steps_of_one_name_does_not_open() {
    let twice = |registry: &WorkflowRegistry| steps(registry).and_then(|()| steps(registry));
    let error = LocalExecutionEngine::open(twice).await.unwrap_err();

    assert!(matches!(error, HostError::Engine(EngineError::ComponentRefused { .. })), "{error}");
}

#[test]
fn kinds_and_statuses_have_the_words_of_the_seed() {
    let kinds: Vec<_> = StepType::ALL.iter().map(|kind| kind.as_str()).collect();
    let steps: Vec<_> = StepStatus::ALL.iter().map(|status| status.as_str()).collect();
    let workflows: Vec<_> = WorkflowStatus::ALL.iter().map(|status| status.as_str()).collect();

    for word in ["machine", "human", "webhook", "timer", "gateway"] {
        assert!(kinds.contains(&word), "{word}");
    }
    for word in ["pending", "scheduled", "running", "waiting", "succeeded", "failed", "canceled", "skipped"] {
        assert!(steps.contains(&word), "{word}");
    }
    for word in ["pending", "running", "waiting", "completed", "failed", "canceled"] {
        assert!(workflows.contains(&word), "{word}");
    }
}
