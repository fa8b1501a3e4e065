//! The cases of branching, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;

use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::definition::builder::DefinitionBuilder;
use stepcell_model::definition::{Edge, GatewayMode, Outcome};
use stepcell_model::name::StepName;
use stepcell_model::status::WorkflowStatus;
use tokio::sync::Notify;

use crate::kit::{Answer, TestHost, done, fails, returns, user, writes};

/// Registers components that return the name of their step, under the names of their steps.
async fn named(host: &TestHost, steps: &[&str]) {
    for step in steps {
        host.step(step, |call| returns(call.info.step.as_str())).await;
    }
}

fn machines(steps: &[&str]) -> DefinitionBuilder {
    let builder = WorkflowDefinition::builder("w", "1.0.0");
    steps.iter().fold(builder, |builder, step| builder.machine(step, &format!("{step}@1")))
}

/// The steps that ended, without their statuses.
async fn steps_run(host: &TestHost, data: Value) -> Vec<String> {
    let id = host.run("w", data).await.identity.id;
    host.executions(id).await.iter().map(|record| record.step.to_string()).collect()
}

/// `s` forks to `a` and `b`, which join in `j`; `k` comes after.
async fn fork_and_join(host: &TestHost) {
    let definition = machines(&["s", "a", "b", "j", "k"])
        .edge("s", "a")
        .edge("s", "b")
        .edge("a", "j")
        .edge("b", "j")
        .edge("j", "k")
        .build()
        .unwrap();
    host.register(definition).await;
}

