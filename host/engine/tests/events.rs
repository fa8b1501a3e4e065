//! The cases of events: what is told, in order, and what it carries.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::InstanceId;
use stepcell_model::name::StepName;

use crate::kit::{Answer, TestHost, done, fails, user, writes};

/// `a`, then a task, then `b`: in `w` the task is whose `who` names, in `free` anybody's.
async fn with_a_task(host: &TestHost) {
    for (workflow, assignee_key) in [("w", Some("who".parse().unwrap())), ("free", None)] {
        let definition = WorkflowDefinition::builder(workflow, "1.0.0")
            .machine("a", "a@1")
            .human("look", |task| task.assignee_key = assignee_key)
            .machine("b", "b@1")
            .edge("a", "look")
            .edge("look", "b")
            .build()
            .unwrap();
        host.register(definition).await;
    }
}

/// All events of an instance as the store has them.
async fn told(host: &TestHost, id: InstanceId) -> Vec<Value> {
    let history = host.engine.store().list_history(id, 0, 1_000).await.unwrap();
    history.iter().flat_map(|entry| &entry.events).map(|event| serde_json::to_value(event).unwrap()).collect()
}

fn of_type<'a>(events: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == wanted).collect()
}

on_every_store! {
    /// Case 99.
    async fn a_run_is_started_waits_resumes_and_completes_once_each_in_that_order(host: TestHost) {
        host.step("a", |_| done()).await;
        host.step("b", |_| done()).await;
        with_a_task(&host).await;

        let id = host.run("w", json!({"who": "ada"})).await.identity.id;
        let look = StepName::new("look").unwrap();
        host.engine.complete_human_task(id, &look, user("ada"), json!({}).into()).await.unwrap();
        host.settled(id).await;

        let events = host.events(id).await;
        let of_workflow: Vec<_> = events.iter().filter(|event| event.starts_with("workflow_")).collect();
        assert_eq!(of_workflow, ["workflow_started", "workflow_waiting", "workflow_resumed", "workflow_completed"]);
        assert_eq!(events.first().unwrap(), "workflow_started");
        assert_eq!(events.last().unwrap(), "workflow_completed");
    }

    /// Case 99.
    async fn a_run_that_fails_or_is_canceled_tells_so_once_and_last(host: TestHost) {
        host.step("a", |call| if call.input.tree()["fail"] == true { fails("broken", "it broke") } else { Answer::Never })
            .await;
        host.register(WorkflowDefinition::builder("w", "1.0.0").machine("a", "a@1").build().unwrap()).await;

        let failed = host.run("w", json!({"fail": true})).await.identity.id;
        let canceled = host.start("w", json!({})).await;
        host.called("a", 2).await;
        host.engine.cancel_workflow(canceled, "enough").await.unwrap();

        let (failed, canceled) = (told(&host, failed).await, told(&host, canceled).await);
        let error = json!({"code": "broken", "message": "it broke", "step": "a", "details": null});
        assert_eq!(failed.last().unwrap(), &json!({"type": "workflow_failed", "error": error}));
        assert_eq!(canceled.last().unwrap(), &json!({"type": "workflow_canceled", "reason": "enough"}));
        assert_eq!(of_type(&failed, "workflow_failed").len(), 1);
        assert_eq!(of_type(&canceled, "step_canceled").len(), 1);
    }

    /// Case 100.
    async fn events_of_steps_carry_execution_step_attempt_and_what_was_written(host: TestHost) {
        host.step("a", |_| writes("x", 1)).await;
        host.step("b", |_| Answer::Skip).await;
        host.step("c", |_| fails("broken", "it broke")).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("a", "a@1")
            .machine("b", "b@1")
            .machine("c", "c@1")
            .edge_when("a", "b", "context.x == 1")
            .edge_with("a", "c", stepcell_model::definition::Edge::by_default)
            .edge("b", "c")
            .build()
            .unwrap();
        host.register(definition).await;

        let id = host.run("w", json!({})).await.identity.id;

        let events = told(&host, id).await;
        assert_eq!(
            of_type(&events, "step_activated")[1],
            &json!({"type": "step_activated", "execution": 2, "step": "b", "step_type": "machine", "from": 1, "edge": 0})
        );
        assert_eq!(
            of_type(&events, "step_started")[0],
            &json!({"type": "step_started", "execution": 1, "step": "a", "attempt": 1})
        );
        assert_eq!(
            of_type(&events, "edges_decided")[0],
            &json!({
                "type": "edges_decided", "execution": 1, "step": "a",
                "edges": [{"edge": 0, "target": "b", "taken": true, "read": [{ "path": "context.x", "value": "1" }]}]
            })
        );
        let completed = of_type(&events, "step_completed")[0];
        assert_eq!(
            (&completed["step"], &completed["attempt"], &completed["wrote"]),
            (&json!("a"), &json!(1), &json!(["x"]))
        );
        assert!(completed["trace"]["receipt"].is_object());
        let skipped = of_type(&events, "step_skipped")[0];
        assert_eq!((&skipped["execution"], &skipped["step"]), (&json!(2), &json!("b")));
        let failed = of_type(&events, "step_failed")[0];
        assert_eq!((&failed["step"], &failed["attempt"]), (&json!("c"), &json!(1)));
        assert_eq!((&failed["failure"]["code"], &failed["failure"]["message"]), (&json!("broken"), &json!("it broke")));
    }

    /// Case 100.
    async fn events_of_tasks_carry_task_step_and_who(host: TestHost) {
        host.step("a", |_| done()).await;
        host.step("b", |_| done()).await;
        with_a_task(&host).await;
        let given = host.run("w", json!({"who": "bob"})).await.identity.id;
        let free = host.run("free", json!({})).await.identity.id;
        let (given_task, free_task) = (host.tasks(given).await[0].id, host.tasks(free).await[0].id);

        host.engine.claim_task(free_task, user("ada")).await.unwrap();
        let answer = json!({"ok": true});
        host.engine.complete_task(given_task, user("bob"), answer.into(), Some("fine".into())).await.unwrap();
        host.settled(given).await;

        let (given, free) = (told(&host, given).await, told(&host, free).await);
        assert_eq!(
            of_type(&given, "task_created")[0],
            &json!({"type": "task_created", "task": given_task, "execution": 2, "step": "look", "assignee": "bob"})
        );
        assert_eq!(
            of_type(&free, "task_claimed")[0],
            &json!({"type": "task_claimed", "task": free_task, "step": "look", "user": "ada"})
        );
        assert_eq!(
            of_type(&given, "task_completed")[0],
            &json!({"type": "task_completed", "task": given_task, "step": "look", "user": "bob", "comment": "fine"})
        );
        assert_eq!(of_type(&given, "step_completed")[1]["wrote"], json!(["ok"]));
    }
}
