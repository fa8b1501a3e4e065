//! History for whoever follows it: what a window has, where it ends, and that nothing falls between two.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::fixture::{after, definition, instance, register, start, start_as, tenant, workflow};
use crate::{HistoryFilter, HistoryWindow, StoreError, WINDOW_LEN_MAX, WorkflowStore};

type Outcome = Result<(), StoreError>;

fn of(name: &str) -> HistoryFilter {
    HistoryFilter { tenant: Some(tenant(name)), ..HistoryFilter::default() }
}

fn positions(window: &HistoryWindow) -> Vec<u64> {
    window.rows.iter().map(|row| row.entry.position).collect()
}

/// Six rows: instance 1 of acme has those at 1, 3 and 6, instance 2 of bolt that at 2, instance 3, nobody's and of another
/// workflow, those at 4 and 5.
async fn six_rows(store: &Arc<dyn WorkflowStore>) -> Outcome {
    register(store).await?;
    let other = definition("order", "1.0.0");
    let id = other.id;
    store.insert_definition(other).await?;
    let acme = start_as(1, |identity| identity.tenant = Some(tenant("acme")));
    let bolt = start_as(2, |identity| identity.tenant = Some(tenant("bolt")));
    let nobodys = start_as(3, |identity| {
        identity.definition = id;
        identity.workflow_name = workflow("order");
    });
    let second = after(&acme);
    let third = after(&second);
    for transition in [acme, bolt, second, nobodys.clone(), after(&nobodys), third] {
        store.commit(transition).await?;
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_window_has_the_rows_that_match_and_whose_they_are(store: Arc<dyn WorkflowStore>) -> Outcome {
    six_rows(&store).await?;
    let of_workflow = |name| HistoryFilter { workflow: Some(workflow(name)), ..HistoryFilter::default() };
    let of_instance = |number| HistoryFilter { instance: Some(instance(number)), ..HistoryFilter::default() };
    let (expense, order) = (of_workflow("expense"), of_workflow("order"));
    let cases = [
        (HistoryFilter::default(), vec![1, 2, 3, 4, 5, 6]),
        (of("acme"), vec![1, 3, 6]),
        (of("bolt"), vec![2]),
        (of("nobody"), vec![]),
        (expense.clone(), vec![1, 2, 3, 6]),
        (order.clone(), vec![4, 5]),
        (HistoryFilter { workflow: Some(workflow("expense")), ..of("bolt") }, vec![2]),
        (of_instance(1), vec![1, 3, 6]),
        (HistoryFilter { instance: Some(instance(1)), ..of("bolt") }, vec![]),
        (HistoryFilter { instance: Some(instance(3)), ..expense }, vec![]),
        (HistoryFilter { instance: Some(instance(3)), ..order }, vec![4, 5]),
        (of_instance(9), vec![]),
    ];

    let all = store.list_history_after(0, 10).await?;
    for (filter, expected) in cases {
        for position in 0..=6 {
            let window = store.list_window(&filter, position, 100).await?;
            let rest: Vec<_> = expected.iter().copied().filter(|at| *at > position).collect();
            assert_eq!(positions(&window), rest, "{filter:?} after {position}");
            assert_eq!(window.up_to, 6, "{filter:?} after {position}");
            assert!(window.rows.iter().all(|row| filter.fits(row) && all.contains(&row.entry)));
        }
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn whoever_goes_on_where_a_window_ends_misses_nothing(store: Arc<dyn WorkflowStore>) -> Outcome {
    six_rows(&store).await?;
    let of_instance = HistoryFilter { instance: Some(instance(1)), ..HistoryFilter::default() };
    for filter in [HistoryFilter::default(), of("acme"), of_instance] {
        let whole = positions(&store.list_window(&filter, 0, 100).await?);
        for limit in [0, 1, 2, 3] {
            let (mut told, mut position) = (Vec::new(), 0);
            loop {
                let window = store.list_window(&filter, position, limit).await?;
                assert!(window.rows.len() <= limit.max(1) as usize);
                told.extend(positions(&window));
                if window.up_to == position {
                    break;
                }
                position = window.up_to;
            }
            assert_eq!((told, position), (whole.clone(), 6));
        }
        for position in [6, 7, u64::MAX] {
            let beyond = store.list_window(&filter, position, 100).await?;
            assert_eq!((positions(&beyond), beyond.up_to), (vec![], position));
        }
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_window_passes_over_no_more_than_its_length(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let acme = start_as(1, |identity| identity.tenant = Some(tenant("acme")));
    store.commit(acme.clone()).await?;
    let mut others = JoinSet::new();
    for number in 0..=WINDOW_LEN_MAX {
        let store = Arc::clone(&store);
        others.spawn(async move { store.commit(start(u128::from(number) + 2)).await });
    }
    others.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    store.commit(after(&acme)).await?;
    let last = WINDOW_LEN_MAX + 3;

    let first = store.list_window(&of("acme"), 1, 100).await?;
    let second = store.list_window(&of("acme"), first.up_to, 100).await?;

    assert_eq!((positions(&first), first.up_to), (vec![], WINDOW_LEN_MAX + 1));
    assert_eq!((positions(&second), second.up_to), (vec![last], last));
    let of_instance = HistoryFilter { instance: Some(instance(1)), ..HistoryFilter::default() };
    assert_eq!(positions(&store.list_window(&of_instance, 1, 100).await?), [last], "however much happened to others");
    Ok(())
}
