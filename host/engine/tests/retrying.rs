//! The cases of retries and time-outs, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepcell_model::attempt::StepCall;
use stepcell_model::definition::{Jitter, MachineStep, Outcome, WorkflowDefinition};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::InstanceId;
use stepcell_model::status::WorkflowStatus;
use tokio::sync::Notify;

use crate::kit::{Answer, START, TestHost, done, fails, fails_for_now, returns};

/// A policy of so many attempts, each wait as long as it can be: 1 s, 2 s, 4 s.
fn attempts(machine: &mut MachineStep, max: u32) {
    machine.retry.max_attempts = max;
    machine.retry.initial_delay = "1s".parse().unwrap();
    machine.retry.jitter = Jitter::None;
}

/// Registers a workflow of one step, `a`, with so many attempts.
async fn one_step(host: &TestHost, max: u32) {
    let definition =
        WorkflowDefinition::builder("w", "1.0.0").machine_with("a", "a@1", |a| attempts(a, max)).build().unwrap();
    host.register(definition).await;
}

fn fails_until(attempt: u32) -> impl Fn(StepCall) -> Answer {
    move |call| if call.info.attempt < attempt { fails_for_now("busy") } else { returns(call.info.attempt) }
}

/// Lets the retry delay pass that an instance waits in, and waits until the step was called that many times.
async fn pass(host: &TestHost, id: InstanceId, seconds: u64, calls: usize) {
    host.waits(id).await;
    host.clock.advance(Duration::from_secs(seconds));
    host.called("a", calls).await;
}

fn times_out() -> Answer {
    Answer::Fail(Failure::engine(EngineCode::Timeout, "it ran longer than 5s"))
}

