//! Whatever two do to one instance at once, exactly one of them is first: history says who, and the other is told so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use stepcell_engine::{EngineError, EngineOptions, StepRunner, WorkflowEngine};
use stepcell_model::audit::{Kept, audit};
use stepcell_model::definition::{HumanStep, WorkflowDefinition};
use stepcell_model::history::Event;
use stepcell_model::id::InstanceId;
use stepcell_model::record::TaskRecord;
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_store::LIST_LEN_MAX;
use tokio::sync::Barrier;

use crate::kit::{TestHost, user};

/// How many races of each kind.
const RACES: usize = 1_000;

/// How many of them are run at once.
const AT_ONCE: usize = 50;

/// Who was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    One,
    Other,
}

/// Who of two was first; exactly one was.
fn first<T: std::fmt::Debug>(one: &Result<T, EngineError>, other: &Result<T, EngineError>) -> First {
    match (one, other) {
        (Ok(_), Err(_)) => First::One,
        (Err(_), Ok(_)) => First::Other,
        both => panic!("exactly one is first: {both:?}"),
    }
}

async fn review(host: &TestHost, change: impl FnOnce(&mut HumanStep)) {
    host.register(WorkflowDefinition::builder("review", "1.0.0").human("h", change).build().unwrap()).await;
}

/// An engine of somebody else on the same store: it knows nothing of what this one does.
fn beside(host: &TestHost) -> WorkflowEngine {
    let clock = Arc::clone(&host.clock) as Arc<dyn stepcell_engine::Clock>;
    let options = EngineOptions { concurrency: 1, clock, ..EngineOptions::default() };
    WorkflowEngine::new(host.store(), Arc::clone(&host.runner) as Arc<dyn StepRunner>, options)
}

/// Instances that wait for their person.
async fn tasks(host: &TestHost) -> Vec<TaskRecord> {
    let starts = (0..AT_ONCE).map(|_| async {
        let id = host.run("review", json!({})).await.identity.id;
        host.tasks(id).await.remove(0)
    });
    join_all(starts).await
}

/// Lets two do something at once.
async fn race<T: Send + 'static>(
    one: impl Future<Output = T> + Send + 'static,
    other: impl Future<Output = T> + Send + 'static,
) -> (T, T) {
    let line = Arc::new(Barrier::new(2));
    let begins = Arc::clone(&line);
    let one = tokio::spawn(async move {
        begins.wait().await;
        one.await
    });
    let other = tokio::spawn(async move {
        line.wait().await;
        other.await
    });
    (one.await.unwrap(), other.await.unwrap())
}

/// What happened to an instance that has ended; everything that is kept of it fits together.
async fn events(host: &TestHost, id: InstanceId) -> Vec<Event> {
    let store = host.store();
    let instance = store.load_instance(id).await.unwrap().unwrap();
    let history = store.list_history(id, 0, LIST_LEN_MAX).await.unwrap();
    let (executions, tasks) = (host.executions(id).await, host.tasks(id).await);
    let kept = Kept { instance: &instance, history: &history, executions: &executions, tasks: &tasks, plan: None };
    assert_eq!(audit(&kept), []);
    history.into_iter().flat_map(|entry| entry.events).collect()
}

fn count(events: &[Event], is_it: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| is_it(event)).count()
}

