//! The cases of linear execution, hooks and context, on every store.

mod kit;

use serde_json::json;
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::status::WorkflowStatus;

use crate::kit::{TestHost, done, fails, returns, writes};

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

on_every_store! {
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
        assert_eq!(host.runner.hooks.lock().unwrap().len(), 1);
        assert_eq!(host.context(instance.identity.id).await, json!({"cleaned": true}));
    }
}
