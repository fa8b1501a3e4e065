//! The cases of groups and of steps that run for each item, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::InstanceId;
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use tokio::sync::{Notify, Semaphore};

use crate::kit::{Answer, TestHost, done, fails, returns, writes};

/// Registers a workflow of a group `g` and a step `after`, which returns what the group did.
async fn with_group(host: &TestHost, group: &str) {
    host.step("after", |call| returns(call.input.tree().clone())).await;
    host.register_yaml(
        "w",
        &format!(
            "initial_step: g\nsteps:\n  g: {group}\n  after: {{ type: machine, component: after@1 }}\nedges: [{{ source: g, \
             target: after }}]\n"
        ),
    )
    .await;
}

/// Runs it, and says what the group returned.
async fn group_returned(host: &TestHost, data: Value) -> Value {
    let instance = host.run("w", data).await;
    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    instance.result.unwrap().tree().clone()
}

/// Machine members of these names, each with a component of its own.
fn members(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name}: {{ type: machine, component: {name}@1 }}")).collect::<Vec<_>>().join(", ")
}

/// Lets what runs until now end, and waits for what comes next.
async fn settled_path(host: &TestHost, id: InstanceId) -> Vec<String> {
    host.settled(id).await;
    host.path(id).await
}

on_every_store! {
    /// Case 54.
    async fn a_sequential_group_passes_each_result_to_the_next_and_returns_the_last(host: TestHost) {
        host.step("a", |call| returns(json!([call.input.tree(), "a"]))).await;
        host.step("b", |call| returns(json!([call.previous.unwrap().tree(), "b"]))).await;
        with_group(&host, &format!("{{ type: sequential, steps: {{ {} }} }}", members(&["a", "b"]))).await;

        assert_eq!(group_returned(&host, json!({"n": 1})).await, json!([[{"n": 1}, "a"], "b"]));
    }

    /// Case 55.
    async fn a_parallel_group_runs_its_members_at_once_with_results_in_declared_order(host: TestHost) {
        let gate = Arc::new(Semaphore::new(0));
        for name in ["a", "b", "c"] {
            let (gate, running) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(1)));
            host.step(name, move |_| Answer::HoldAt(Arc::clone(&gate), Arc::clone(&running))).await;
        }
        host.named(&["x"]).await;
        let group = format!("{{ type: parallel, steps: {{ {}, x: {{ type: machine, component: x@1 }} }} }}", members(&["c", "a", "b"]));
        with_group(&host, &group).await;

        let id = host.start("w", json!({})).await;
        for name in ["g/a", "g/b", "g/c", "g/x"] {
            // None of them has ended yet: the slowest one alone decides how long the group takes.
            host.called(name, 1).await;
        }
        gate.add_permits(3);

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!([null, null, null, "g/x"]));
    }

    /// Case 55.
    async fn results_of_a_parallel_group_stand_in_declared_order_whoever_ends_first(host: TestHost) {
        let (hold, release) = { let hold = Arc::new(Notify::new()); (Arc::clone(&hold), hold) };
        host.step("a", move |_| Answer::HoldThenWrite(Arc::clone(&hold), "last", json!("a"))).await;
        host.named(&["b"]).await;
        with_group(&host, &format!("{{ type: parallel, steps: {{ {} }} }}", members(&["a", "b"]))).await;
        let mut told = host.told().await;

        let id = host.start("w", json!({})).await;
        while !host.path(id).await.contains(&"g/b succeeded".to_owned()) {
            told.next().await.unwrap();
        }
        release.notify_one();

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!([null, "g/b"]));
        assert_eq!(host.path(id).await, ["g/b succeeded", "g/a succeeded", "g succeeded", "after succeeded"]);
    }

    /// Case 56.
    async fn a_callback_is_given_all_results_and_its_result_is_the_groups(host: TestHost) {
        host.named(&["a", "b"]).await;
        host.step("merge", |call| returns(json!({"merged": call.input.tree()}))).await;
        let group = format!(
            "{{ type: parallel, steps: {{ {} }}, callback: {{ type: machine, component: merge@1 }} }}",
            members(&["a", "b"])
        );
        with_group(&host, &group).await;

        assert_eq!(group_returned(&host, json!({})).await, json!({"merged": ["g/a", "g/b"]}));
    }

    async fn a_callback_that_fails_fails_its_group_and_the_group_is_named(host: TestHost) {
        host.named(&["a"]).await;
        host.step("merge", |_| fails("no-merge", "these do not fit")).await;
        let group = format!(
            "{{ type: parallel, steps: {{ {} }}, callback: {{ type: machine, component: merge@1 }} }}",
            members(&["a"])
        );
        with_group(&host, &group).await;

        let instance = host.run("w", json!({})).await;

        let error = instance.error.unwrap();
        assert_eq!((error.code.as_str(), error.step.unwrap().as_str()), ("no-merge", "g"));
        assert_eq!(error.message, "its part `g/callback` failed: these do not fit");
        assert_eq!(host.path(instance.identity.id).await, ["g/a succeeded", "g/callback failed", "g failed"]);
    }

    /// Case 57.
    async fn a_group_is_one_step_of_its_workflow_and_history_has_it_and_its_members(host: TestHost) {
        host.named(&["a", "b"]).await;
        with_group(&host, &format!("{{ type: sequential, steps: {{ {} }} }}", members(&["a", "b"]))).await;

        let instance = host.run("w", json!({})).await;
        let id = instance.identity.id;

        let record = host.engine.registry().get_definition(&instance.identity.workflow_name, None).await.unwrap();
        let definition = WorkflowDefinition::from_text(record.document.text()).unwrap();
        let graph = serde_json::to_value(definition.graph()).unwrap();
        let nodes: Vec<_> = graph["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
        assert_eq!(nodes, ["g", "after"]);
        assert_eq!(host.path(id).await, ["g/a succeeded", "g/b succeeded", "g succeeded", "after succeeded"]);
        let events = host.engine.store().list_history(id, 0, 1_000).await.unwrap();
        let completed: Vec<_> = events
            .iter()
            .flat_map(|entry| &entry.events)
            .map(|event| serde_json::to_value(event).unwrap())
            .filter(|event| event["type"] == "step_completed")
            .map(|event| event["step"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(completed, ["g/a", "g/b", "g", "after"]);
    }

    /// Case 58.
    async fn groups_nest_and_what_came_before_flows_into_the_inner_ones(host: TestHost) {
        host.named(&["a", "c"]).await;
        host.step("b", |call| returns(call.previous.unwrap().tree().clone())).await;
        let inner = format!("inner: {{ type: parallel, steps: {{ {} }} }}", members(&["b"]));
        with_group(&host, &format!("{{ type: sequential, steps: {{ {}, {inner}, {} }} }}", members(&["a"]), members(&["c"])))
            .await;

        assert_eq!(group_returned(&host, json!({})).await, json!("g/c"));

        assert_eq!(host.calls("g/inner/b")[0].input.tree(), "g/a");
        assert_eq!(host.calls("g/c")[0].input.tree(), &json!(["g/a"]));
    }

    /// Case 58.
    async fn an_empty_group_is_a_no_op(host: TestHost) {
        with_group(&host, "{ type: sequential, steps: {} }").await;

        assert_eq!(group_returned(&host, json!({"n": 1})).await, json!({"n": 1}));
    }

    /// Case 58.
    async fn an_empty_parallel_group_returns_an_empty_list(host: TestHost) {
        with_group(&host, "{ type: parallel, steps: {} }").await;

        assert_eq!(group_returned(&host, json!({"n": 1})).await, json!([]));
    }

    /// Case 59.
    async fn a_conditional_group_picks_by_key_and_an_unknown_key_yields_nothing(host: TestHost) {
        host.named(&["a", "b"]).await;
        with_group(&host, &format!("{{ type: conditional, key: kind, steps: {{ {} }} }}", members(&["a", "b"]))).await;

        for (data, returned) in [
            (json!({"kind": "a"}), json!("g/a")),
            (json!({"kind": "b"}), json!("g/b")),
            (json!({"kind": "x"}), Value::Null),
            (json!({}), Value::Null),
        ] {
            assert_eq!(group_returned(&host, data.clone()).await, returned, "{data}");
        }
    }

    /// Case 59.
    async fn a_conditional_group_with_a_default_runs_it_for_a_key_that_it_does_not_know(host: TestHost) {
        host.named(&["a", "b"]).await;
        let group = format!("{{ type: conditional, key: kind, default: b, steps: {{ {} }} }}", members(&["a", "b"]));
        with_group(&host, &group).await;

        for (data, returned) in [(json!({"kind": "a"}), "g/a"), (json!({"kind": 7}), "g/b"), (json!({}), "g/b")] {
            assert_eq!(group_returned(&host, data.clone()).await, json!(returned), "{data}");
        }
    }

    /// Case 61.
    async fn in_a_race_the_first_result_wins_and_the_rest_are_canceled(host: TestHost) {
        host.named(&["b"]).await;
        host.step("a", |_| Answer::Never).await;
        host.step("c", |_| Answer::Never).await;
        let group = format!("{{ type: parallel, complete_when: any, steps: {{ {} }} }}", members(&["a", "b", "c"]));
        with_group(&host, &group).await;

        let id = host.run("w", json!({})).await.identity.id;

        assert_eq!(host.path(id).await, ["g/b succeeded", "g/a canceled", "g/c canceled", "g succeeded", "after succeeded"]);
        assert_eq!(host.calls("after")[0].input.tree(), "g/b");
        // Whoever lost the race has given its room back: as many attempts as the engine runs at once still run.
        host.cools().await;
        for _ in 0..8 {
            assert_eq!(host.run("w", json!({})).await.status, WorkflowStatus::Completed);
        }
    }

    async fn in_a_race_a_member_that_fails_first_leaves_it_to_the_others(host: TestHost) {
        host.step("a", |_| fails("broken", "it broke")).await;
        host.named(&["b"]).await;
        let group = format!("{{ type: parallel, complete_when: any, steps: {{ {} }} }}", members(&["a", "b"]));
        let group = group.replace("a@1", "a@1, retry: { max_attempts: 1 }");
        with_group(&host, &group).await;

        assert_eq!(group_returned(&host, json!({})).await, json!("g/b"));
    }

    /// Case 61.
    async fn never_more_members_run_at_once_than_the_group_allows(host: TestHost) {
        let gate = Arc::new(Semaphore::new(0));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, running, peak) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
        host.step("m", move |_| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Answer::HoldAt(Arc::clone(&opened), Arc::clone(&running))
        })
        .await;
        let all = (0..6).map(|n| format!("m{n}: {{ type: machine, component: m@1 }}")).collect::<Vec<_>>().join(", ");
        with_group(&host, &format!("{{ type: parallel, max_concurrency: 2, steps: {{ {all} }} }}")).await;

        let id = host.start("w", json!({})).await;
        host.called("g/m0", 1).await;
        host.called("g/m1", 1).await;
        gate.add_permits(6);
        host.settled(id).await;

        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(host.executions(id).await.len(), 8);
    }

    /// Case 61.
    async fn a_quorum_ends_the_group_once_so_many_members_have_succeeded(host: TestHost) {
        host.named(&["a", "c"]).await;
        host.step("b", |_| Answer::Never).await;
        let group = format!("{{ type: parallel, complete_when: 2, steps: {{ {} }} }}", members(&["a", "b", "c"]));
        with_group(&host, &group).await;

        assert_eq!(group_returned(&host, json!({})).await, json!(["g/a", null, "g/c"]));
    }

    /// Case 62.
    async fn parallel_human_members_have_one_task_each_and_the_group_ends_when_all_are_done(host: TestHost) {
        with_group(&host, "{ type: parallel, steps: { x: { type: human }, y: { type: human } } }").await;

        let instance = host.run("w", json!({})).await;
        let id = instance.identity.id;
        assert_eq!(instance.status, WorkflowStatus::Waiting);
        let mut waiting: Vec<_> = host.tasks(id).await.iter().map(|task| task.step.to_string()).collect();
        waiting.sort();
        assert_eq!(waiting, ["g/x", "g/y"]);

        host.completes(id, "g/y", json!({"y": 1})).await;
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Waiting);
        host.completes(id, "g/x", json!({"x": 1})).await;

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!([{"x": 1}, {"y": 1}]));
    }

    /// Case 62.
    async fn parallel_human_members_with_a_quorum_end_with_it_and_the_other_tasks_are_canceled(host: TestHost) {
        let group = "{ type: parallel, complete_when: 2, steps: { x: { type: human }, y: { type: human }, z: { type: human } } }";
        with_group(&host, group).await;
        let id = host.run("w", json!({})).await.identity.id;

        host.completes(id, "g/z", json!({"z": 1})).await;
        host.completes(id, "g/x", json!({"x": 1})).await;

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!([{"x": 1}, null, {"z": 1}]));
        let mut tasks: Vec<_> = host.tasks(id).await.iter().map(|task| (task.step.to_string(), task.status)).collect();
        tasks.sort_by(|a, b| a.0.cmp(&b.0));
        let (completed, canceled) = (TaskStatus::Completed, TaskStatus::Canceled);
        assert_eq!(tasks, [("g/x".into(), completed), ("g/y".into(), canceled), ("g/z".into(), completed)]);
    }

    async fn a_member_that_fails_fails_its_group_naming_it_and_stops_the_others(host: TestHost) {
        host.step("a", |_| fails("broken", "it broke")).await;
        host.step("b", |_| Answer::Never).await;
        with_group(&host, &format!("{{ type: parallel, steps: {{ {} }} }}", members(&["a", "b"]))).await;

        let instance = host.run("w", json!({})).await;

        let error = instance.error.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("broken", "its part `g/a` failed: it broke"));
        assert_eq!(instance.current_step.unwrap().as_str(), "g");
        assert_eq!(host.path(instance.identity.id).await, ["g/a failed", "g/b canceled", "g failed"]);
        assert!(host.calls("after").is_empty());
    }

    async fn members_that_are_waited_for_end_before_their_group_fails(host: TestHost) {
        let (hold, release) = { let hold = Arc::new(Notify::new()); (Arc::clone(&hold), hold) };
        host.step("a", |_| fails("broken", "it broke")).await;
        host.step("b", move |_| Answer::Hold(Arc::clone(&hold))).await;
        with_group(&host, &format!("{{ type: parallel, on_member_failure: wait, steps: {{ {} }} }}", members(&["a", "b"]))).await;
        let mut told = host.told().await;

        let id = host.start("w", json!({})).await;
        while !host.path(id).await.contains(&"g/a failed".to_owned()) {
            told.next().await.unwrap();
        }
        release.notify_one();

        assert_eq!(settled_path(&host, id).await, ["g/a failed", "g/b succeeded", "g failed"]);
    }

    async fn a_step_runs_once_for_each_item_with_results_in_order_and_never_more_at_once_than_allowed(host: TestHost) {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Semaphore::new(0));
        let (opened, running, peak) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
        host.step("slow", move |_| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Answer::HoldAt(Arc::clone(&opened), Arc::clone(&running))
        })
        .await;
        host.step("tell", |call| returns(json!({"told": call.input.tree()}))).await;
        host.register_yaml(
            "w",
            "initial_step: slow\nsteps:\n  slow: { type: machine, component: slow@1, for_each: items, max_concurrency: 3 }\n  \
             tell: { type: machine, component: tell@1, for_each: items }\nedges: [{ source: slow, target: tell }]\n",
        )
        .await;

        let id = host.start("w", json!({"items": [1, "two", {"three": 3}, 4, 5]})).await;
        host.called("slow/item", 3).await;
        gate.add_permits(5);
        let instance = host.settled(id).await;

        assert_eq!(most.load(Ordering::SeqCst), 3);
        let told = json!([{"told": 1}, {"told": "two"}, {"told": {"three": 3}}, {"told": 4}, {"told": 5}]);
        assert_eq!(instance.result.unwrap().tree(), &told);
    }

    async fn a_wide_fan_out_runs_every_item_once(host: TestHost) {
        host.step("a", |call| returns(call.input.tree().clone())).await;
        host.register_yaml("w", "initial_step: a\nsteps: { a: { type: machine, component: a@1, for_each: items } }\n").await;
        let items: Vec<_> = (0..100).collect();

        let instance = host.run("w", json!({"items": items})).await;

        assert_eq!(instance.result.unwrap().tree(), &json!(items));
        assert_eq!(host.calls("a/item").len(), 100);
    }

    async fn what_a_member_writes_is_seen_by_those_after_it_and_stays(host: TestHost) {
        host.step("a", |_| writes("seen", 1)).await;
        host.step("b", |call| if call.context.contains_key("seen") { writes("by_b", true) } else { done() }).await;
        with_group(&host, &format!("{{ type: sequential, steps: {{ {} }} }}", members(&["a", "b"]))).await;

        let id = host.run("w", json!({})).await.identity.id;

        assert_eq!(host.context(id).await, json!({"seen": 1, "by_b": true}));
    }

    async fn a_crash_in_the_middle_of_a_group_runs_only_what_had_not_ended(host: TestHost) {
        host.named(&["a", "c"]).await;
        host.step("b", |call| if call.info.attempt == 1 { Answer::Never } else { returns("b again") }).await;
        let slow = "b: { type: machine, component: b@1, retry: { initial_delay: 0s } }";
        with_group(&host, &format!("{{ type: parallel, steps: {{ {}, {slow}, {} }} }}", members(&["a"]), members(&["c"]))).await;
        let mut told = host.told().await;
        let id = host.start("w", json!({})).await;
        host.called("g/b", 1).await;
        while host.path(id).await.iter().filter(|step| step.ends_with("succeeded")).count() < 2 {
            told.next().await.unwrap();
        }

        let host = host.crash_and_restart().await;

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!(["g/a", "b again", "g/c"]));
        let calls = ["g/a", "g/b", "g/c"].map(|step| host.calls(step).len());
        assert_eq!(calls, [1, 2, 1]);
    }

    async fn a_timeout_in_a_member_is_told_as_the_groups_timeout(host: TestHost) {
        host.named(&["late"]).await;
        host.register_yaml(
            "w",
            "initial_step: g\nsteps:\n  g: { type: sequential, steps: { h: { type: human, timeout: 1h } } }\n  late: { type: \
             machine, component: late@1 }\n  ok: { type: machine, component: late@1 }\nedges: [{ source: g, target: ok }, { \
             source: g, target: late, outcome: timeout }]\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;

        host.clock.advance(std::time::Duration::from_secs(3_600));

        let mut told = host.told().await;
        while !host.engine.get_instance(id).await.unwrap().status.is_finished() {
            told.next().await.unwrap();
        }
        assert_eq!(host.path(id).await, ["g/h failed", "g failed", "late succeeded"]);
    }
}
