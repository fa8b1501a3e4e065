//! What workflows do where a component chooses the way.

use serde_json::{Value, json};
use stepcell::WorkflowStatus;
use stepcell_tests::{Scenario, component};

/// A host with the probe, and one workflow: a gateway of the probe that does this, and two steps behind it.
async fn with_gateway_that_does(order: &Value) -> Scenario {
    let scenario = Scenario::with_probe().await;
    let body = format!(
        "
initial_step: way
steps:
  way: {{ type: gateway, component: probe@1, config: {{ do: {order} }}, retry: {{ max_attempts: 1 }}, limits: {{ cpu: 50ms }} }}
  left: {{ type: machine, component: probe@1 }}
  right: {{ type: machine, component: probe@1 }}
edges:
  - {{ source: way, target: left }}
  - {{ source: way, target: right }}
"
    );
    scenario.register("fork", &body).await;
    scenario
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_component_chooses_by_its_input_and_the_context() {
    let scenario = Scenario::with_probe().await;
    scenario.push("route", component("route-by-amount")).await.unwrap();
    let body = "
initial_step: route
steps:
  route: { type: gateway, component: route@1 }
  board: { type: machine, component: probe@1 }
  clerk: { type: machine, component: probe@1 }
edges:
  - { source: route, target: board }
  - { source: route, target: clerk }
";
    scenario.register("expense", body).await;

    for (amount, target) in [(7, "clerk"), (700, "board")] {
        let instance = scenario.run("expense", json!({ "amount": amount, "limits": { "clerk": 100 } })).await;

        assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
        let path = scenario.path(instance.identity.id).await;
        assert_eq!(path, ["route succeeded".to_owned(), format!("{target} succeeded")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_component_may_name_one_step_several_times_or_all_of_them() {
    for (order, steps) in [
        (json!({ "do": "all" }), &["left succeeded", "right succeeded"][..]),
        (json!({ "do": "choose", "names": ["right", "right"] }), &["right succeeded"]),
    ] {
        let scenario = with_gateway_that_does(&order).await;

        let instance = scenario.run("fork", json!({})).await;

        let mut path = scenario.path(instance.identity.id).await;
        assert_eq!((instance.status, path.remove(0)), (WorkflowStatus::Completed, "way succeeded".to_owned()));
        path.sort();
        assert_eq!(path, steps, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_component_that_misbehaves_fails_its_instance_and_says_why() {
    for (order, code) in [
        (json!({ "do": "loop" }), "engine.cpu"),
        (json!({ "do": "trap" }), "engine.trap"),
        (json!({ "do": "write" }), "guard-refused"),
        (json!({ "do": "fail", "code": "undecided" }), "undecided"),
        (json!({ "do": "many", "count": 1_001, "bytes": 1 }), "engine.output"),
        (json!({ "do": "choose", "names": ["nowhere"] }), "engine.contract"),
        (json!({ "do": "none" }), "engine.expression"),
    ] {
        let scenario = with_gateway_that_does(&order).await;

        let instance = scenario.run("fork", json!({})).await;

        let error = instance.error.expect("an instance that failed says why");
        assert_eq!(error.code.to_string(), code, "{order}: {}", error.message);
        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(scenario.context(instance.identity.id).await, json!({}), "nothing was written");
    }
}