on_every_store! {
    /// Case 39.
    async fn a_condition_decides_which_step_follows(host: TestHost) {
        named(&host, &["score", "approve", "reject"]).await;
        let definition = machines(&["score", "approve", "reject"])
            .edge_when("score", "approve", "context.get('score') >= 80")
            .edge_when("score", "reject", "context.get('score') < 80")
            .build()
            .unwrap();
        host.register(definition).await;

        assert_eq!(steps_run(&host, json!({"score": 85})).await, ["score", "approve"]);
        assert_eq!(steps_run(&host, json!({"score": 10})).await, ["score", "reject"]);
    }

    /// Case 40.
    async fn a_missing_key_is_null_to_equality_and_an_error_to_an_ordering(host: TestHost) {
        named(&host, &["a", "b", "c"]).await;
        let definition = machines(&["a", "b", "c"])
            .edge_when("a", "b", "context.get('lacking') == 1")
            .edge_with("a", "c", Edge::by_default)
            .edge_when("c", "b", "context.get('lacking') >= 1")
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(host.path(instance.identity.id).await, ["a succeeded", "c succeeded"]);
        assert_eq!(instance.status, WorkflowStatus::Failed);
        let error = instance.error.unwrap();
        assert_eq!(error.code.as_str(), "engine.expression");
        assert!(error.message.starts_with("the condition of edge 2 from `c` to `b` failed:"), "{}", error.message);
        assert_eq!(instance.current_step.unwrap().as_str(), "c");
    }

    /// Case 42.
    async fn a_step_of_which_no_edge_can_be_taken_fails_the_instance_and_says_so(host: TestHost) {
        named(&host, &["a", "b"]).await;
        host.register(machines(&["a", "b"]).edge_when("a", "b", "false").build().unwrap()).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        let error = instance.error.unwrap();
        assert!(error.message.starts_with("no edge out of `a` could be taken"), "{}", error.message);
        assert_eq!(error.step.unwrap().as_str(), "a");
        assert_eq!(host.path(instance.identity.id).await, ["a succeeded"]);
    }

    /// Case 43.
    async fn an_exclusive_gateway_takes_the_first_that_holds_and_then_the_step_common_to_all(host: TestHost) {
        named(&host, &["a", "b", "c", "e"]).await;
        let definition = machines(&["a", "b", "c", "e"])
            .gateway("way", GatewayMode::Exclusive)
            .edge("a", "way")
            .edge_when("way", "b", "context.n > 0")
            .edge_when("way", "c", "context.n > 1")
            .edge("b", "e")
            .edge("c", "e")
            .edge_with("way", "e", Edge::by_default)
            .build()
            .unwrap();
        host.register(definition).await;

        assert_eq!(steps_run(&host, json!({"n": 2})).await, ["a", "way", "b", "e"]);
        assert_eq!(steps_run(&host, json!({"n": 0})).await, ["a", "way", "e"]);
    }

    /// Case 44.
    async fn an_inclusive_gateway_runs_all_that_hold_and_then_the_join_once(host: TestHost) {
        named(&host, &["a", "b", "c", "d", "j"]).await;
        let definition = machines(&["a", "b", "c", "d", "j"])
            .gateway("way", GatewayMode::Inclusive)
            .edge("a", "way")
            .edge_when("way", "b", "context.n > 0")
            .edge_when("way", "c", "context.n > 1")
            .edge_when("way", "d", "context.n > 2")
            .edge("b", "j")
            .edge("c", "j")
            .edge("d", "j")
            .build()
            .unwrap();
        host.register(definition).await;

        let mut run = steps_run(&host, json!({"n": 2})).await;

        run[2..4].sort();
        assert_eq!(run, ["a", "way", "b", "c", "j"]);
    }

    /// Cases 46 and 47.
    async fn a_parallel_gateway_runs_every_branch_and_the_join_once_after_all(host: TestHost) {
        let hold = Arc::new(Notify::new());
        let release = Arc::clone(&hold);
        named(&host, &["s", "b", "j", "k"]).await;
        host.step("a", move |_| Answer::Hold(Arc::clone(&hold))).await;
        let definition = machines(&["s", "a", "b", "j", "k"])
            .gateway("way", GatewayMode::Parallel)
            .edge("s", "way")
            .edge_when("way", "a", "false")
            .edge("way", "b")
            .edge("a", "j")
            .edge("b", "j")
            .edge("j", "k")
            .build()
            .unwrap();
        host.register(definition).await;

        let id = host.start("w", json!({})).await;
        host.called("a", 1).await;
        host.called("b", 1).await;
        let joined_early = host.calls("j").len();
        release.notify_one();
        host.settled(id).await;

        assert_eq!(joined_early, 0);
        let mut path = host.path(id).await;
        path[2..4].sort();
        assert_eq!(path, ["s", "way", "a", "b", "j", "k"].map(|step| format!("{step} succeeded")));
    }

    /// Case 47.
    async fn a_join_is_given_the_results_of_its_branches_by_step_and_a_step_after_one_branch_the_result(host: TestHost) {
        named(&host, &["s", "a", "b", "j", "k"]).await;
        fork_and_join(&host).await;

        host.run("w", json!({})).await;

        let join = &host.calls("j")[0];
        assert_eq!(join.previous.as_ref().unwrap().tree(), &json!({"a": "a", "b": "b"}));
        assert_eq!(join.input, join.previous.clone().unwrap());
        let mut seen: Vec<_> = join.history.iter().map(|record| record.step.to_string()).collect();
        seen.sort();
        assert_eq!(seen, ["a", "b", "s"]);
        assert_eq!(host.calls("k")[0].previous.as_ref().unwrap().tree(), "j");
    }

    /// Case 48.
    async fn a_branch_that_fails_fails_the_instance_and_each_branch_has_its_own_status(host: TestHost) {
        let hold = Arc::new(Notify::new());
        let fail = Arc::clone(&hold);
        named(&host, &["s", "j", "k"]).await;
        host.step("a", |_| fails("broken", "it broke")).await;
        host.step("b", move |_| Answer::Hold(Arc::clone(&hold))).await;
        fork_and_join(&host).await;

        let instance = host.run("w", json!({})).await;
        fail.notify_one();

        let id = instance.identity.id;
        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.current_step.unwrap().as_str(), "a");
        assert_eq!(host.path(id).await, ["s succeeded", "a failed", "b canceled"]);
        assert!(host.calls("j").is_empty());
    }

    /// Case 49.
    async fn a_join_waits_for_the_person_on_its_other_branch(host: TestHost) {
        named(&host, &["s", "b", "j"]).await;
        let definition = machines(&["s", "b", "j"])
            .human("h", |_| {})
            .edge("s", "h")
            .edge("s", "b")
            .edge("h", "j")
            .edge("b", "j")
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;
        let id = instance.identity.id;
        let path_before = host.path(id).await;
        let step = StepName::new("h").unwrap();
        host.engine.complete_human_task(id, &step, user("ada"), json!({"ok": true}).into()).await.unwrap();

        assert_eq!(instance.status, WorkflowStatus::Waiting);
        assert_eq!(path_before, ["s succeeded", "b succeeded", "h waiting"]);
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("j")[0].previous.as_ref().unwrap().tree(), &json!({"b": "b", "h": {"ok": true}}));
    }

    async fn a_step_looks_back_on_a_task_that_was_completed_while_another_branch_ran(host: TestHost) {
        let hold = Arc::new(Notify::new());
        let release = Arc::clone(&hold);
        named(&host, &["s", "j"]).await;
        host.step("b", move |_| Answer::Hold(Arc::clone(&hold))).await;
        let definition = machines(&["s", "b", "j"])
            .human("h", |_| {})
            .edge("s", "h")
            .edge("s", "b")
            .edge("h", "j")
            .edge("b", "j")
            .build()
            .unwrap();
        host.register(definition).await;

        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;
        let step = StepName::new("h").unwrap();
        host.engine.complete_human_task(id, &step, user("ada"), json!({}).into()).await.unwrap();
        release.notify_one();
        host.settled(id).await;

        let seen: Vec<_> = host.calls("j")[0].history.iter().map(|record| record.step.to_string()).collect();
        assert_eq!(seen, ["s", "h", "b"]);
    }

    async fn of_two_branches_that_write_one_key_the_later_commit_wins(host: TestHost) {
        let hold = Arc::new(Notify::new());
        let release = Arc::clone(&hold);
        named(&host, &["s", "j", "k"]).await;
        host.step("a", |_| writes("winner", "a")).await;
        host.step("b", move |call| {
            // The snapshot at the start of the attempt is all that the attempt sees.
            assert_eq!(call.context.get("winner"), None);
            Answer::HoldThenWrite(Arc::clone(&hold), "winner", json!("b"))
        })
        .await;
        fork_and_join(&host).await;
        let mut told = host.told().await;

        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;
        while !host.context(id).await.as_object().unwrap().contains_key("winner") {
            told.next().await.unwrap();
        }
        release.notify_one();
        host.settled(id).await;

        assert_eq!(host.context(id).await, json!({"winner": "b"}));
        let wrote: Vec<_> = host.executions(id).await.iter().map(|record| record.step.to_string()).collect();
        assert_eq!(wrote, ["s", "a", "b", "j", "k"]);
    }

    async fn a_failure_edge_is_taken_with_the_failure_in_the_context(host: TestHost) {
        host.step("pay", |_| fails("card-declined", "no money")).await;
        host.step("refund", |call| returns(call.context.get("pay").unwrap().tree()["code"].clone())).await;
        named(&host, &["thank"]).await;
        let definition = machines(&["pay", "thank", "refund"])
            .edge("pay", "thank")
            .edge_with("pay", "refund", |edge| edge.on(Outcome::Failure).when("context.pay.code == 'card-declined'"))
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(host.path(instance.identity.id).await, ["pay failed", "refund succeeded"]);
        assert_eq!(instance.result.unwrap().tree(), "card-declined");
        assert_eq!(host.context(instance.identity.id).await["pay"]["message"], "no money");
    }

    async fn a_failure_edge_whose_condition_does_not_hold_fails_the_instance(host: TestHost) {
        host.step("pay", |_| fails("broken", "it broke")).await;
        named(&host, &["refund"]).await;
        let definition = machines(&["pay", "refund"])
            .edge_with("pay", "refund", |edge| edge.on(Outcome::Failure).when("context.pay.code == 'card-declined'"))
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.error.unwrap().code.as_str(), "broken");
    }

    /// Case 52.
    async fn a_loop_with_a_counter_ends_after_its_rounds(host: TestHost) {
        host.step("a", |call| {
            let n = call.context.get("n").map_or(0, |n| n.tree().as_i64().unwrap());
            writes("n", n + 1)
        })
        .await;
        named(&host, &["e"]).await;
        let definition = machines(&["a", "e"])
            .edge_when("a", "a", "context.n < 4")
            .edge_with("a", "e", Edge::by_default)
            .build()
            .unwrap();
        host.register(definition).await;

        assert_eq!(steps_run(&host, json!({})).await, ["a", "a", "a", "a", "e"]);
    }

    /// Case 52.
    async fn a_runaway_loop_is_stopped_by_its_limit(host: TestHost) {
        host.step("a", |_| done()).await;
        let definition = machines(&["a"]).edge("a", "a").terminal("e").machine("e", "a@1");
        let definition = definition.edge_when("a", "e", "false").iterations(5).build().unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        let error = instance.error.unwrap();
        assert_eq!(error.code.as_str(), "engine.iterations");
        assert!(error.message.contains("5 step executions"), "{}", error.message);
        assert_eq!(host.path(instance.identity.id).await, ["a succeeded"; 5]);
    }
}

on_every_store! {
    /// One instance can not fill the store, however often its limits let it turn.
    async fn a_loop_that_returns_much_is_stopped_when_its_history_is_full(host: TestHost) {
        host.step("a", |_| returns("x".repeat(1 << 20))).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("a", "a@1")
            .machine("end", "a@1")
            .edge_when("a", "end", "context.get('done') == true")
            .edge_with("a", "a", Edge::by_default)
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;

        let error = instance.error.unwrap();
        assert_eq!((instance.status, error.code.as_str()), (WorkflowStatus::Failed, "engine.output"));
        assert!(error.message.starts_with("the history of the instance has"), "{}", error.message);
        assert!((10..40).contains(&host.executions(instance.identity.id).await.len()));
    }
}
