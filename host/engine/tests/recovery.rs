//! The cases of crashes, restarts and many instances at once, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use stepcell_engine::{EngineError, StartRequest};
use stepcell_model::definition::{Jitter, WorkflowDefinition};
use stepcell_model::name::{StepName, TenantId, UserId, WorkflowName};
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_store::{InstanceFilter, PageLimit};
use tokio::sync::Notify;

use crate::kit::{Answer, TestHost, done, fails, returns, user, writes};

/// Registers `a`, `b` and `c` in a row; `b` has three attempts without a delay to speak of.
async fn a_b_c(host: &TestHost) {
    let definition = WorkflowDefinition::builder("abc", "1.0.0")
        .machine("a", "a@1")
        .machine_with("b", "b@1", |b| {
            b.retry.initial_delay = "1s".parse().unwrap();
            b.retry.jitter = Jitter::None;
        })
        .machine("c", "c@1")
        .edge("a", "b")
        .edge("b", "c")
        .build()
        .unwrap();
    host.register(definition).await;
}

async fn one_step(host: &TestHost, name: &str) {
    host.register(WorkflowDefinition::builder(name, "1.0.0").machine("a", "a@1").build().unwrap()).await;
}

on_every_store! {
    /// Case 89.
    async fn every_write_of_every_step_is_in_the_store_after_the_run(host: TestHost) {
        host.step("a", |_| Answer::Output(json!(1), vec![("one", json!(1)), ("both", json!("a"))])).await;
        host.step("b", |_| Answer::Output(json!(2), vec![("two", json!({"deep": [1]})), ("both", json!("b"))])).await;
        host.step("c", |_| writes("three", json!(null))).await;
        a_b_c(&host).await;

        for (data, kept) in [(json!(null), json!({})), (json!({}), json!({})), (json!({"x": 0}), json!({"x": 0}))] {
            let id = host.run("abc", data).await.identity.id;

            let mut expected = json!({"one": 1, "both": "b", "two": {"deep": [1]}, "three": null});
            expected.as_object_mut().unwrap().extend(kept.as_object().unwrap().clone());
            assert_eq!(host.context(id).await, expected);
        }
    }

    async fn what_runs_on_a_long_definition_goes_on_after_a_crash(host: TestHost) {
        let calls = AtomicUsize::new(0);
        host.step("a", move |_| if calls.fetch_add(1, Ordering::Relaxed) == 0 { Answer::Never } else { done() }).await;
        let pad = "x".repeat(100_000);
        host.register_yaml("long", &format!("initial_step: a\nsteps:\n  a: {{ type: machine, component: a@1, config: {{ pad: {pad} }} }}\n")).await;
        let id = host.start("long", json!({})).await;
        host.called("a", 1).await;

        let host = host.crash_and_restart().await;

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    }

    /// Case 90.
    async fn a_crash_during_a_step_counts_as_an_attempt_and_the_run_goes_on(host: TestHost) {
        host.stores_each_step().await;
        host.step("a", |_| writes("a", 1)).await;
        host.step("b", |call| if call.info.attempt == 1 { Answer::Never } else { returns("done") }).await;
        host.step("c", |_| done()).await;
        a_b_c(&host).await;
        let id = host.start("abc", json!({})).await;
        host.called("b", 1).await;

        let host = host.crash_and_restart().await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(1));

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["a succeeded", "b succeeded", "c succeeded"]);
        assert_eq!((host.calls("a").len(), host.calls("b").len()), (1, 2));
        assert_eq!(host.executions(id).await[1].attempts, 2);
        assert_eq!(host.context(id).await, json!({"a": 1}));
    }

    async fn a_step_that_takes_the_host_down_each_time_uses_up_its_attempts(host: TestHost) {
        host.stores_each_step().await;
        host.step("a", |_| done()).await;
        host.step("b", |_| Answer::Never).await;
        host.step("c", |_| done()).await;
        a_b_c(&host).await;
        let id = host.start("abc", json!({})).await;

        let mut host = host;
        // Nobody can tell that a pure step ran, so it is begun again three times more than its policy says.
        for attempt in 1..=6 {
            host.called("b", attempt).await;
            host = host.crash_and_restart().await;
        }

        let instance = host.settled(id).await;
        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.error.unwrap().code.as_str(), "engine.crashed");
        assert_eq!(host.calls("b").len(), 6);
        assert_eq!(host.executions(id).await[1].attempts, 6);
        assert_eq!(host.runner.hooks.lock().unwrap().len(), 1, "on-failure runs once all attempts are used up");
    }

    async fn an_on_failure_that_takes_the_host_down_is_not_begun_again(host: TestHost) {
        let (begun, seen) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (tell, count) = (Arc::clone(&begun), Arc::clone(&seen));
        let hook = move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            tell.notify_one();
            Answer::Never
        };
        host.step_with_hook("a", |_| fails("broken", "it broke"), hook).await;
        one_step(&host, "w").await;
        let id = host.start("w", json!({})).await;
        begun.notified().await;

        let host = host.crash_and_restart().await;

        let instance = host.settled(id).await;
        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.error.unwrap().code.as_str(), "broken", "the failure of the step, not of the hook");
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        assert_eq!(host.executions(id).await[0].status, StepStatus::Failed);
    }

    /// Case 91.
    async fn a_task_is_there_after_a_restart_and_completing_it_goes_on(host: TestHost) {
        host.step("a", |_| done()).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .human("h", |_| {})
            .machine("a", "a@1")
            .edge("h", "a")
            .build()
            .unwrap();
        host.register(definition).await;
        let id = host.run("w", json!({})).await.identity.id;

        let host = host.crash_and_restart().await;
        let tasks = host.tasks(id).await;
        let step = StepName::new("h").unwrap();
        host.engine.complete_human_task(id, &step, user("ada"), json!({"ok": 1}).into()).await.unwrap();

        assert_eq!(tasks.len(), 1);
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("a")[0].input.tree(), &json!({"ok": 1}));
    }

    async fn a_join_goes_on_after_a_restart_with_what_had_come_to_it(host: TestHost) {
        host.step("a", |call| returns(call.info.step.as_str())).await;
        host.step("b", |call| if call.info.attempt == 1 { Answer::Never } else { returns("b") }).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("s", "a@1")
            .machine("a", "a@1")
            .machine_with("b", "b@1", |b| b.retry.max_delay = "1s".parse().unwrap())
            .machine("j", "a@1")
            .edge("s", "a")
            .edge("s", "b")
            .edge("a", "j")
            .edge("b", "j")
            .build()
            .unwrap();
        host.register(definition).await;
        let mut told = host.told().await;
        let id = host.start("w", json!({})).await;
        host.called("b", 1).await;
        while !host.path(id).await.contains(&"a succeeded".to_owned()) {
            told.next().await.unwrap();
        }

        let host = host.crash_and_restart().await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(1));
        host.settled(id).await;

        assert_eq!(host.calls("j").len(), 1);
        assert_eq!(host.calls("j")[0].previous.as_ref().unwrap().tree(), &json!({"a": "a", "b": "b"}));
        let seen: Vec<_> = host.calls("j")[0].history.iter().map(|record| record.step.to_string()).collect();
        assert_eq!(seen, ["s", "a", "b"]);
    }

    /// Case 93.
    async fn a_hundred_concurrent_starts_all_complete(host: TestHost) {
        host.step("a", |call| writes("n", call.input.tree()["n"].clone())).await;
        host.step("b", |call| returns(call.context.get("n").unwrap().tree().clone())).await;
        host.step("c", |call| returns(call.input.tree().clone())).await;
        a_b_c(&host).await;

        let starts = (0..100).map(|n| {
            let engine = host.engine.clone();
            let request = StartRequest::new(WorkflowName::new("abc").unwrap()).with_data(json!({"n": n}));
            tokio::spawn(async move { engine.start_workflow(request).await.unwrap().identity.id })
        });
        for (n, start) in starts.collect::<Vec<_>>().into_iter().enumerate() {
            let id = start.await.unwrap();
            let instance = host.settled(id).await;
            assert_eq!(instance.status, WorkflowStatus::Completed);
            assert_eq!(instance.result.unwrap().tree(), &json!(n));
            assert_eq!(host.path(id).await, ["a succeeded", "b succeeded", "c succeeded"]);
        }

        let filter = InstanceFilter { statuses: vec![WorkflowStatus::Completed], ..InstanceFilter::default() };
        assert_eq!(host.engine.store().list_instances(&filter).await.unwrap().total, 100);
    }

    async fn no_more_attempts_run_at_once_than_there_is_room_for(host: TestHost) {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, running, peak) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
        host.step("a", move |_| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Answer::HoldAt(Arc::clone(&opened), Arc::clone(&running))
        })
        .await;
        one_step(&host, "w").await;
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(host.start("w", json!({})).await);
        }

        host.called("a", 8).await;
        gate.add_permits(20);
        for id in ids {
            assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        }

        assert_eq!(most.load(Ordering::SeqCst), 8);
        assert_eq!(host.calls("a").len(), 20);
    }

    /// Case 96.
    async fn instances_are_found_by_workflow_status_user_and_tenant_with_a_total(host: TestHost) {
        host.step("a", |call| if call.input.tree()["fail"] == true { fails("broken", "it broke") } else { done() }).await;
        one_step(&host, "w").await;
        one_step(&host, "v").await;
        for (workflow, tenant, by, fail) in [
            ("w", "acme", "ada", false),
            ("w", "acme", "bob", true),
            ("w", "initech", "ada", false),
            ("v", "initech", "ada", true),
        ] {
            let request = StartRequest {
                tenant: Some(TenantId::new(tenant).unwrap()),
                user: Some(UserId::new(by).unwrap()),
                ..StartRequest::new(WorkflowName::new(workflow).unwrap())
            };
            let id = host.engine.start_workflow(request.with_data(json!({"fail": fail}))).await.unwrap().identity.id;
            host.settled(id).await;
        }

        let of_w = InstanceFilter { workflow: Some(WorkflowName::new("w").unwrap()), ..InstanceFilter::default() };
        let failed = InstanceFilter { statuses: vec![WorkflowStatus::Failed], ..InstanceFilter::default() };
        let running = InstanceFilter { statuses: vec![WorkflowStatus::Running], ..InstanceFilter::default() };
        let of_acme = InstanceFilter { tenant: Some(TenantId::new("acme").unwrap()), ..InstanceFilter::default() };
        let by_ada = InstanceFilter { created_by: Some(UserId::new("ada").unwrap()), ..InstanceFilter::default() };
        let page = InstanceFilter { limit: PageLimit::clamped(2), offset: 3, ..InstanceFilter::default() };
        for (filter, items, total) in
            [(of_w, 3, 3), (failed, 2, 2), (running, 0, 0), (of_acme, 2, 2), (by_ada, 3, 3), (page, 1, 4)]
        {
            let found = host.engine.store().list_instances(&filter).await.unwrap();
            assert_eq!((found.items.len(), found.total), (items, total), "{filter:?}");
        }
        let failed = host.engine.store().list_failed_executions(None).await.unwrap();
        assert_eq!(failed.len(), 2);
        assert!(failed.iter().all(|(_, record)| record.failure.as_ref().unwrap().message == "it broke"));
    }

    /// Cases 82 and 84.
    async fn cancelling_interrupts_the_step_in_progress_and_nothing_starts_after(host: TestHost) {
        host.stores_each_step().await;
        host.step("a", |_| done()).await;
        host.step("b", |_| Answer::Never).await;
        host.step("c", |_| done()).await;
        a_b_c(&host).await;
        let id = host.start("abc", json!({})).await;
        host.called("b", 1).await;

        host.engine.cancel_workflow(id, "not needed").await.unwrap();

        let instance = host.settled(id).await;
        assert_eq!(instance.status, WorkflowStatus::Canceled);
        assert_eq!(instance.error.unwrap().message, "not needed");
        assert!(instance.completed_at.is_some());
        assert_eq!(host.path(id).await, ["a succeeded", "b canceled"]);
        assert!(host.calls("c").is_empty());
        let host = host.crash_and_restart().await;
        assert_eq!(host.path(id).await, ["a succeeded", "b canceled"]);
    }

    async fn a_canceled_step_gives_its_room_back(host: TestHost) {
        host.step("a", |call| if call.input.tree()["stay"] == true { Answer::Never } else { done() }).await;
        one_step(&host, "w").await;
        let mut stuck = Vec::new();
        for _ in 0..8 {
            stuck.push(host.start("w", json!({"stay": true})).await);
        }
        host.called("a", 8).await;
        let last = host.start("w", json!({})).await;

        for id in stuck {
            host.engine.cancel_workflow(id, "make room").await.unwrap();
        }

        assert_eq!(host.settled(last).await.status, WorkflowStatus::Completed);
    }

    /// Case 83.
    async fn cancelling_what_is_finished_is_refused_and_changes_nothing(host: TestHost) {
        host.step("a", |call| match call.input.tree()["way"].as_str() {
            Some("fail") => fails("broken", "it broke"),
            Some("stay") => Answer::Never,
            _ => done(),
        })
        .await;
        one_step(&host, "w").await;
        let canceled = host.start("w", json!({"way": "stay"})).await;
        host.engine.cancel_workflow(canceled, "first").await.unwrap();
        let completed = host.run("w", json!({})).await.identity.id;
        let failed = host.run("w", json!({"way": "fail"})).await.identity.id;

        for id in [canceled, completed, failed] {
            let before = host.engine.get_instance(id).await.unwrap();
            let error = host.engine.cancel_workflow(id, "second").await.unwrap_err();
            assert!(matches!(error, EngineError::AlreadyCompleted { .. }), "{error}");
            assert_eq!(host.engine.get_instance(id).await.unwrap(), before);
        }
    }
}
