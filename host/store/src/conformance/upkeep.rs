//! Chains over histories, and letting go of finished instances.

use std::sync::Arc;

use stepcell_model::chain::{ChainCheck, ChainHash, CheckedChain};
use stepcell_model::id::InstanceId;
use stepcell_model::instance::{Control, InstanceState};
use stepcell_model::record::{InstanceIdentity, MessageChange};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;

use super::fixture::{
    after, at, definition, execution, full_start, full_task, instance, key, letter, link_of, load, message, parent,
    register, running, start, start_as, tenant, workflow,
};
use crate::{KeptLink, PruneFilter, StoreError, WorkflowStore, check_chains};

type Outcome = Result<(), StoreError>;

/// The transition after `last`, with which its instance ends.
fn end(last: &Transition, status: WorkflowStatus, ended_at: Timestamp) -> Transition {
    let control = Control { executions: 1, ended: 1, ..Control::default() };
    let state = InstanceState { status, completed_at: Some(ended_at), control, ..running() };
    Transition { state, ..after(last) }
}

/// Starts an instance and ends it at a time.
async fn run(
    store: &Arc<dyn WorkflowStore>,
    number: u128,
    ended_at: Timestamp,
    change: impl FnOnce(&mut InstanceIdentity),
) -> Outcome {
    let first = start_as(number, change);
    store.commit(first.clone()).await?;
    store.commit(end(&first, WorkflowStatus::Completed, ended_at)).await.map(drop)
}

/// Everything that ended before a time.
fn ended_before(ended_before: Timestamp) -> PruneFilter {
    PruneFilter { ended_before, statuses: Vec::new(), workflow: None, tenant: None }
}

async fn prunable(store: &Arc<dyn WorkflowStore>, filter: &PruneFilter) -> Result<Vec<InstanceId>, StoreError> {
    Ok(store.list_prunable(filter, None, 100).await?.into_iter().map(|prunable| prunable.id).collect())
}