on_every_store! {
    async fn of_two_who_complete_a_task_one_is_first_and_the_other_is_told(host: TestHost) {
        review(&host, |_| {}).await;
        let (one, other) = (host.engine.clone(), beside(&host));

        for _ in 0..RACES / AT_ONCE {
            let races = tasks(&host).await.into_iter().map(|task| {
                let (one, other, id) = (one.clone(), other.clone(), task.id);
                async move {
                    let told = race(
                        async move { one.complete_task(id, user("ada"), json!({"by": "ada"}).into(), None).await },
                        async move { other.complete_task(id, user("bob"), json!({"by": "bob"}).into(), None).await },
                    );
                    (task, told.await)
                }
            });
            for (task, (ada, bob)) in join_all(races).await {
                let (winner, lost) = match first(&ada, &bob) {
                    First::One => ("ada", bob),
                    First::Other => ("bob", ada),
                };
                let is_told = |error: &EngineError| {
                    matches!(error, EngineError::TaskAlreadyCompleted { status: TaskStatus::Completed, .. })
                };
                assert!(lost.as_ref().is_err_and(is_told), "{lost:?}");
                let record = host.tasks(task.instance).await.remove(0);
                assert_eq!(record.completed_by.unwrap().as_str(), winner);
                assert_eq!(host.context(task.instance).await, json!({"by": winner}));
                let told = events(&host, task.instance).await;
                let is_winner = |event: &Event| matches!(event, Event::TaskCompleted { user, .. } if user.as_str() == winner);
                assert_eq!((count(&told, is_winner), count(&told, |event| matches!(event, Event::TaskCompleted { .. }))), (1, 1));
            }
        }
    }

    async fn of_a_cancel_and_a_completion_one_is_first_and_the_other_is_told(host: TestHost) {
        review(&host, |_| {}).await;
        let (one, other) = (host.engine.clone(), beside(&host));

        for round in 0..RACES / AT_ONCE {
            // Whoever does not drive is some way behind: it is now this one, now that one.
            let (cancels, completes) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
            let races = tasks(&host).await.into_iter().map(|task| {
                let (cancels, completes, id, instance) = (cancels.clone(), completes.clone(), task.id, task.instance);
                async move {
                    let told = race(
                        async move { cancels.cancel_workflow(instance, "not needed").await },
                        async move { completes.complete_task(id, user("ada"), json!({}).into(), None).await },
                    );
                    (task, told.await)
                }
            });
            for (task, (canceled, completed)) in join_all(races).await {
                let status = host.engine.get_instance(task.instance).await.unwrap().status;
                let told = events(&host, task.instance).await;
                let ends = (
                    count(&told, |event| matches!(event, Event::WorkflowCanceled { .. })),
                    count(&told, |event| matches!(event, Event::TaskCompleted { .. })),
                );
                match first(&canceled, &completed) {
                    First::One => {
                        assert_eq!((status, ends), (WorkflowStatus::Canceled, (1, 0)));
                        let error = completed.unwrap_err();
                        assert!(
                            matches!(error, EngineError::TaskAlreadyCompleted { status: TaskStatus::Canceled, .. }),
                            "{error}"
                        );
                    }
                    First::Other => {
                        assert_eq!((status, ends), (WorkflowStatus::Completed, (0, 1)));
                        let error = canceled.unwrap_err();
                        assert!(
                            matches!(error, EngineError::AlreadyCompleted { status: WorkflowStatus::Completed, .. }),
                            "{error}"
                        );
                    }
                }
            }
        }
    }

    async fn of_a_time_out_and_a_completion_one_is_first_and_the_other_is_told(host: TestHost) {
        review(&host, |step| step.timeout = Some("1m".parse().unwrap())).await;
        let other = beside(&host);

        for round in 0..RACES / AT_ONCE {
            let tasks = tasks(&host).await;
            let completes = if round % 2 == 0 { host.engine.clone() } else { other.clone() };
            let clock = Arc::clone(&host.clock);
            let (line, begins) = (Arc::new(Barrier::new(2)), tasks.clone());
            let starts = Arc::clone(&line);
            let completions = tokio::spawn(async move {
                starts.wait().await;
                let complete = |task: TaskRecord| {
                    let completes = completes.clone();
                    async move { completes.complete_task(task.id, user("ada"), json!({}).into(), None).await }
                };
                join_all(begins.into_iter().map(complete)).await
            });
            line.wait().await;
            clock.advance(Duration::from_secs(60));

            for (task, completed) in tasks.into_iter().zip(completions.await.unwrap()) {
                let status = host.settled(task.instance).await.status;
                let told = events(&host, task.instance).await;
                let is_completed = count(&told, |event| matches!(event, Event::TaskCompleted { .. }));
                let is_canceled = count(&told, |event| matches!(event, Event::TaskCanceled { .. }));
                match completed {
                    Ok(()) => assert_eq!((status, is_completed, is_canceled), (WorkflowStatus::Completed, 1, 0)),
                    Err(EngineError::TaskAlreadyCompleted { status: TaskStatus::Canceled, .. }) => {
                        assert_eq!((status, is_completed, is_canceled), (WorkflowStatus::Failed, 0, 1));
                    }
                    Err(error) => panic!("whoever is late is told so: {error}"),
                }
            }
        }
    }
}
