//! What workflows do with steps that behave.

use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell::model::history::{Event, Hook};
use stepcell::model::json::Json;
use stepcell::model::name::{StepName, UserId};
use stepcell::model::transition::Actor;
use stepcell_tests::Scenario;

const LINEAR: &str = "
initial_step: a
steps:
  a: { type: machine, component: probe@1, config: { do: { do: write, key: greeting, value: hello } } }
  b: { type: machine, component: probe@1, config: { do: { do: read, key: greeting } } }
  c: { type: machine, component: probe@1 }
edges:
  - { source: a, target: b }
  - { source: b, target: c }
";

#[tokio::test(flavor = "multi_thread")]
async fn data_goes_from_step_to_step_and_every_step_is_recorded() {
    let scenario = Scenario::with_probe().await;
    scenario.register("linear", LINEAR).await;

    let instance = scenario.run("linear", json!({"who": "you"})).await;

    let id = instance.identity.id;
    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    assert_eq!(scenario.path(id).await, ["a succeeded", "b succeeded", "c succeeded"]);
    assert_eq!(scenario.context(id).await, json!({"who": "you", "greeting": "hello"}));
    assert_eq!(instance.result.unwrap().tree(), &json!({"value": "hello"}));
    let executions = scenario.executions(id).await;
    assert_eq!(executions[0].input.as_ref().unwrap().tree(), &json!({"who": "you"}));
    assert_eq!(executions[2].input.as_ref().unwrap().tree(), &json!({"value": "hello"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_decides_which_branch_runs() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: score
steps:
  score: { type: machine, component: probe@1 }
  approve: { type: machine, component: probe@1 }
  reject: { type: machine, component: probe@1 }
edges:
  - { source: score, target: approve, condition: \"context.get('score') >= 80\" }
  - { source: score, target: reject, default: true }
";
    scenario.register("branch", body).await;

    let high = scenario.run("branch", json!({"score": 85})).await.identity.id;
    let low = scenario.run("branch", json!({"score": 10})).await.identity.id;

    assert_eq!(scenario.path(high).await, ["score succeeded", "approve succeeded"]);
    assert_eq!(scenario.path(low).await, ["score succeeded", "reject succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_run_beside_each_other_and_meet_once() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: s
steps:
  s: { type: machine, component: probe@1 }
  a: { type: machine, component: probe@1, config: { do: { do: write, key: from_a, value: 1 } } }
  b: { type: machine, component: probe@1, config: { do: { do: sleep, ms: 50 } } }
  j: { type: machine, component: probe@1, config: { do: previous } }
edges:
  - { source: s, target: a }
  - { source: s, target: b }
  - { source: a, target: j }
  - { source: b, target: j }
";
    scenario.register("fork", body).await;

    let instance = scenario.run("fork", json!({})).await;

    let path = scenario.path(instance.identity.id).await;
    assert_eq!((path[0].as_str(), path[3].as_str(), path.len()), ("s succeeded", "j succeeded", 4));
    let met = json!({"previous": {"a": {"written": "from_a"}, "b": {"slept_ms": 50}}});
    assert_eq!(instance.result.unwrap().tree(), &met);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_completes_a_task_and_the_instance_goes_on() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: review
steps:
  review:
    type: human
    title: Approve {context.what}
    form_schema: { type: object, required: [approved], properties: { approved: { type: boolean } } }
  done: { type: machine, component: probe@1 }
edges: [{ source: review, target: done }]
";
    scenario.register("human", body).await;
    let waiting = scenario.run("human", json!({"what": "it"})).await;
    assert_eq!(waiting.status, WorkflowStatus::Waiting);

    let (engine, review) = (scenario.host.engine(), StepName::new("review").unwrap());
    let alice = Actor::user(UserId::new("alice").unwrap());
    let id = waiting.identity.id;
    let refused = engine.complete_human_task(id, &review, alice.clone(), json!({"approved": 1}).into()).await;
    assert!(refused.unwrap_err().to_string().contains("/approved"));
    engine.complete_human_task(id, &review, alice, json!({"approved": true}).into()).await.unwrap();

    assert_eq!(scenario.settled(id).await.status, WorkflowStatus::Completed);
    assert_eq!(scenario.context(id).await, json!({"what": "it", "approved": true}));
    assert_eq!(scenario.executions(id).await[0].completed_by.as_ref().unwrap().as_str(), "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_for_now_is_tried_again_until_it_succeeds() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: flaky
steps:
  flaky:
    type: machine
    component: probe@1
    config: { do: { do: flaky, until: 3 } }
    retry: { max_attempts: 3, initial_delay: 10ms }
";
    scenario.register("retry", body).await;

    let instance = scenario.run("retry", json!({})).await;

    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    assert_eq!(scenario.executions(instance.identity.id).await[0].attempts, 3);
    let events = scenario.events(instance.identity.id).await;
    assert_eq!(events.iter().filter(|event| matches!(event, Event::StepRetryScheduled { .. })).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_says_no_skips_its_step_and_the_flow_goes_on() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: maybe
steps:
  maybe: { type: machine, component: probe@1, config: { do: skip, on_success: write } }
  after: { type: machine, component: probe@1 }
edges: [{ source: maybe, target: after }]
";
    scenario.register("guard", body).await;

    let instance = scenario.run("guard", json!({})).await;

    let id = instance.identity.id;
    assert_eq!(scenario.path(id).await, ["maybe skipped", "after succeeded"]);
    assert_eq!(scenario.executions(id).await[1].input.as_ref().unwrap(), &Json::null());
    assert_eq!(scenario.context(id).await, json!({}), "on-success of a skipped step is not called");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_success_writes_with_its_step_and_can_not_change_the_outcome() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: good
steps:
  good: { type: machine, component: probe@1, config: { do: { do: write, key: k, value: 1 }, on_success: write } }
  bad_hook: { type: machine, component: probe@1, config: { do: { do: write, key: l, value: 2 }, on_success: fail } }
edges: [{ source: good, target: bad_hook }]
";
    scenario.register("hooks", body).await;

    let instance = scenario.run("hooks", json!({})).await;

    let id = instance.identity.id;
    assert_eq!(instance.status, WorkflowStatus::Completed);
    let context = scenario.context(id).await;
    assert_eq!((&context["k"], &context["l"], &context["on_success"]), (&json!(1), &json!(2), &json!(true)));
    let failed_hooks = scenario
        .events(id)
        .await
        .into_iter()
        .filter(|event| matches!(event, Event::HookEnded { hook: Hook::OnSuccess, failure: Some(_), .. }));
    assert_eq!(failed_hooks.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_failure_runs_once_in_a_cell_of_its_own_and_its_writes_stay() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: broken
steps:
  broken: { type: machine, component: probe@1, config: { do: { do: write_then_fail, key: dropped } } }
";
    scenario.register("failing", body).await;

    let instance = scenario.run("failing", json!({})).await;

    let id = instance.identity.id;
    assert_eq!(instance.status, WorkflowStatus::Failed);
    let context = scenario.context(id).await;
    assert!(context.get("dropped").is_none(), "writes of a failed attempt are dropped: {context}");
    assert_eq!(context["on_failure_code"], json!(instance.error.unwrap().code.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_instances_started_at_once_all_complete() {
    let scenario = Scenario::with_probe().await;
    scenario.register("linear", LINEAR).await;

    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(scenario.start("linear", json!({"number": number})).await);
    }

    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(scenario.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(scenario.context(id).await, json!({"number": number, "greeting": "hello"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_executions_of_one_instance_see_different_randomness() {
    let scenario = Scenario::with_probe().await;
    let body = "
initial_step: first
steps:
  first: { type: machine, component: probe@1, config: { do: random } }
  second: { type: machine, component: probe@1, config: { do: random } }
edges: [{ source: first, target: second }]
";
    scenario.register("random", body).await;

    let instance = scenario.run("random", json!({})).await;

    let executions = scenario.executions(instance.identity.id).await;
    assert_ne!(executions[0].output, executions[1].output);
}