fn check(links: &[KeptLink]) -> CheckedChain {
    let last = links.last().expect("an instance has at least one link").head;
    let mut check = ChainCheck::new(last.instance);
    links.iter().filter_map(|kept| kept.link.as_ref()).for_each(|link| check.take(link));
    check.finish(&last)
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn each_transition_is_linked_to_the_one_before(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = full_start(1);
    let second = after(&first);
    let third = Transition { at: at(-7), ..after(&second) };
    let mut last = ChainHash::START;
    for transition in [first, second, third] {
        assert_eq!(transition.chain, last);
        last = link_of(&transition);
        assert_eq!(store.commit(transition).await?.chain, last);
        assert_eq!(load(&store, 1).await?.chain, last);
    }

    let links = store.list_links_of(instance(1), 0, 10).await?;
    let checked = check(&links);

    assert_eq!((checked.links, checked.head, checked.breaks), (3, Some(last), Vec::new()));
    assert_eq!(store.list_links_of(instance(1), 1, 1).await?, links[1..2]);
    let end = store.list_links_of(instance(1), 3, 10).await?;
    assert_eq!(end, [KeptLink { head: links[0].head, link: None }]);
    assert!(store.list_links_of(instance(2), 0, 10).await?.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn links_are_listed_instance_by_instance_and_page_by_page(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let firsts = [3, 1, 2].map(start);
    for first in &firsts {
        store.commit(first.clone()).await?;
    }
    let seconds = [after(&firsts[0]), after(&firsts[1])];
    for second in &seconds {
        store.commit(second.clone()).await?;
    }
    store.commit(after(&seconds[1])).await?;

    for limit in 1..=7 {
        let (mut place, mut found) = (None, Vec::new());
        loop {
            let page = store.list_links(place, limit).await?;
            assert!(page.len() <= limit as usize);
            let places = page.iter().filter_map(|kept| kept.link.as_ref()).map(|link| (link.instance, link.seq));
            found.extend(places);
            place = found.last().copied();
            if page.is_empty() {
                break;
            }
        }
        let all = [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2)].map(|(number, seq)| (instance(number), seq));
        assert_eq!(found, all, "{limit}");
    }
    let checked = check_chains(store.as_ref(), |_| {}).await?;
    assert_eq!((checked.instances, checked.links, checked.breaks), (3, 6, Vec::new()));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_finished_instance_goes_with_all_that_it_had(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let mut first = Transition { letters: Vec::new(), ..full_start(1) };
    Arc::make_mut(&mut first.identity).idempotency_key = Some("once".to_owned());
    let last = Transition {
        writes: [(key("more"), Some(serde_json::json!(1).into()))].into(),
        executions: vec![execution(2, 2)],
        tasks: vec![full_task(1, 3)],
        messages: vec![MessageChange::Kept(message(5))],
        ..end(&first, WorkflowStatus::Completed, at(50))
    };
    for transition in [first.clone(), last, start(2)] {
        store.commit(transition).await?;
    }

    let pruned = store.prune(&ended_before(at(51)), &[instance(1), instance(2), instance(3)]).await?;

    // Itself and its start, three context values, two of each of executions, tasks, messages and history.
    assert_eq!((pruned.instances, pruned.rows), (vec![instance(1)], 13));
    assert_eq!(store.find_instance(instance(1)).await?, None);
    assert!(store.load_instance(instance(1)).await?.is_none());
    assert!(store.load_context(instance(1)).await?.is_empty());
    assert!(store.list_executions(instance(1)).await?.is_empty());
    assert!(store.list_history(instance(1), 0, 10).await?.is_empty());
    assert!(store.list_links_of(instance(1), 0, 10).await?.is_empty());
    assert!(store.list_failed_executions(None).await?.is_empty());
    assert_eq!(store.list_tasks(&crate::TaskFilter::default()).await?.total, 0);
    assert_eq!(store.list_instances(&crate::InstanceFilter::default()).await?.total, 1);
    let again = Transition { seq: 1, ..start_as(7, |identity| identity.clone_from(&first.identity)) };
    store.commit(again).await?;
    assert_eq!(load(&store, 1).await?.seq, 1, "its id and its key are free");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn only_what_a_filter_matches_goes(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    store.insert_definition(definition("travel", "1.0.0")).await?;
    let travel = definition("travel", "1.0.0").id;
    run(&store, 1, at(10), |_| {}).await?;
    run(&store, 2, at(20), |identity| identity.tenant = Some(tenant("acme"))).await?;
    run(&store, 3, at(20), |identity| {
        (identity.definition, identity.workflow_name) = (travel, workflow("travel"));
    })
    .await?;
    for (number, status) in [(4, WorkflowStatus::Failed), (5, WorkflowStatus::Canceled)] {
        store.commit(start(number)).await?;
        store.commit(end(&start(number), status, at(20))).await?;
    }
    store.commit(start(6)).await?;

    let all = ended_before(at(21));
    let with = |statuses: &[WorkflowStatus]| PruneFilter { statuses: statuses.to_vec(), ..all.clone() };
    for (filter, found) in [
        (all.clone(), &[1, 2, 3, 4, 5][..]),
        (ended_before(at(20)), &[1]),
        (ended_before(at(10)), &[]),
        (with(&[WorkflowStatus::Failed]), &[4]),
        (with(&[WorkflowStatus::Canceled, WorkflowStatus::Completed]), &[1, 2, 3, 5]),
        (with(&[WorkflowStatus::Running, WorkflowStatus::Waiting]), &[]),
        (PruneFilter { workflow: Some(workflow("travel")), ..all.clone() }, &[3]),
        (PruneFilter { tenant: Some(tenant("acme")), ..all.clone() }, &[2]),
    ] {
        let found: Vec<_> = found.iter().copied().map(instance).collect();
        assert_eq!(prunable(&store, &filter).await?, found, "{filter:?}");
    }
    let page = store.list_prunable(&all, Some(instance(2)), 2).await?;
    assert_eq!(page.iter().map(|found| found.id).collect::<Vec<_>>(), [3, 4].map(instance));
    assert_eq!((&page[0].workflow, page[0].completed_at), (&workflow("travel"), at(20)));
    assert_eq!(page[1].status, WorkflowStatus::Failed);
    let everything = (1..=6).map(instance).collect::<Vec<_>>();
    let failed = store.prune(&with(&[WorkflowStatus::Failed]), &everything).await?;
    assert_eq!(failed.instances, [instance(4)], "whatever else is named");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_family_goes_only_once_all_of_it_is_finished(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let all = ended_before(at(100));
    let child_of = |of| move |identity: &mut InstanceIdentity| identity.parent = Some(parent(of, 1));
    // 1 runs and has a finished child, 2; 3 is finished and has a child that runs, 4.
    store.commit(start(1)).await?;
    run(&store, 2, at(10), child_of(1)).await?;
    run(&store, 3, at(10), |_| {}).await?;
    let child = start_as(4, child_of(3));
    store.commit(child.clone()).await?;

    assert!(prunable(&store, &all).await?.is_empty());
    let refused = store.prune(&all, &[2, 3].map(instance)).await?;
    assert_eq!((refused.instances.len(), refused.rows), (0, 0));

    store.commit(end(&start(1), WorkflowStatus::Failed, at(20))).await?;
    store.commit(end(&child, WorkflowStatus::Completed, at(20))).await?;
    store.commit(start(5)).await?;
    assert_eq!(prunable(&store, &all).await?, [1, 2, 3, 4].map(instance));
    store.prune(&all, &[instance(1)]).await?;
    assert_eq!(prunable(&store, &all).await?, [2, 3, 4].map(instance), "a child outlives its parent");
    assert_eq!(store.prune(&all, &[2, 3, 4].map(instance)).await?.instances.len(), 3);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn an_instance_stays_as_long_as_a_letter_is_about_it(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let all = ended_before(at(100));
    run(&store, 1, at(10), |_| {}).await?;
    store.commit(Transition { letters: vec![letter(1)], ..start(2) }).await?;

    assert!(store.prune(&all, &[instance(1)]).await?.instances.is_empty());

    let letters = store.list_letters(10).await?;
    store.remove_letters(&letters.iter().map(|(key, _)| *key).collect::<Vec<_>>()).await?;
    assert_eq!(store.prune(&all, &[instance(1)]).await?.instances, [instance(1)]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn no_position_is_given_twice_whatever_goes(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let all = ended_before(at(100));
    run(&store, 1, at(10), |_| {}).await?;
    run(&store, 2, at(10), |_| {}).await?;
    let newest = store.last_position().await?;

    assert_eq!(prunable(&store, &all).await?, [instance(1)], "2 has the newest row");
    let pruned = store.prune(&all, &[1, 2].map(instance)).await?;
    assert_eq!((pruned.instances, store.last_position().await?), (vec![instance(1)], newest));
    assert_eq!(store.commit(start(3)).await?.position, newest + 1);

    assert_eq!(store.prune(&all, &[instance(2)]).await?.instances, [instance(2)]);
    let after_what_went = store.list_history_after(1, 10).await?;
    assert_eq!(after_what_went.iter().map(|entry| entry.position).collect::<Vec<_>>(), [newest + 1]);
    Ok(())
}
