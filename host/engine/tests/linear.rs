//! The cases of linear execution, hooks and context, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::json;
use stepcell_engine::{EngineError, StartRequest};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::failure::Failure;
use stepcell_model::name::{TenantId, UserId, WorkflowName};
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_store::InstanceFilter;

use crate::kit::{Answer, TestHost, done, fails, returns, writes};

async fn a_b_c(host: &TestHost) {
    let definition = WorkflowDefinition::builder("abc", "1.0.0")
        .machine("a", "a@1")
        .machine("b", "b@1")
        .machine("c", "c@1")
        .edge("a", "b")
        .edge("b", "c")
        .build()
        .unwrap();
    host.register(definition).await;
}

fn request(workflow: &str) -> StartRequest {
    StartRequest::new(WorkflowName::new(workflow).unwrap())
}

on_every_store! {
    /// Case 24.
    async fn a_linear_run_completes_with_its_steps_in_order(host: TestHost) {
        for step in ["a", "b", "c"] {
            host.step(step, |_| done()).await;
        }
        a_b_c(&host).await;

        let instance = host.run("abc", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(host.path(instance.identity.id).await, ["a succeeded", "b succeeded", "c succeeded"]);
        assert!(instance.completed_at.unwrap() >= instance.identity.started_at);
    }

    /// Case 25.
    async fn a_start_returns_at_once_with_the_initial_step_as_current(host: TestHost) {
        host.step("a", |_| Answer::Never).await;
        host.step("b", |_| done()).await;
        host.step("c", |_| done()).await;
        a_b_c(&host).await;

        let instance = host.try_start("abc", json!({})).await.unwrap();

        assert_eq!(instance.status, WorkflowStatus::Running);
        assert_eq!(instance.current_step.unwrap().as_str(), "a");
        assert_eq!(instance.completed_at, None);
    }

    /// Case 26.
    async fn data_that_a_step_sets_is_read_by_a_later_one(host: TestHost) {
        host.step("a", |_| writes("greeting", "hello")).await;
        host.step("b", |call| returns(call.context.get("greeting").unwrap().tree().clone())).await;
        host.step("c", |call| returns(call.input.tree().clone())).await;
        a_b_c(&host).await;

        let instance = host.run("abc", json!({"x": 1})).await;

        assert_eq!(instance.result.unwrap().tree(), "hello");
        assert_eq!(host.context(instance.identity.id).await, json!({"x": 1, "greeting": "hello"}));
        assert_eq!(host.calls("a")[0].input.tree(), &json!({"x": 1}));
    }

    /// Case 29.
    async fn a_step_that_can_not_execute_is_skipped_and_the_next_is_given_null(host: TestHost) {
        host.step("a", |_| returns("something")).await;
        host.step("b", |_| Answer::Skip).await;
        host.step("c", |call| returns(json!({"was_given": call.input.tree()}))).await;
        a_b_c(&host).await;

        let instance = host.run("abc", json!({})).await;

        let id = instance.identity.id;
        assert_eq!(host.path(id).await, ["a succeeded", "b skipped", "c succeeded"]);
        assert_eq!(instance.result.unwrap().tree(), &json!({"was_given": null}));
        assert_eq!(host.calls("c")[0].previous, None);
        let skipped = &host.executions(id).await[1];
        assert_eq!((skipped.attempts, skipped.output.as_ref()), (0, None));
    }

    /// Cases 30, 31 and 33.
    async fn a_step_that_fails_for_good_fails_its_instance_and_calls_on_failure_once(host: TestHost) {
        host.step("a", |_| done()).await;
        host.step_with_hook("b", |_| fails("broken", "it broke"), |_, _| writes("cleaned", true)).await;
        host.step("c", |_| done()).await;
        a_b_c(&host).await;

        let instance = host.run("abc", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.error.unwrap().message, "it broke");
        assert_eq!(instance.current_step.unwrap().as_str(), "b");
        assert_eq!(host.path(instance.identity.id).await, ["a succeeded", "b failed"]);
        let hooks = host.runner.hooks.lock().unwrap().clone();
        assert_eq!(hooks.len(), 1);
        assert_eq!((hooks[0].0.as_str(), hooks[0].1.message.as_str()), ("b", "it broke"));
        assert_eq!(host.context(instance.identity.id).await, json!({"cleaned": true}));
    }

    async fn an_on_failure_that_fails_is_recorded_beside_the_failure_and_not_instead(host: TestHost) {
        host.step("a", |_| done()).await;
        host.step_with_hook("b", |_| fails("broken", "it broke"), |_, _| fails("hook", "and so did this")).await;
        host.step("c", |_| done()).await;
        a_b_c(&host).await;

        let instance = host.run("abc", json!({})).await;

        assert_eq!(instance.error.unwrap().code.as_str(), "broken");
        let history = host.engine.store().list_history(instance.identity.id, 0, 100).await.unwrap();
        let told = serde_json::to_value(history.last().unwrap().events.clone()).unwrap();
        assert_eq!(told[0]["type"], "hook_ended");
        assert_eq!(told[0]["failure"]["message"], "and so did this");
    }

    async fn an_on_success_that_fails_does_not_change_the_outcome(host: TestHost) {
        host.step("a", |_| Answer::HookFails(json!(1), Failure::from_guest("hook", "no mail".into(), false))).await;
        host.step("b", |call| returns(call.input.tree().clone())).await;
        host.step("c", |call| returns(call.input.tree().clone())).await;
        a_b_c(&host).await;

        let instance = host.run("abc", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(instance.result.unwrap().tree(), &json!(1));
        assert!(host.events(instance.identity.id).await.contains(&"hook_ended".to_owned()));
    }

    /// Case 35.
    async fn metadata_is_read_by_every_step_and_stays_as_it_was(host: TestHost) {
        host.step("a", |call| writes("seen", call.metadata.get("origin").unwrap().tree().clone())).await;
        host.step("b", |_| writes("origin", "forged")).await;
        host.step("c", |call| returns(call.metadata.get("origin").unwrap().tree().clone())).await;
        a_b_c(&host).await;

        let start = StartRequest { metadata: json!({"origin": "test"}).into(), ..request("abc") };
        let id = host.engine.start_workflow(start).await.unwrap().identity.id;
        let instance = host.settled(id).await;

        assert_eq!(instance.result.unwrap().tree(), "test");
        assert_eq!(host.context(id).await, json!({"seen": "test", "origin": "forged"}));
        assert_eq!(instance.identity.metadata.get("origin").unwrap().tree(), "test");
    }

    /// Case 36.
    async fn input_and_output_of_each_execution_are_recorded(host: TestHost) {
        host.step("a", |_| returns(json!({"n": 1}))).await;
        host.step("b", |_| returns("two")).await;
        host.step("c", |_| fails("broken", "it broke")).await;
        a_b_c(&host).await;

        let instance = host.run("abc", json!({"x": 0})).await;

        let executions = host.executions(instance.identity.id).await;
        let recorded: Vec<_> = executions.iter().map(|record| json!([record.input, record.output])).collect();
        assert_eq!(recorded, [json!([{"x": 0}, {"n": 1}]), json!([{"n": 1}, "two"]), json!(["two", null])]);
        assert_eq!(executions[2].status, StepStatus::Failed);
        assert_eq!(executions[2].failure.as_ref().unwrap().message, "it broke");
    }

    /// Case 38.
    async fn a_panic_on_the_hosts_side_of_one_step_leaves_other_instances_going(host: TestHost) {
        host.step("a", |call| if call.input.tree()["bad"] == true { Answer::Panic } else { done() }).await;
        host.step("b", |_| done()).await;
        host.step("c", |_| done()).await;
        let definition = WorkflowDefinition::builder("abc", "1.0.0")
            .machine_with("a", "a@1", |a| a.retry.max_attempts = 1)
            .machine("b", "b@1")
            .edge("a", "b")
            .build()
            .unwrap();
        host.register(definition).await;

        let bad = host.start("abc", json!({"bad": true})).await;
        let good = host.start("abc", json!({"bad": false})).await;

        let failed = host.settled(bad).await;
        assert_eq!(failed.status, WorkflowStatus::Failed);
        assert_eq!(failed.error.unwrap().code.as_str(), "engine.host");
        assert_eq!(host.settled(good).await.status, WorkflowStatus::Completed);
        assert_eq!(host.run("abc", json!({"bad": false})).await.status, WorkflowStatus::Completed);
    }

    async fn the_input_of_a_step_is_what_its_expression_makes(host: TestHost) {
        host.step("a", |_| returns(json!({"amount": 12}))).await;
        host.step("b", |call| returns(call.input.tree().clone())).await;
        let definition = WorkflowDefinition::builder("mapped", "1.0.0")
            .machine("a", "a@1")
            .machine_with("b", "b@1", |b| {
                b.input = Some("{'amount': result.amount, 'for': context.get('who'), 'by': instance.workflow_name}".into());
            })
            .edge("a", "b")
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("mapped", json!({"who": "ada"})).await;

        assert_eq!(instance.result.unwrap().tree(), &json!({"amount": 12, "for": "ada", "by": "mapped"}));
    }

    async fn an_input_that_can_not_be_made_fails_the_step_without_running_it(host: TestHost) {
        host.step("a", |_| done()).await;
        let definition = WorkflowDefinition::builder("mapped", "1.0.0")
            .machine_with("a", "a@1", |a| a.input = Some("context.get('lacking').deeper".into()))
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("mapped", json!({})).await;

        let error = instance.error.unwrap();
        assert_eq!(error.code.as_str(), "engine.expression");
        assert!(error.message.contains("`input` of step `a`"), "{}", error.message);
        assert!(host.calls("a").is_empty());
    }

    async fn a_failed_step_is_recorded_with_the_input_that_it_had_and_not_a_later_one(host: TestHost) {
        let hold = std::sync::Arc::new(tokio::sync::Notify::new());
        let release = std::sync::Arc::clone(&hold);
        host.step("s", |_| writes("n", 1)).await;
        host.step("a", move |_| Answer::HoldThenFail(std::sync::Arc::clone(&hold))).await;
        host.step("b", |_| writes("n", 2)).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("s", "s@1")
            .machine_with("a", "a@1", |a| a.input = Some("{'n': context.n}".into()))
            .machine_with("b", "b@1", |b| b.input = Some("{'n': context.n}".into()))
            .edge("s", "a")
            .edge("s", "b")
            .build()
            .unwrap();
        host.register(definition).await;
        let mut told = host.told().await;

        let id = host.start("w", json!({})).await;
        host.called("a", 1).await;
        while host.context(id).await["n"] != 2 {
            told.next().await.unwrap();
        }
        release.notify_one();
        host.settled(id).await;

        let executions = host.executions(id).await;
        let failed = executions.iter().find(|record| record.step.as_str() == "a").unwrap();
        assert_eq!(failed.input.as_ref().unwrap().tree(), &json!({"n": 1}));
    }

    async fn a_step_looks_back_on_what_ended_before_it(host: TestHost) {
        for step in ["a", "b", "c"] {
            host.step(step, |call| returns(call.info.step.as_str())).await;
        }
        a_b_c(&host).await;

        host.run("abc", json!({})).await;

        let call = &host.calls("c")[0];
        let seen: Vec<_> = call.history.iter().map(|record| record.step.as_str()).collect();
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(call.previous.as_ref().unwrap().tree(), "b");
    }

    async fn data_that_does_not_fit_is_refused_and_nothing_is_stored(host: TestHost) {
        host.step("a", |_| done()).await;
        let definition = WorkflowDefinition::builder("strict", "1.0.0")
            .machine("a", "a@1")
            .input_schema(json!({"type": "object", "required": ["amount", "by"], "properties": {"amount": {"type": "number"}}}))
            .build()
            .unwrap();
        host.register(definition).await;
        host.register(WorkflowDefinition::builder("free", "1.0.0").machine("a", "a@1").build().unwrap()).await;

        let misfits = host.try_start("strict", json!({"amount": "much"})).await.unwrap_err();
        let no_object = host.try_start("free", json!([1])).await.unwrap_err();
        let bad_key = host.try_start("free", json!({"engine.x": 1})).await.unwrap_err();

        let EngineError::InvalidData { errors, .. } = &misfits else { panic!("{misfits}") };
        assert_eq!(errors.len(), 2, "{misfits}");
        assert!(errors.iter().any(|error| error.pointer == "/amount"), "{misfits}");
        assert!(matches!(no_object, EngineError::InvalidData { .. }), "{no_object}");
        assert!(matches!(bad_key, EngineError::InvalidData { .. }), "{bad_key}");
        assert!(host.instances(InstanceFilter::default()).await.is_empty());
    }

    async fn a_start_with_a_key_that_was_used_gives_the_same_instance(host: TestHost) {
        host.step("a", |_| done()).await;
        host.register(WorkflowDefinition::builder("free", "1.0.0").machine("a", "a@1").build().unwrap()).await;
        let start = |tenant: &str| StartRequest {
            tenant: Some(TenantId::new(tenant).unwrap()),
            idempotency_key: Some("order-7".into()),
            ..request("free")
        };

        let first = host.engine.start_workflow(start("acme")).await.unwrap();
        host.settled(first.identity.id).await;
        let again = host.engine.start_workflow(start("acme")).await.unwrap();
        let other = host.engine.start_workflow(start("initech")).await.unwrap();

        assert_eq!(again.identity.id, first.identity.id);
        assert_ne!(other.identity.id, first.identity.id);
        host.settled(other.identity.id).await;
        assert_eq!(host.calls("a").len(), 2);
    }

    /// Case 104.
    async fn tenant_user_and_correlation_id_are_stored_and_told_to_steps(host: TestHost) {
        host.step("a", |_| done()).await;
        host.register(WorkflowDefinition::builder("free", "1.0.0").machine("a", "a@1").build().unwrap()).await;
        let start = StartRequest {
            tenant: Some(TenantId::new("acme").unwrap()),
            user: Some(UserId::new("ada").unwrap()),
            correlation_id: Some("mail-1".into()),
            ..request("free")
        };

        let id = host.engine.start_workflow(start).await.unwrap().identity.id;

        let identity = host.settled(id).await.identity;
        assert_eq!(identity.tenant.as_ref().unwrap().as_str(), "acme");
        assert_eq!(identity.created_by.as_ref().unwrap().as_str(), "ada");
        assert_eq!(identity.correlation_id.as_deref(), Some("mail-1"));
        let info = host.calls("a")[0].info.clone();
        assert_eq!(info.tenant.unwrap().as_str(), "acme");
        assert_eq!(info.user.unwrap().as_str(), "ada");
        assert_eq!(info.instance, id);
    }
}
