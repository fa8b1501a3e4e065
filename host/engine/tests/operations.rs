//! The cases of pause and resume, retry, cancel and compensation, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use stepcell_engine::{CancelRequest, EngineError};
use stepcell_model::id::InstanceId;
use stepcell_model::name::StepName;
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_model::transition::Compensation;
use tokio::sync::Notify;

use crate::kit::{Answer, TestHost, done, fails, returns, writes};

const NEVER_AGAIN: &str = "retry: { max_attempts: 1 }";

/// Machine steps in a row, each with more to its definition.
async fn row(host: &TestHost, steps: &[(&str, &str)]) {
    let lines = steps.iter().map(|(name, more)| format!("  {name}: {{ type: machine, component: {name}@1{more} }}\n"));
    let edges = steps.windows(2).map(|pair| format!("{{ source: {}, target: {} }}", pair[0].0, pair[1].0));
    let (lines, edges) = (lines.collect::<String>(), edges.collect::<Vec<_>>().join(", "));
    host.register_yaml("w", &format!("initial_step: {}\nsteps:\n{lines}edges: [{edges}]\n", steps[0].0)).await;
}

/// A step that fails for good until somebody mends it.
async fn broken(host: &TestHost, name: &'static str) -> Arc<AtomicBool> {
    let is_mended = Arc::new(AtomicBool::new(false));
    let looked_at = Arc::clone(&is_mended);
    host.step(
        name,
        move |_| if looked_at.load(Ordering::SeqCst) { returns(name) } else { fails("broken", "it broke") },
    )
    .await;
    is_mended
}

fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

async fn retry(host: &TestHost, id: InstanceId, from: Option<&str>) -> Result<(), EngineError> {
    host.engine.retry(id, from.map(step).as_ref(), None).await
}

