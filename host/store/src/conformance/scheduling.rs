//! What a scheduler asks: what runs, what is due, whether somebody else wrote.

use std::sync::Arc;

use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::Transition;

use super::fixture::{after, at, instance, register, start, with_status};
use crate::{StoreError, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// Starts an instance with a status and a time to be looked at.
fn waking(number: u128, status: WorkflowStatus, wake_at_ms: Option<i64>) -> Transition {
    let mut transition = start(number);
    transition.state = with_status(status);
    transition.state.wake_at = wake_at_ms.map(at);
    transition
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn running_instances_are_listed_by_id(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    for (number, status) in (1..).zip(WorkflowStatus::ALL.iter().chain(&[WorkflowStatus::Running; 3])) {
        store.commit(waking(number, *status, None)).await?;
    }
    store.commit(after(&start(9))).await?;
    let stopped = Transition { state: with_status(WorkflowStatus::Waiting), ..after(&start(8)) };
    store.commit(stopped).await?;

    let of = |number, seq| (instance(number), seq);

    assert_eq!(store.list_running(None, 10).await?, [of(2, 1), of(9, 2), of(10, 1)]);
    assert_eq!(store.list_running(None, 2).await?, [of(2, 1), of(9, 2)]);
    assert_eq!(store.list_running(Some(instance(2)), 10).await?, [of(9, 2), of(10, 1)]);
    assert!(store.list_running(Some(instance(10)), 10).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn due_instances_are_listed_the_longest_waiting_first(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    for (number, wake_at_ms) in [(1, Some(30)), (2, Some(10)), (3, None), (4, Some(20)), (5, Some(10))] {
        store.commit(waking(number, WorkflowStatus::Waiting, wake_at_ms)).await?;
    }
    assert_eq!(store.next_wake().await?, Some(at(10)));

    let all = [(at(10), instance(2)), (at(10), instance(5)), (at(20), instance(4)), (at(30), instance(1))];
    assert!(store.list_due(at(9), None, 10).await?.is_empty());
    assert_eq!(store.list_due(at(20), None, 10).await?, all[..3]);
    assert_eq!(store.list_due(at(99), None, 2).await?, all[..2]);
    for (index, last) in all.into_iter().enumerate() {
        assert_eq!(store.list_due(at(99), Some(last), 10).await?, all[index + 1..]);
    }

    for number in [2, 5] {
        let awake = waking(number, WorkflowStatus::Running, None);
        store.commit(Transition { state: awake.state.clone(), ..after(&awake) }).await?;
    }
    assert_eq!(store.list_due(at(20), None, 10).await?, [(at(20), instance(4))]);
    assert_eq!(store.next_wake().await?, Some(at(20)));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn an_instance_that_is_finished_or_paused_is_never_due(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let numbered = || (1..).zip(WorkflowStatus::ALL);
    for (number, status) in numbered() {
        let first = waking(number, WorkflowStatus::Waiting, Some(10));
        store.commit(first.clone()).await?;
        let second = Transition { state: waking(number, *status, Some(10)).state, ..after(&first) };
        store.commit(second).await?;
    }

    let due = store.list_due(at(10), None, 10).await?;

    let may_move = numbered().filter(|(_, status)| !status.is_finished() && **status != WorkflowStatus::Paused);
    let may_move = may_move.map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(due, may_move.iter().map(|number| (at(10), instance(*number))).collect::<Vec<_>>());
    assert_eq!(store.next_wake().await?, Some(at(10)));

    for number in may_move {
        let paused = waking(number, WorkflowStatus::Paused, Some(10));
        store.commit(Transition { seq: 3, ..paused }).await?;
    }
    assert!(store.list_due(at(10), None, 10).await?.is_empty());
    assert_eq!(store.next_wake().await?, None);
    Ok(())
}