on_every_store! {
    /// Case 87.
    async fn success_on_the_third_attempt_completes_the_run_and_history_has_every_attempt(host: TestHost) {
        host.step("a", fails_until(3)).await;
        one_step(&host, 3).await;

        let id = host.start("w", json!({})).await;
        pass(&host, id, 1, 2).await;
        pass(&host, id, 2, 3).await;
        let instance = host.settled(id).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(instance.result.unwrap().tree(), &json!(3));
        assert_eq!(host.executions(id).await[0].attempts, 3);
        let tries: Vec<_> = host.events(id).await.into_iter().filter(|event| event.starts_with("step_")).collect();
        assert_eq!(
            tries,
            [
                "step_activated", "step_started", "step_retry_scheduled", "step_started", "step_retry_scheduled",
                "step_started", "step_completed"
            ]
        );
        let execution = host.calls("a")[0].info.execution;
        assert!(host.calls("a").iter().all(|call| call.info.execution == execution), "one key for every attempt");
    }

    async fn a_retry_does_not_begin_before_its_delay_is_over(host: TestHost) {
        host.step("a", fails_until(2)).await;
        one_step(&host, 3).await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        host.clock.advance(Duration::from_millis(999));
        let due = host.engine.store().next_wake().await.unwrap();
        let early = host.calls("a").len();
        host.clock.advance(Duration::from_millis(1));
        host.settled(id).await;

        assert_eq!(due, Some(START.after(Duration::from_secs(1))));
        assert_eq!((early, host.calls("a").len()), (1, 2));
    }

    async fn attempts_that_are_used_up_fail_the_instance_with_the_last_failure(host: TestHost) {
        host.step("a", |call| Answer::Fail(Failure::from_guest("busy", format!("try {}", call.info.attempt), true))).await;
        one_step(&host, 2).await;

        let id = host.start("w", json!({})).await;
        pass(&host, id, 1, 2).await;
        let instance = host.settled(id).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.error.unwrap().message, "try 2");
        assert_eq!(host.runner.hooks.lock().unwrap().len(), 1);
        assert_eq!(host.engine.store().next_wake().await.unwrap(), None);
    }

    async fn a_failure_that_is_not_retryable_is_not_tried_again(host: TestHost) {
        host.step("a", |_| fails("broken", "it broke")).await;
        one_step(&host, 3).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(host.calls("a").len(), 1);
    }

    async fn a_wait_that_the_step_asked_for_is_respected(host: TestHost) {
        host.step("a", |call| match call.info.attempt {
            1 => Answer::Fail(Failure { retry_after_ms: Some(90_000), ..Failure::from_guest("busy", "later".into(), true) }),
            _ => done(),
        })
        .await;
        one_step(&host, 3).await;

        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        let due = host.engine.store().next_wake().await.unwrap();
        host.clock.advance(Duration::from_secs(90));

        assert_eq!(due, Some(START.after(Duration::from_secs(90))));
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    }

    async fn full_jitter_waits_at_most_the_whole_delay(host: TestHost) {
        host.step("a", |_| fails_for_now("busy")).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine_with("a", "a@1", |a| a.retry.initial_delay = "10s".parse().unwrap())
            .build()
            .unwrap();
        host.register(definition).await;

        let mut delays = Vec::new();
        for _ in 0..10 {
            let id = host.start("w", json!({})).await;
            host.waits(id).await;
            let history = host.engine.store().list_history(id, 0, 100).await.unwrap();
            let events = history.iter().flat_map(|entry| &entry.events);
            let retries = events.filter_map(|event| match event {
                stepcell_model::history::Event::StepRetryScheduled { retry_at, .. } => Some(*retry_at),
                _ => None,
            });
            // A wait of nothing is one, too: then there is another attempt, and its own delay, by now.
            delays.extend(retries.take(1).map(|retry_at| retry_at.since(START)));
        }

        assert_eq!(delays.len(), 10);
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(10)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]), "they are spread: {delays:?}");
    }

    async fn a_retry_delay_survives_a_restart(host: TestHost) {
        host.step("a", fails_until(2)).await;
        one_step(&host, 3).await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        let host = host.crash_and_restart().await;
        let before = host.engine.get_instance(id).await.unwrap().status;
        host.clock.advance(Duration::from_secs(1));

        assert_eq!(before, WorkflowStatus::Waiting);
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("a").len(), 2);
        assert_eq!(host.executions(id).await[0].attempts, 2);
    }

    async fn a_retry_that_came_due_while_the_host_was_down_begins_at_once(host: TestHost) {
        host.step("a", fails_until(2)).await;
        one_step(&host, 3).await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        host.engine.abandon();
        host.clock.advance(Duration::from_secs(3_600));
        let host = host.crash_and_restart().await;

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("a").len(), 2);
    }

    async fn waiting_until_settled_waits_through_retry_delays(host: TestHost) {
        host.step("a", fails_until(3)).await;
        one_step(&host, 3).await;
        let id = host.start("w", json!({})).await;
        let (engine, settled) = (host.engine.clone(), Arc::new(Notify::new()));
        let told = Arc::clone(&settled);
        let waiting = tokio::spawn(async move {
            let instance = engine.wait_until_settled(id).await.unwrap();
            told.notify_one();
            instance
        });

        pass(&host, id, 1, 2).await;
        host.waits(id).await;
        let too_early = waiting.is_finished();
        host.clock.advance(Duration::from_secs(2));

        settled.notified().await;
        assert!(!too_early);
        assert_eq!(waiting.await.unwrap().status, WorkflowStatus::Completed);
    }

    async fn cancelling_ends_a_retry_delay_for_ever(host: TestHost) {
        host.step("a", |_| fails_for_now("busy")).await;
        one_step(&host, 3).await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        host.engine.cancel_workflow(id, "enough").await.unwrap();

        assert_eq!(host.engine.store().next_wake().await.unwrap(), None);
        assert_eq!(host.path(id).await, ["a canceled"]);
    }

    /// Case 88.
    async fn a_time_out_is_tried_again_and_then_takes_its_own_edge(host: TestHost) {
        host.step("a", |_| times_out()).await;
        host.step("b", |call| returns(call.context.get("a").unwrap().tree()["code"].clone())).await;
        host.step("c", |_| done()).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine_with("a", "a@1", |a| {
                attempts(a, 2);
                a.timeout = Some("5s".parse().unwrap());
            })
            .machine("b", "b@1")
            .machine("c", "c@1")
            .edge_with("a", "c", |edge| edge.on(Outcome::Failure))
            .edge_with("a", "b", |edge| edge.on(Outcome::Timeout))
            .build()
            .unwrap();
        host.register(definition).await;

        let id = host.start("w", json!({})).await;
        pass(&host, id, 1, 2).await;
        let instance = host.settled(id).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["a failed", "b succeeded"]);
        assert_eq!(instance.result.unwrap().tree(), "engine.timeout");
        let call = &host.calls("a")[0];
        assert_eq!(call.limits.timeout, Some(Duration::from_secs(5)));
        assert_eq!(call.info.deadline, Some(START.after(Duration::from_secs(5))));
    }

    /// Case 88.
    async fn a_time_out_without_an_edge_of_its_own_takes_the_one_for_failures(host: TestHost) {
        host.step("a", |_| times_out()).await;
        host.step("c", |_| done()).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine_with("a", "a@1", |a| attempts(a, 1))
            .machine("c", "c@1")
            .edge_with("a", "c", |edge| edge.on(Outcome::Failure))
            .build()
            .unwrap();
        host.register(definition).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(host.path(instance.identity.id).await, ["a failed", "c succeeded"]);
    }
}