/// Waits until an execution stands where `wanted` says.
async fn until(host: &TestHost, id: InstanceId, wanted: &str) {
    let mut told = host.told().await;
    let seen = async {
        while !host.path(id).await.iter().any(|known| known == wanted) {
            told.next().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it comes to that");
}

on_every_store! {
    async fn an_instance_is_explained_from_what_is_stored_of_it(host: TestHost) {
        let is_mended = broken(&host, "b").await;
        host.named(&["a"]).await;
        let steps = [("a", String::new()), ("b", format!(", {NEVER_AGAIN}"))];
        row(&host, &steps.each_ref().map(|(name, more)| (*name, more.as_str()))).await;
        let id = host.run("w", json!({})).await.identity.id;
        is_mended.store(true, Ordering::SeqCst);

        let told = host.engine.explain(id).await.unwrap();

        let now: Vec<_> = told.now.iter().map(|point| point.text.as_str()).collect();
        assert_eq!(now, ["It failed at `b`: broken: it broke.", "A retry goes on at `b`."]);
        let past: Vec<_> = told.past.iter().map(|point| point.text.as_str()).collect();
        assert_eq!(
            past,
            [
                "It was started.",
                "`a` succeeded.",
                "The edge from `a` to `b` was taken: it has no condition.",
                "`b` failed: broken: it broke.",
                "It failed at `b`: broken: it broke; no edge leads on from a failure of `b`.",
            ]
        );
        retry(&host, id, None).await.unwrap();
        host.settled(id).await;
        assert_eq!(host.engine.explain(id).await.unwrap().now[0].text, "It completed: every branch came to its end, `b` last.");
        let nobody = InstanceId::from_uuid(uuid::Uuid::nil());
        assert!(matches!(host.engine.explain(nobody).await, Err(EngineError::InstanceNotFound { .. })));
    }

    /// Case 81.
    async fn between_pause_and_resume_no_step_starts_and_paused_is_visible(host: TestHost) {
        host.stores_each_step().await;
        let (hold, release) = { let hold = Arc::new(Notify::new()); (Arc::clone(&hold), hold) };
        host.step("a", move |_| Answer::Hold(Arc::clone(&hold))).await;
        host.named(&["b"]).await;
        row(&host, &[("a", ""), ("b", "")]).await;
        let id = host.start("w", json!({})).await;
        host.called("a", 1).await;

        host.engine.pause(id, None).await.unwrap();
        release.notify_one();
        until(&host, id, "a succeeded").await;
        host.cools().await;

        assert_eq!(host.engine.get_instance(id).await.unwrap().status, WorkflowStatus::Paused);
        assert!(host.calls("b").is_empty());
        let again = host.engine.pause(id, None).await.unwrap_err();
        assert!(matches!(again, EngineError::InvalidTransition { .. }), "{again}");
        host.engine.resume(id, None).await.unwrap();
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        let again = host.engine.resume(id, None).await.unwrap_err();
        assert!(matches!(again, EngineError::AlreadyCompleted { .. }), "{again}");
        let events = host.events(id).await;
        assert_eq!(events.iter().filter(|event| event.starts_with("workflow_")).map(String::as_str).collect::<Vec<_>>(), [
            "workflow_started", "workflow_paused", "workflow_resumed", "workflow_completed"
        ]);
    }

    /// Case 81.
    async fn a_paused_instance_stays_so_over_a_restart_and_over_its_timers(host: TestHost) {
        host.named(&["b"]).await;
        host.register_yaml(
            "w",
            "initial_step: t\nsteps:\n  t: { type: timer, duration: 1h }\n  b: { type: machine, component: b@1 }\nedges: [{ \
             source: t, target: b }]\n",
        )
        .await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        host.engine.pause(id, None).await.unwrap();

        let store = host.store();
        let host = host.crash_and_restart_on(store, |clock| clock.advance(Duration::from_secs(7_200))).await;
        host.cools().await;
        assert_eq!(host.engine.get_instance(id).await.unwrap().status, WorkflowStatus::Paused);
        host.engine.resume(id, None).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["t succeeded", "b succeeded"]);
    }

    /// Case 81.
    async fn a_task_of_a_paused_instance_is_completed_and_what_follows_starts_once_it_is_resumed(host: TestHost) {
        host.named(&["b"]).await;
        host.register_yaml(
            "w",
            "initial_step: h\nsteps: { h: { type: human }, b: { type: machine, component: b@1 } }\nedges: [{ source: h, target: b \
             }]\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;

        host.engine.pause(id, None).await.unwrap();
        host.completes(id, "h", json!({})).await;
        host.cools().await;
        assert!(host.calls("b").is_empty());
        host.engine.resume(id, None).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    }

    async fn a_paused_instance_can_be_canceled(host: TestHost) {
        host.register_yaml("w", "initial_step: h\nsteps: { h: { type: human } }\n").await;
        let id = host.run("w", json!({})).await.identity.id;

        host.engine.pause(id, None).await.unwrap();
        host.engine.cancel_workflow(id, "not needed").await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Canceled);
    }

    /// Case 85.
    async fn a_retry_goes_on_at_the_failed_step_with_the_context_as_it_was_and_earlier_steps_do_not_run_again(host: TestHost) {
        host.step("a", |_| writes("a", 1)).await;
        let mended = broken(&host, "b").await;
        host.named(&["c"]).await;
        row(&host, &[("a", ""), ("b", ""), ("c", "")]).await;
        let id = host.run("w", json!({"given": true})).await.identity.id;
        let (failed, context) = (host.engine.get_instance(id).await.unwrap(), host.context(id).await);
        assert_eq!(failed.status, WorkflowStatus::Failed);
        mended.store(true, Ordering::SeqCst);

        let host = host.crash_and_restart().await;
        retry(&host, id, None).await.unwrap();

        let instance = host.settled(id).await;
        assert_eq!((instance.status, instance.error), (WorkflowStatus::Completed, None));
        assert_eq!(host.path(id).await, ["a succeeded", "b failed", "b succeeded", "c succeeded"]);
        assert_eq!(["a", "b", "c"].map(|step| host.calls(step).len()), [1, 2, 1]);
        assert_eq!(host.context(id).await, context);
    }

    /// Case 86.
    async fn a_retry_from_an_earlier_step_runs_that_and_everything_after_it(host: TestHost) {
        host.named(&["a", "b"]).await;
        let mended = broken(&host, "c").await;
        row(&host, &[("a", ""), ("b", ""), ("c", "")]).await;
        let id = host.run("w", json!({"n": 1})).await.identity.id;
        mended.store(true, Ordering::SeqCst);

        retry(&host, id, Some("b")).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["a succeeded", "b succeeded", "c failed", "b succeeded", "c succeeded"]);
        assert_eq!(host.calls("b")[1].input.tree(), "a", "what came to it before comes again");
        assert_ne!(host.calls("b")[0].info.execution, host.calls("b")[1].info.execution);
    }

    /// Case 86.
    async fn a_retry_from_the_first_step_is_given_the_initial_data_again(host: TestHost) {
        host.stores_each_step().await;
        host.named(&["a"]).await;
        let mended = broken(&host, "b").await;
        row(&host, &[("a", ""), ("b", "")]).await;
        let id = host.run("w", json!({"n": 1})).await.identity.id;
        mended.store(true, Ordering::SeqCst);

        retry(&host, id, Some("a")).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("a")[1].input.tree(), &json!({"n": 1}));
    }

    /// Case 86.
    async fn a_retry_from_what_is_no_step_that_was_reached_or_of_what_has_not_failed_is_refused(host: TestHost) {
        host.named(&["a", "c"]).await;
        host.step("b", |_| fails("broken", "it broke")).await;
        host.register_yaml(
            "w",
            "initial_step: g\nsteps:\n  g: { type: sequential, steps: { a: { type: machine, component: a@1 } } }\n  b: { type: \
             machine, component: b@1 }\n  c: { type: machine, component: c@1 }\nedges: [{ source: g, target: b }, { source: b, \
             target: c }]\n",
        )
        .await;
        host.register_yaml("one", "initial_step: a\nsteps: { a: { type: machine, component: a@1 } }\n").await;
        host.register_yaml("asks", "initial_step: h\nsteps: { h: { type: human } }\n").await;
        let failed = host.run("w", json!({})).await.identity.id;
        let before = host.engine.get_instance(failed).await.unwrap();

        for (from, why) in [
            ("x", "it is not a step; the steps are g, b, c"),
            ("g/a", "it is a part of `g`; name that"),
            ("c", "the instance never came to it; name a step of its history"),
        ] {
            let refused = retry(&host, failed, Some(from)).await.unwrap_err();
            assert!(matches!(refused, EngineError::InvalidTransition { .. }), "{refused}");
            assert_eq!(refused.to_string(), format!("instance {failed} can not go from failed to running from `{from}`: {why}"));
        }
        assert_eq!(host.engine.get_instance(failed).await.unwrap(), before);

        let completed = host.run("one", json!({})).await.identity.id;
        let waiting = host.run("asks", json!({})).await.identity.id;
        for (id, from) in [(completed, None), (completed, Some("a")), (waiting, None), (waiting, Some("h"))] {
            let before = host.engine.get_instance(id).await.unwrap();
            let refused = retry(&host, id, from).await.unwrap_err();
            let is_typed =
                matches!(refused, EngineError::InvalidTransition { .. } | EngineError::AlreadyCompleted { .. });
            assert!(is_typed, "{refused}");
            assert_eq!(host.engine.get_instance(id).await.unwrap(), before);
        }
    }

    /// Case 85.
    async fn a_retry_takes_up_the_branches_that_were_canceled_with_the_failure(host: TestHost) {
        host.named(&["s", "j"]).await;
        let mended = broken(&host, "a").await;
        host.register_yaml(
            "w",
            "initial_step: s\nsteps:\n  s: { type: machine, component: s@1 }\n  a: { type: machine, component: a@1 }\n  h: { type: \
             human }\n  j: { type: machine, component: j@1 }\nedges: [{ source: s, target: a }, { source: s, target: h }, { source: \
             a, target: j }, { source: h, target: j }]\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;
        assert_eq!(host.path(id).await, ["s succeeded", "a failed", "h canceled"]);
        mended.store(true, Ordering::SeqCst);

        retry(&host, id, None).await.unwrap();
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Waiting);
        host.completes(id, "h", json!({"ok": 1})).await;

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("j")[0].input.tree(), &json!({"a": "a", "h": {"ok": 1}}));
        let tasks = host.tasks(id).await;
        let with = |status| tasks.iter().filter(|task| task.status == status).count();
        assert_eq!((with(TaskStatus::Canceled), with(TaskStatus::Completed)), (1, 1));
    }

    async fn a_retry_of_a_failed_group_runs_the_group_again(host: TestHost) {
        host.named(&["a"]).await;
        let mended = broken(&host, "b").await;
        host.register_yaml(
            "w",
            "initial_step: g\nsteps:\n  g: { type: sequential, steps: { a: { type: machine, component: a@1 }, b: { type: machine, \
             component: b@1 } } }\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;
        mended.store(true, Ordering::SeqCst);

        retry(&host, id, None).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(
            host.path(id).await,
            ["g/a succeeded", "g/b failed", "g failed", "g/a succeeded", "g/b succeeded", "g succeeded"]
        );
    }

    async fn a_failure_for_good_undoes_what_succeeded_in_reverse_order_and_stays_failed(host: TestHost) {
        host.named(&["reserve", "note", "charge"]).await;
        host.step("ship", |_| fails("no-truck", "no truck today")).await;
        host.step("undo", |call| writes("undone", json!([call.context.get("undone").map(|value| value.tree().clone()), call.input.tree()]))).await;
        let undo = ", compensate: undo@1";
        row(&host, &[("reserve", undo), ("note", ""), ("charge", undo), ("ship", "")]).await;

        let instance = host.run("w", json!({})).await;
        let id = instance.identity.id;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        let error = instance.error.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("no-truck", "no truck today"));
        assert_eq!(instance.current_step.unwrap().as_str(), "ship");
        assert_eq!(host.path(id).await[3..], ["ship failed", "charge/compensate succeeded", "reserve/compensate succeeded"]);
        assert_eq!(host.context(id).await, json!({"undone": [[null, "charge"], "reserve"]}), "each is given what it undoes");
        let refused = retry(&host, id, None).await.unwrap_err().to_string();
        assert!(refused.contains("what it did was undone; start a new instance instead"), "{refused}");
    }

    async fn what_can_not_be_undone_is_told_and_the_rest_is_undone_all_the_same(host: TestHost) {
        host.named(&["reserve", "charge"]).await;
        host.step("ship", |_| fails("no-truck", "no truck today")).await;
        host.step("undo", |_| done()).await;
        host.step("refund", |_| fails("closed", "the bank is closed")).await;
        row(&host, &[("reserve", ", compensate: undo@1"), ("charge", ", compensate: refund@1"), ("ship", "")]).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(
            instance.error.unwrap().message,
            "no truck today; `charge/compensate` failed: the bank is closed"
        );
        assert_eq!(host.path(instance.identity.id).await[3..], ["charge/compensate failed", "reserve/compensate succeeded"]);
    }

    /// Case 82.
    async fn a_cancel_undoes_only_when_asked_to(host: TestHost) {
        host.stores_each_step().await;
        host.named(&["reserve"]).await;
        host.step("charge", |_| Answer::Never).await;
        host.step("undo", |_| done()).await;
        row(&host, &[("reserve", ", compensate: undo@1"), ("charge", "")]).await;

        for (compensation, path) in [
            (Compensation::None, &["reserve succeeded", "charge canceled"][..]),
            (Compensation::Undo, &["reserve succeeded", "charge canceled", "reserve/compensate succeeded"]),
        ] {
            let calls = host.calls("charge").len();
            let id = host.start("w", json!({})).await;
            host.called("charge", calls + 1).await;

            let request = CancelRequest { compensation, ..CancelRequest::new("not wanted") };
            host.engine.cancel_workflow_with(id, request).await.unwrap();

            let instance = host.settled(id).await;
            assert_eq!((instance.status, instance.error.unwrap().message.as_str()), (WorkflowStatus::Canceled, "not wanted"));
            assert_eq!(host.path(id).await, path);
        }
    }

    /// Case 90.
    async fn a_crash_in_the_middle_of_undoing_goes_on_with_it_and_undoes_nothing_twice(host: TestHost) {
        host.stores_each_step().await;
        host.named(&["a", "b", "c"]).await;
        host.step("d", |_| fails("broken", "it broke")).await;
        host.step("undo", |_| done()).await;
        host.step("slow", |call| if call.info.attempt == 1 { Answer::Never } else { done() }).await;
        let (undo, slow) = (", compensate: undo@1", ", compensate: slow@1");
        row(&host, &[("a", undo), ("b", slow), ("c", undo), ("d", "")]).await;
        let id = host.start("w", json!({})).await;
        host.called("b/compensate", 1).await;

        let host = host.crash_and_restart().await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(60));

        let instance = host.settled(id).await;
        assert_eq!((instance.status, instance.error.unwrap().message.as_str()), (WorkflowStatus::Failed, "it broke"));
        assert_eq!(
            host.path(id).await[4..],
            ["c/compensate succeeded", "b/compensate succeeded", "a/compensate succeeded"]
        );
        assert_eq!(["c/compensate", "b/compensate", "a/compensate"].map(|step| host.calls(step).len()), [1, 2, 1]);
    }

    async fn a_canceled_instance_that_is_being_undone_goes_on_with_it_after_a_crash(host: TestHost) {
        host.stores_each_step().await;
        host.named(&["a"]).await;
        host.step("b", |_| Answer::Never).await;
        host.step("slow", |call| if call.info.attempt == 1 { Answer::Never } else { done() }).await;
        row(&host, &[("a", ", compensate: slow@1"), ("b", "")]).await;
        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;
        let request = CancelRequest { compensation: Compensation::Undo, ..CancelRequest::new("not wanted") };
        host.engine.cancel_workflow_with(id, request).await.unwrap();
        host.called("a/compensate", 1).await;

        let host = host.crash_and_restart().await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(60));

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Canceled);
        assert_eq!(host.path(id).await, ["a succeeded", "b canceled", "a/compensate succeeded"]);
    }

    async fn whoever_cancels_while_something_is_undone_ends_that_too(host: TestHost) {
        host.named(&["a"]).await;
        host.step("b", |_| fails("broken", "it broke")).await;
        host.step("stuck", |_| Answer::Never).await;
        row(&host, &[("a", ", compensate: stuck@1"), ("b", &format!(", {NEVER_AGAIN}"))]).await;
        let id = host.start("w", json!({})).await;
        host.called("a/compensate", 1).await;

        host.engine.cancel_workflow(id, "leave it").await.unwrap();

        let instance = host.settled(id).await;
        assert_eq!((instance.status, instance.error.unwrap().message.as_str()), (WorkflowStatus::Canceled, "leave it"));
        assert_eq!(host.path(id).await, ["a succeeded", "b failed", "a/compensate canceled"]);
    }

    /// Case 84.
    async fn cancel_takes_tasks_timers_and_callbacks_with_it_in_one_transaction(host: TestHost) {
        host.named(&["s"]).await;
        host.register_yaml(
            "w",
            "initial_step: s\nsteps:\n  s: { type: machine, component: s@1 }\n  h: { type: human }\n  t: { type: timer, duration: 1h \
             }\n  c: { type: webhook }\n  g: { type: parallel, steps: { x: { type: human } } }\nedges: [{ source: s, target: h }, { \
             source: s, target: t }, { source: s, target: c }, { source: s, target: g }]\n",
        )
        .await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        let before = host.engine.get_instance(id).await.unwrap().seq;

        host.engine.cancel_workflow(id, "not needed").await.unwrap();
        host.clock.advance(Duration::from_secs(7_200));
        host.cools().await;

        let instance = host.engine.get_instance(id).await.unwrap();
        assert_eq!((instance.status, instance.seq), (WorkflowStatus::Canceled, before + 1));
        let mut path = host.path(id).await;
        path.sort();
        assert_eq!(path, ["c canceled", "g canceled", "g/x canceled", "h canceled", "s succeeded", "t canceled"]);
        assert!(host.tasks(id).await.iter().all(|task| task.status == TaskStatus::Canceled));
    }
}
