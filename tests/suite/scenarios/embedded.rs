//! What an embedding program does with components and with steps of its own, side by side.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use stepcell::{EngineError, Executed, Failure, Json, Step, WorkflowContext, WorkflowStatus, execute_step};
use stepcell_tests::built::component;
use stepcell_tests::scenario::Scenario;

/// Says what it was given, aloud.
struct Shout;

#[async_trait]
impl Step for Shout {
    fn name(&self) -> &str {
        "shout"
    }

    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
        let said = context.input()["greeting"].as_str().unwrap_or_default().to_uppercase();
        context.set("shouted", &said)?;
        Ok(json!(said).into())
    }
}

async fn with_greet() -> Scenario {
    let scenario = Scenario::new().await;
    scenario.push("greet", component("greet")).await.expect("the step fits the contract");
    scenario
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_and_a_host_step_run_in_one_workflow() {
    let scenario = with_greet().await;
    scenario.host.engine().registry().register_step(Arc::new(Shout)).unwrap();
    let body = "
initial_step: greet
steps:
  greet: { type: machine, component: greet@1 }
  shout: { type: machine, component: host:shout }
edges:
  - { source: greet, target: shout }
";
    scenario.register("loud", body).await;

    let instance = scenario.run("loud", json!({"name": "Ada"})).await;

    assert_eq!((instance.status, instance.result), (WorkflowStatus::Completed, Some(json!("HELLO, ADA!").into())));
    assert_eq!(scenario.context(instance.identity.id).await["shouted"], "HELLO, ADA!");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_executed_alone_and_its_failure_is_told() {
    let scenario = with_greet().await;
    let greet = scenario.host.engine().registry().load_step(&"greet@1".parse().unwrap()).await.unwrap();
    let mut context = WorkflowContext::new("greet".parse().unwrap(), json!({})).unwrap();

    let greeted = execute_step(&*greet, &mut context, Some(json!({"name": "Ada"}).into())).await.unwrap();
    let failed = execute_step(&*greet, &mut context, Some(json!(7).into())).await.unwrap_err();

    assert_eq!(greeted, Executed::Returned(json!({"greeting": "Hello, Ada!"}).into()));
    assert!(matches!(failed, EngineError::StepExecution { attempt: 1, .. }), "{failed}");
}
