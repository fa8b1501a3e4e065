//! The append-only record: of one instance and of all.

use std::sync::Arc;

use stepcell_model::attempt::{AttemptTrace, LogLevel, LogLine};
use stepcell_model::expression::ValueRead;
use stepcell_model::failure::InstanceError;
use stepcell_model::history::{EdgeDecision, Event, Hook};
use stepcell_model::id::ExecutionNumber;
use stepcell_model::status::StepType;
use stepcell_model::transition::Transition;

use super::fixture::{after, at, failure, group, instance, key, register, start, step, user};
use crate::{StoreError, WorkflowStore};

type Outcome = Result<(), StoreError>;

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn history_is_read_in_order_and_after_a_number(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let mut last = start(1);
    store.commit(last.clone()).await?;
    store.commit(start(2)).await?;
    for _ in 2..=5 {
        last = after(&last);
        store.commit(last.clone()).await?;
    }

    let numbers = async |after_seq, limit| {
        let entries = store.list_history(instance(1), after_seq, limit).await?;
        assert!(entries.iter().all(|entry| entry.instance == instance(1)));
        Ok::<_, StoreError>(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>())
    };

    assert_eq!(numbers(0, 10).await?, [1, 2, 3, 4, 5]);
    assert_eq!(numbers(2, 10).await?, [3, 4, 5]);
    assert_eq!(numbers(1, 2).await?, [2, 3]);
    assert!(numbers(5, 10).await?.is_empty());
    assert!(numbers(u64::MAX, 10).await?.is_empty());
    assert_eq!(store.list_history(instance(1), 1, 1).await?[0].at, at(1));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn positions_grow_over_all_instances(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    assert_eq!(store.last_position().await?, 0);
    let first = start(1);
    let mut committed = Vec::new();
    for transition in [first.clone(), start(2), after(&first), start(3)] {
        committed.push(store.commit(transition).await?.position);
    }
    assert!(store.commit(first).await.is_err());
    assert_eq!(store.last_position().await?, 4);

    let all = store.list_history_after(0, 10).await?;

    assert_eq!(committed, [1, 2, 3, 4]);
    assert_eq!(all.iter().map(|entry| entry.position).collect::<Vec<_>>(), committed);
    let instances = [1, 2, 1, 3].map(instance);
    assert_eq!(all.iter().map(|entry| entry.instance).collect::<Vec<_>>(), instances);
    assert_eq!(store.list_history_after(1, 2).await?, all[1..3]);
    assert!(store.list_history_after(4, 10).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn events_read_back_as_they_were_told(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let (execution, at_step) = (ExecutionNumber(3), step("review"));
    let task = execution.task_id(instance(1));
    let line = LogLine { level: LogLevel::Warn, message: "half \"done\"".to_owned(), fields: failure().details };
    let trace = Some(AttemptTrace { log: vec![line], log_lines_dropped: 7, ..AttemptTrace::default() });
    let read = vec![ValueRead { path: "context.amount".to_owned(), value: "\"ü\"".to_owned() }];
    let events = vec![
        Event::WorkflowStarted { user: Some(user("ann")) },
        Event::WorkflowFailed { error: InstanceError::of_step(&at_step, &failure()) },
        Event::WorkflowCanceled { reason: "no longer needed".to_owned(), by: Some(user("ann")) },
        Event::StepActivated {
            execution,
            step: at_step.clone(),
            step_type: StepType::Human,
            from: Some(ExecutionNumber(2)),
            with: Vec::new(),
            edge: Some(1),
            part_of: Some(ExecutionNumber(1)),
            item: Some(0),
        },
        Event::StepFailed { execution, step: at_step.clone(), attempt: 2, failure: failure(), trace: trace.clone() },
        Event::HookEnded {
            execution,
            step: at_step.clone(),
            hook: Hook::OnFailure,
            failure: Some(failure()),
            wrote: vec![key("amount")],
            trace,
        },
        Event::EdgesDecided {
            execution,
            step: at_step.clone(),
            edges: vec![EdgeDecision { edge: 0, target: step("pay"), taken: true, read }],
        },
        Event::TaskCreated {
            task,
            execution,
            step: at_step.clone(),
            assignee: Some(user("ann")),
            group: Some(group("managers")),
        },
        Event::TaskCompleted { task, step: at_step, user: user("bob"), comment: Some("fine".to_owned()) },
    ];

    store.commit(Transition { events: events.clone(), ..start(1) }).await?;

    assert_eq!(store.list_history(instance(1), 0, 1).await?[0].events, events);
    assert_eq!(store.list_history_after(0, 1).await?[0].events, events);
    Ok(())
}
