//! What every engine can be asked for, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::json;
use stepcell_engine::{EngineError, Executed, ExecutionEngine, WorkflowContext};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::InstanceId;
use stepcell_model::status::WorkflowStatus;

use crate::kit::{Answer, TestHost, done, fails, returns, user, writes};

/// Registers `w`: `ask`, a person, then `tell`, which returns what they said.
async fn asks(host: &TestHost) {
    host.step("tell", |call| returns(call.context["said"].tree().clone())).await;
    let definition =
        WorkflowDefinition::builder("w", "1.0.0").human("ask", |_| {}).machine("tell", "tell@1").edge("ask", "tell");
    host.register(definition.build().unwrap()).await;
}

fn engine(host: &TestHost) -> &dyn ExecutionEngine {
    &host.engine
}

on_every_store! {
    async fn an_instance_is_started_by_name_and_version_and_completed_by_a_person(host: TestHost) {
        asks(&host).await;
        let (name, first) = ("w".parse().unwrap(), semver::Version::new(1, 0, 0));

        let started = engine(&host).start_workflow(&name, json!({"amount": 1}).into(), Some(&first)).await.unwrap();
        let id = started.identity.id;
        host.settled(id).await;
        let ask = "ask".parse().unwrap();
        engine(&host).complete_human_task(id, &ask, user("ada"), json!({"said": "yes"}).into()).await.unwrap();
        host.settled(id).await;

        let instance = engine(&host).get_instance(id).await.unwrap();
        assert_eq!((instance.status, instance.result), (WorkflowStatus::Completed, Some(json!("yes").into())));
        assert_eq!(instance.identity.input, json!({"amount": 1}).into());
        let second = semver::Version::new(2, 0, 0);
        let error = engine(&host).start_workflow(&name, json!({}).into(), Some(&second)).await.unwrap_err();
        assert!(matches!(error, EngineError::WorkflowNotFound { .. }), "{error}");
    }

    async fn a_waiting_instance_is_cancelled_once(host: TestHost) {
        asks(&host).await;
        let id = host.run("w", json!({})).await.identity.id;

        engine(&host).cancel_workflow(id, "not needed").await.unwrap();
        let again = engine(&host).cancel_workflow(id, "not needed").await.unwrap_err();
        let unknown = engine(&host).get_instance(InstanceId::from_uuid(uuid::Uuid::nil())).await.unwrap_err();

        assert_eq!(engine(&host).get_instance(id).await.unwrap().status, WorkflowStatus::Canceled);
        assert!(matches!(again, EngineError::AlreadyCompleted { .. }), "{again}");
        assert!(matches!(unknown, EngineError::InstanceNotFound { .. }), "{unknown}");
    }

    async fn a_failed_instance_goes_on_where_it_failed_or_from_a_named_step(host: TestHost) {
        let broken = Arc::new(AtomicBool::new(true));
        let is_broken = Arc::clone(&broken);
        host.step("first", |_| returns("first")).await;
        host.step("second", move |_| if is_broken.load(SeqCst) { fails("broken", "not yet") } else { returns("second") })
            .await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("first", "first@1")
            .machine("second", "second@1")
            .edge("first", "second");
        host.register(definition.build().unwrap()).await;
        let (one, two) = (host.run("w", json!({})).await.identity.id, host.run("w", json!({})).await.identity.id);
        broken.store(false, SeqCst);

        let unknown = engine(&host).retry(two, Some(&"third".parse().unwrap())).await.unwrap_err();
        engine(&host).retry(one, None).await.unwrap();
        engine(&host).retry(two, Some(&"first".parse().unwrap())).await.unwrap();
        assert_eq!(host.settled(one).await.status, WorkflowStatus::Completed);
        assert_eq!(host.settled(two).await.status, WorkflowStatus::Completed);
        let finished = engine(&host).retry(one, None).await.unwrap_err();

        assert_eq!(host.path(one).await, ["first succeeded", "second failed", "second succeeded"]);
        let path = host.path(two).await;
        assert_eq!(path, ["first succeeded", "second failed", "first succeeded", "second succeeded"]);
        assert!(matches!(unknown, EngineError::InvalidTransition { .. }), "{unknown}");
        assert!(matches!(finished, EngineError::AlreadyCompleted { .. }), "{finished}");
    }

    async fn running_instances_are_those_of_which_something_can_move(host: TestHost) {
        asks(&host).await;
        let hold = Arc::new(tokio::sync::Notify::new());
        let held = Arc::clone(&hold);
        host.step("hold", move |_| Answer::Hold(Arc::clone(&held))).await;
        host.register(WorkflowDefinition::builder("h", "1.0.0").machine("hold", "hold@1").build().unwrap()).await;
        host.run("w", json!({})).await;
        let first = host.start("h", json!({})).await;
        host.called("hold", 1).await;

        assert_eq!(engine(&host).get_running_instances().await.unwrap(), [first]);
        hold.notify_one();
        host.settled(first).await;
        assert_eq!(engine(&host).get_running_instances().await.unwrap(), []);
    }

    async fn a_registered_step_is_executed_alone_and_nothing_is_stored(host: TestHost) {
        host.step("writes", |_| writes("seen", true)).await;
        let step = host.engine.registry().load_step(&"writes@1".parse().unwrap()).await.unwrap();
        let mut context = WorkflowContext::new("any".parse().unwrap(), json!({})).unwrap();

        let executed = engine(&host).execute_step(&*step, &mut context, None).await.unwrap();

        assert_eq!(executed, Executed::Returned(json!(null).into()));
        assert_eq!(context.get("seen"), Some(&json!(true)));
        assert!(host.instances(stepcell_store::InstanceFilter::default()).await.is_empty());
    }

    async fn what_is_wrong_with_a_definition_is_an_error_of_validation(host: TestHost) {
        host.step("a", |_| done()).await;
        let mut definition = WorkflowDefinition::builder("w", "1.0.0").machine("a", "a@1").build().unwrap();
        definition.initial_step = "nowhere".parse().unwrap();

        let error = host.engine.registry().register_definition(definition).await.unwrap_err();

        assert!(matches!(error, EngineError::Validation { .. }), "{error}");
    }
}
