//! Human tasks: what is kept, found and listed of them.

use std::sync::Arc;

use stepcell_model::record::TaskRecord;
use stepcell_model::status::TaskStatus;
use stepcell_model::transition::Transition;

use super::fixture::{after, at, full_task, group, instance, register, start, task, tenant, user};
use crate::{PageLimit, StoreError, TaskFilter, TaskPlace, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// The execution numbers of the listed tasks, and the total.
async fn list(store: &Arc<dyn WorkflowStore>, filter: TaskFilter) -> Result<(Vec<u32>, u64), StoreError> {
    let page = store.list_tasks(&filter).await?;
    Ok((page.items.iter().map(|task| task.execution.0).collect(), page.total))
}

/// Stores the tasks with an instance of their own.
async fn store_tasks(store: &Arc<dyn WorkflowStore>, tasks: Vec<TaskRecord>) -> Outcome {
    register(store).await?;
    store.commit(Transition { tasks, ..start(1) }).await.map(drop)
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_task_reads_back_with_every_field_and_is_replaced_by_id(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = Transition { tasks: vec![task(1, 1)], ..start(1) };
    store.commit(first.clone()).await?;
    assert_eq!(store.find_task(task(1, 1).id).await?, Some(task(1, 1)));

    let completed = TaskRecord { status: TaskStatus::Completed, ..full_task(1, 1) };
    store.commit(Transition { tasks: vec![completed.clone()], ..after(&first) }).await?;

    assert_eq!(store.find_task(completed.id).await?, Some(completed.clone()));
    assert_eq!(store.list_tasks(&TaskFilter::default()).await?.items, [completed]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn tasks_are_listed_by_due_time_and_those_without_last(store: Arc<dyn WorkflowStore>) -> Outcome {
    let due = |execution, ms: Option<i64>, created| TaskRecord {
        due_at: ms.map(at),
        created_at: at(created),
        ..task(1, execution)
    };
    let tasks = vec![due(1, None, 2), due(2, Some(20), 9), due(3, Some(10), 2), due(4, None, 1), due(5, Some(10), 1)];
    store_tasks(&store, tasks).await?;

    let page = |limit, offset| TaskFilter { limit: PageLimit::clamped(limit), offset, ..TaskFilter::default() };

    assert_eq!(list(&store, page(100, 0)).await?, (vec![5, 3, 2, 4, 1], 5));
    assert_eq!(list(&store, page(2, 1)).await?, (vec![3, 2], 5));
    assert_eq!(list(&store, page(2, 4)).await?, (vec![1], 5));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn tasks_are_walked_from_place_to_place_though_others_come(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let due = |instance, execution, ms: Option<i64>, created| TaskRecord {
        due_at: ms.map(at),
        created_at: at(created),
        ..task(instance, execution)
    };
    // The last three differ by nothing but their ids.
    let equal = [6, 7, 8].map(|execution| due(1, execution, None, 3));
    let mut ids = equal.clone().map(|task| (task.id, task.execution.0));
    ids.sort_unstable();
    let [sixth, seventh, eighth] = ids.map(|(_, execution)| execution);
    let others = [
        due(1, 1, Some(10), 1),
        due(1, 2, Some(10), 2),
        due(1, 3, Some(20), 1),
        due(1, 4, None, 1),
        due(1, 5, None, 2),
    ];
    let tasks = others.into_iter().chain(equal).collect();
    store.commit(Transition { tasks, ..start(1) }).await?;
    let page = async |after: Option<&TaskRecord>| {
        let filter =
            TaskFilter { after: after.map(TaskPlace::of), limit: PageLimit::clamped(2), ..TaskFilter::default() };
        let page = store.list_tasks(&filter).await?;
        let numbers = page.items.iter().map(|task| task.execution.0).collect::<Vec<_>>();
        Ok::<_, StoreError>((numbers, page.total, page.items.last().cloned()))
    };

    let (numbers, total, last) = page(None).await?;
    assert_eq!((numbers, total), (vec![1, 2], 8));
    store.commit(Transition { tasks: vec![due(2, 20, Some(5), 9), due(2, 21, Some(15), 9)], ..start(2) }).await?;
    let mut seen = Vec::new();
    let mut last = last;
    while let (numbers, 10, Some(next)) = page(last.as_ref()).await? {
        seen.extend(numbers);
        last = Some(next);
    }
    assert_eq!(seen, [21, 3, 4, 5, sixth, seventh, eighth]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn tasks_are_filtered_by_every_part(store: Arc<dyn WorkflowStore>) -> Outcome {
    let tasks = vec![
        TaskRecord { assignee: Some(user("ann")), due_at: Some(at(10)), ..task(1, 1) },
        TaskRecord { assignee: Some(user("bob")), group: Some(group("managers")), ..task(1, 2) },
        TaskRecord { group: Some(group("clerks")), due_at: Some(at(20)), ..task(1, 3) },
        TaskRecord { status: TaskStatus::Completed, due_at: Some(at(10)), ..task(1, 4) },
        TaskRecord { tenant: Some(tenant("acme")), ..task(1, 5) },
    ];
    store_tasks(&store, tasks).await?;
    store.commit(Transition { tasks: vec![TaskRecord { due_at: Some(at(90)), ..task(2, 6) }], ..start(2) }).await?;

    let all = TaskFilter::default;
    let cases = [
        (TaskFilter { instance: Some(instance(2)), ..all() }, vec![6]),
        (TaskFilter { assignee: Some(user("ann")), ..all() }, vec![1, 3, 4, 5, 6]),
        (TaskFilter { group: Some(group("managers")), ..all() }, vec![1, 2, 4, 5, 6]),
        (TaskFilter { assignee: Some(user("bob")), group: Some(group("clerks")), ..all() }, vec![3, 4, 5, 6]),
        (TaskFilter { status: Some(TaskStatus::Completed), ..all() }, vec![4]),
        (TaskFilter { status: Some(TaskStatus::Pending), ..all() }, vec![1, 2, 3, 5, 6]),
        (TaskFilter { overdue_at: Some(at(20)), ..all() }, vec![1]),
        (TaskFilter { overdue_at: Some(at(21)), ..all() }, vec![1, 3]),
        (TaskFilter { tenant: Some(tenant("acme")), ..all() }, vec![5]),
        (TaskFilter { tenant: Some(tenant("acme")), instance: Some(instance(2)), ..all() }, vec![]),
    ];
    for (filter, expected) in cases {
        let (mut found, total) = list(&store, filter.clone()).await?;
        found.sort_unstable();
        assert_eq!((found, total), (expected.clone(), expected.len() as u64), "{filter:?}");
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn only_pending_tasks_are_loaded_with_their_instance(store: Arc<dyn WorkflowStore>) -> Outcome {
    let completed = TaskRecord { status: TaskStatus::Completed, ..task(1, 1) };
    let canceled = TaskRecord { status: TaskStatus::Canceled, ..task(1, 3) };
    store_tasks(&store, vec![completed, task(1, 2), canceled]).await?;
    store.commit(Transition { tasks: vec![task(2, 1)], ..start(2) }).await?;

    let loaded = store.load_instance(instance(1)).await?.expect("the instance was stored");

    assert_eq!(loaded.tasks.into_values().collect::<Vec<_>>(), [task(1, 2)]);
    Ok(())
}
