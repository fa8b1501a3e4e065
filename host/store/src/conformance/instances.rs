//! What a commit promises, and what is read back of an instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use stepcell_model::id::{DefinitionId, ExecutionNumber};
use stepcell_model::json::Json;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::Transition;
use uuid::Uuid;

use super::fixture::{
    after, all_letters, at, execution, full_start, instance, key, load, message, register, start, start_as, task,
    tenant, with_status,
};
use crate::{InstanceFilter, StoreError, TaskFilter, WorkflowStore};

type Outcome = Result<(), StoreError>;

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn an_instance_reads_back_with_every_field(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let written = full_start(1);

    store.commit(written.clone()).await?;
    let read = load(&store, 1).await?;

    assert_eq!(read.identity, written.identity);
    assert_eq!(read.identity.input.text(), written.identity.input.text(), "the text is kept to the letter");
    assert_eq!(read.seq, 1);
    assert_eq!(read.state, written.state);
    let context = written.writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    assert_eq!(*read.context, context);
    assert_eq!(store.load_context(instance(1)).await?, context);
    let output = written.executions[0].output.clone().expect("the execution has a result");
    assert_eq!(read.results, BTreeMap::from([(ExecutionNumber(1), output)]));
    assert_eq!(read.tasks, BTreeMap::from([(ExecutionNumber(2), written.tasks[0].clone())]));
    assert_eq!(read.messages, BTreeMap::from([(4, message(4))]));
    assert_eq!(store.find_instance(instance(1)).await?, Some(read.summary()));
    assert_eq!(store.list_executions(instance(1)).await?, written.executions);
    assert_eq!(store.list_letters(10).await?.into_iter().map(|(_, letter)| letter).collect::<Vec<_>>(), all_letters());
    assert_eq!(store.find_task(written.tasks[0].id).await?.as_ref(), Some(&written.tasks[0]));
    assert_eq!(store.list_history(instance(1), 0, 10).await?[0].events, written.events);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn an_instance_is_read_as_of_its_last_transition(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = full_start(1);
    store.commit(first.clone()).await?;

    let mut second = Transition { state: with_status(WorkflowStatus::Completed), ..after(&first) };
    second.state.current_step = None;
    second.executions = vec![execution(1, 1)];
    store.commit(second.clone()).await?;

    let read = load(&store, 1).await?;
    assert_eq!((read.seq, &read.state), (2, &second.state));
    assert_eq!(read.identity, first.identity);
    assert_eq!(store.list_executions(instance(1)).await?, second.executions, "the row was replaced");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_is_not_there_is_none_or_empty(store: Arc<dyn WorkflowStore>) -> Outcome {
    let unknown = instance(404);

    assert!(store.load_instance(unknown).await?.is_none());
    assert!(store.find_instance(unknown).await?.is_none());
    assert!(store.find_task(ExecutionNumber(1).task_id(unknown)).await?.is_none());
    assert!(store.load_context(unknown).await?.is_empty());
    assert!(store.list_executions(unknown).await?.is_empty());
    assert!(store.list_failed_executions(Some(unknown)).await?.is_empty());
    assert!(store.list_history(unknown, 0, 10).await?.is_empty());
    assert!(store.list_history_after(0, 10).await?.is_empty());
    assert_eq!(store.list_instances(&InstanceFilter::default()).await?.total, 0);
    assert_eq!(store.list_tasks(&TaskFilter::default()).await?.total, 0);
    assert!(store.list_running(None, 10).await?.is_empty());
    assert!(store.list_due(at(0), None, 10).await?.is_empty());
    assert_eq!(store.next_wake().await?, None);
    assert!(store.list_letters(10).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_stale_transition_is_refused_and_changes_nothing(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = start(1);
    store.commit(first.clone()).await?;
    store.commit(after(&first)).await?;

    for (seq, found, number) in [(1, 2, 1), (2, 2, 1), (4, 2, 1), (2, 0, 9), (0, 2, 1)] {
        let mut stale = Transition { seq, ..full_start(number) };
        stale.tasks = vec![task(number, 2)];
        match store.commit(stale).await {
            Err(StoreError::Stale { instance: id, expected, found: told }) => {
                assert_eq!((id, expected, told), (instance(number), seq.saturating_sub(1), found), "transition {seq}");
            }
            other => panic!("transition {seq} of instance {number} came to {other:?}"),
        }
    }

    let read = load(&store, 1).await?;
    assert_eq!((read.seq, &read.state), (2, &first.state));
    assert!(read.context.is_empty() && read.tasks.is_empty());
    assert!(store.list_executions(instance(1)).await?.is_empty());
    assert!(store.load_instance(instance(9)).await?.is_none());
    assert_eq!(store.list_history_after(0, 10).await?.len(), 2);
    assert_eq!(store.list_tasks(&TaskFilter::default()).await?.total, 0);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_second_start_with_the_same_key_names_the_first(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let with_key = |number| start_as(number, |identity| identity.idempotency_key = Some("once".to_owned()));
    store.commit(with_key(1)).await?;

    let second = store.commit(with_key(2)).await;

    assert!(
        matches!(second, Err(StoreError::DuplicateStart { existing }) if existing == instance(1)),
        "the second start came to {second:?}"
    );
    assert!(store.find_instance(instance(2)).await?.is_none());
    assert_eq!(store.list_history_after(0, 10).await?.len(), 1);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn tenants_do_not_share_idempotency_keys(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let tenants = [None, Some(tenant("acme")), Some(tenant("bolt"))];
    for (number, tenant) in (1..).zip(tenants) {
        let transition = start_as(number, |identity| {
            identity.idempotency_key = Some("once".to_owned());
            identity.tenant = tenant;
        });
        store.commit(transition).await?;
    }

    assert_eq!(store.list_instances(&InstanceFilter::default()).await?.total, 3);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_start_on_an_unknown_definition_is_refused(store: Arc<dyn WorkflowStore>) -> Outcome {
    let unknown = DefinitionId::from_uuid(Uuid::from_u128(404));

    let outcome = store.commit(start_as(1, |identity| identity.definition = unknown)).await;

    assert!(
        matches!(outcome, Err(StoreError::UnknownDefinition { definition }) if definition == unknown),
        "the start came to {outcome:?}"
    );
    assert!(store.find_instance(instance(1)).await?.is_none());
    Ok(())
}

/// Commits all at once and returns what each came to, in order.
async fn commit_all(
    store: &Arc<dyn WorkflowStore>,
    transitions: impl IntoIterator<Item = Transition>,
) -> Vec<Result<crate::Committed, StoreError>> {
    let commit = |transition| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.commit(transition).await })
    };
    let tasks = transitions.into_iter().map(commit).collect::<Vec<_>>();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.expect("a commit does not panic"));
    }
    outcomes
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn many_instances_are_committed_at_once(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let firsts = (1..=200).map(start).collect::<Vec<_>>();

    for outcome in commit_all(&store, firsts.clone()).await {
        outcome?;
    }
    let mut positions = Vec::new();
    for outcome in commit_all(&store, firsts.iter().map(after)).await {
        positions.push(outcome?.position);
    }

    positions.sort_unstable();
    assert_eq!(positions, (201..=400).collect::<Vec<_>>(), "each history row has a place of its own");
    assert_eq!(store.list_running(None, 1_000).await?, (1..=200).map(|n| (instance(n), 2)).collect::<Vec<_>>());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_refused_transition_takes_no_neighbour_with_it(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let transitions = (1..=100).map(|number| match number % 10 {
        0 => Transition { seq: 7, ..start(number) },
        _ => start(number),
    });

    let outcomes = commit_all(&store, transitions).await;

    for (number, outcome) in (1..).zip(outcomes) {
        match outcome {
            Err(StoreError::Stale { .. }) => assert_eq!(number % 10, 0, "instance {number}"),
            outcome => assert!(outcome.is_ok() && number % 10 != 0, "instance {number} came to {outcome:?}"),
        }
    }
    assert_eq!(store.list_instances(&InstanceFilter::default()).await?.total, 90);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn of_racing_transitions_exactly_one_wins(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = start(1);
    store.commit(first.clone()).await?;

    let outcomes = commit_all(&store, std::iter::repeat_n(after(&first), 20)).await;

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(load(&store, 1).await?.seq, 2);
    assert_eq!(store.list_history(instance(1), 0, 100).await?.len(), 2);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn context_values_are_replaced_and_removed(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let value = |text: &str| -> Json { json!(text).into() };
    let mut first = start(1);
    first.writes = ["kept", "replaced", "removed"].map(|name| (key(name), Some(value("old")))).into();
    store.commit(first.clone()).await?;

    let mut second = after(&first);
    second.writes = [(key("replaced"), Some(value("new"))), (key("removed"), None), (key("never there"), None)].into();
    store.commit(second).await?;

    let context = BTreeMap::from([(key("kept"), value("old")), (key("replaced"), value("new"))]);
    assert_eq!(store.load_context(instance(1)).await?, context);
    assert_eq!(*load(&store, 1).await?.context, context);
    Ok(())
}
