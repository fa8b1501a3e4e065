//! Lists of instances and executions.

use std::sync::Arc;

use stepcell_model::record::ExecutionRecord;
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_model::transition::Transition;

use super::fixture::{
    at, definition, execution, failure, instance, parent, register, start, start_as, tenant, user, with_status,
    workflow,
};
use crate::{InstanceFilter, PageLimit, StoreError, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// The numbers of the listed instances, and the total.
async fn list(store: &Arc<dyn WorkflowStore>, filter: InstanceFilter) -> Result<(Vec<u128>, u64), StoreError> {
    let page = store.list_instances(&filter).await?;
    Ok((page.items.iter().map(|summary| summary.identity.id.as_uuid().as_u128()).collect(), page.total))
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn instances_are_listed_newest_first_in_pages(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    for number in [2, 5, 1, 4, 3] {
        store.commit(start(number)).await?;
    }

    let page = |limit, offset| InstanceFilter { limit: PageLimit::clamped(limit), offset, ..InstanceFilter::default() };

    assert_eq!(list(&store, page(100, 0)).await?, (vec![5, 4, 3, 2, 1], 5));
    assert_eq!(list(&store, page(2, 0)).await?, (vec![5, 4], 5));
    assert_eq!(list(&store, page(2, 3)).await?, (vec![2, 1], 5));
    assert_eq!(list(&store, page(2, 4)).await?, (vec![1], 5));
    assert_eq!(list(&store, page(2, 9)).await?, (vec![], 5));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn instances_are_walked_from_place_to_place_though_others_are_started(
    store: Arc<dyn WorkflowStore>,
) -> Outcome {
    register(&store).await?;
    let acme = |number| start_as(number, |identity| identity.tenant = Some(tenant("acme")));
    for number in [10, 20, 30, 40, 50] {
        store.commit(acme(number)).await?;
    }
    store.commit(start(35)).await?;
    let page = |after: Option<u128>| InstanceFilter {
        after: after.map(instance),
        tenant: Some(tenant("acme")),
        limit: PageLimit::clamped(2),
        ..InstanceFilter::default()
    };

    assert_eq!(list(&store, page(None)).await?, (vec![50, 40], 5));
    store.commit(acme(60)).await?;
    assert_eq!(list(&store, page(Some(40))).await?, (vec![30, 20], 6));
    store.commit(acme(5)).await?;
    assert_eq!(list(&store, page(Some(20))).await?, (vec![10, 5], 7));
    assert_eq!(list(&store, page(Some(5))).await?, (vec![], 7));
    assert_eq!(list(&store, page(Some(33))).await?, (vec![30, 20], 7), "the place itself need not be there");
    assert_eq!(list(&store, InstanceFilter { offset: 1, ..page(Some(50)) }).await?, (vec![30, 20], 7));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn instances_are_filtered_by_every_part_at_once(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let other = definition("travel", "2.0.0");
    store.insert_definition(other.clone()).await?;
    let (acme, ann) = (tenant("acme"), user("ann"));
    for number in 1..=64_u128 {
        let bit = |bit: u32| (number - 1) >> bit & 1 == 1;
        let mut transition = start_as(number, |identity| {
            identity.tenant = bit(0).then(|| acme.clone());
            identity.created_by = bit(1).then(|| ann.clone());
            if bit(2) {
                identity.definition = other.id;
                identity.workflow_name = other.name.clone();
                identity.workflow_version = other.version.clone();
            }
            identity.correlation_id = bit(4).then(|| "order/17".to_owned());
            identity.parent = bit(5).then(|| parent(1, 1));
        });
        transition.state = with_status(if bit(3) { WorkflowStatus::Waiting } else { WorkflowStatus::Failed });
        store.commit(transition).await?;
    }

    let all = InstanceFilter::default;
    let waiting = vec![WorkflowStatus::Waiting, WorkflowStatus::Running];
    let cases = [
        (InstanceFilter { tenant: Some(acme.clone()), ..all() }, 32),
        (InstanceFilter { created_by: Some(ann.clone()), ..all() }, 32),
        (InstanceFilter { workflow: Some(workflow("travel")), ..all() }, 32),
        (InstanceFilter { statuses: waiting.clone(), ..all() }, 32),
        (InstanceFilter { correlation_id: Some("order/17".to_owned()), ..all() }, 32),
        (InstanceFilter { correlation_id: Some("order/1".to_owned()), ..all() }, 0),
        (InstanceFilter { parent: Some(instance(1)), ..all() }, 32),
        (InstanceFilter { parent: Some(instance(2)), ..all() }, 0),
        (InstanceFilter { statuses: vec![WorkflowStatus::Paused], ..all() }, 0),
        (InstanceFilter { workflow: Some(workflow("unknown")), ..all() }, 0),
        (InstanceFilter { tenant: Some(acme.clone()), created_by: Some(ann.clone()), ..all() }, 16),
    ];
    for (filter, total) in cases {
        assert_eq!(list(&store, filter.clone()).await?.1, total, "{filter:?}");
    }
    let every_part = InstanceFilter {
        workflow: Some(workflow("travel")),
        statuses: waiting,
        tenant: Some(acme),
        created_by: Some(ann),
        correlation_id: Some("order/17".to_owned()),
        parent: Some(instance(1)),
        ..all()
    };
    assert_eq!(list(&store, every_part).await?, (vec![64], 1));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn the_children_of_an_instance_are_listed_without_their_own(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    for (number, of) in [(1, None), (2, Some(1)), (3, Some(1)), (4, Some(2)), (5, None), (6, Some(1)), (7, Some(99))] {
        let child = start_as(number, |identity| identity.parent = of.map(|of| parent(of, 3)));
        store.commit(child).await?;
    }

    let of = |number| InstanceFilter { parent: Some(instance(number)), ..InstanceFilter::default() };

    assert_eq!(list(&store, of(1)).await?, (vec![6, 3, 2], 3));
    assert_eq!(list(&store, InstanceFilter { limit: PageLimit::clamped(1), offset: 1, ..of(1) }).await?, (vec![3], 3));
    assert_eq!(list(&store, of(2)).await?, (vec![4], 1));
    assert_eq!(list(&store, of(99)).await?, (vec![7], 1), "nobody asks whether the parent is there");
    assert_eq!(list(&store, of(4)).await?, (vec![], 0));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn executions_are_listed_in_the_order_of_their_end(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let open = |number| ExecutionRecord { ended_order: None, completed_at: None, ..execution(number, 0) };
    let executions = vec![open(5), execution(1, 3), execution(2, 1), open(3), execution(4, 2)];
    store.commit(Transition { executions, ..start(1) }).await?;
    store.commit(Transition { executions: vec![execution(1, 1)], ..start(2) }).await?;

    let listed = store.list_executions(instance(1)).await?;

    assert_eq!(listed.iter().map(|execution| execution.number.0).collect::<Vec<_>>(), [2, 4, 1, 3, 5]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn failed_executions_are_listed_latest_first(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let failed = |number, ms| ExecutionRecord {
        status: StepStatus::Failed,
        failure: Some(failure()),
        completed_at: Some(at(ms)),
        ..execution(number, number)
    };
    store.commit(Transition { executions: vec![failed(1, 10), execution(2, 2), failed(3, 30)], ..start(1) }).await?;
    store.commit(Transition { executions: vec![failed(1, 20)], ..start(2) }).await?;

    let all = store.list_failed_executions(None).await?;
    let of_one = store.list_failed_executions(Some(instance(1))).await?;

    assert_eq!(all, [(instance(1), failed(3, 30)), (instance(2), failed(1, 20)), (instance(1), failed(1, 10))]);
    assert_eq!(of_one, [(instance(1), failed(3, 30)), (instance(1), failed(1, 10))]);
    Ok(())
}
