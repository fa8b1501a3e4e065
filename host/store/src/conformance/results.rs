//! Which results are loaded with an instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use stepcell_model::id::ExecutionNumber;
use stepcell_model::instance::{Active, Control, Parts, Phase};
use stepcell_model::json::Json;
use stepcell_model::record::ExecutionRecord;
use stepcell_model::status::StepStatus;
use stepcell_model::transition::Transition;

use super::fixture::{active, after, execution, load, part_end, register, start};
use crate::{StoreError, WorkflowStore};

type Outcome = Result<(), StoreError>;
type Results = BTreeMap<ExecutionNumber, Json>;

fn returned(number: u32) -> (ExecutionNumber, Json) {
    (ExecutionNumber(number), json!({ "returned": number }).into())
}

fn given(number: u32) -> (ExecutionNumber, Json) {
    (ExecutionNumber(number), json!({ "given": number }).into())
}

/// An execution that runs, and was given something.
fn open(number: u32) -> ExecutionRecord {
    ExecutionRecord {
        status: StepStatus::Running,
        output: None,
        completed_at: None,
        ended_order: None,
        ..execution(number, 0)
    }
}

/// A group whose parts run, reached after execution 1.
fn group(number: u32, parts: Parts) -> Active {
    Active { phase: Phase::RunningParts(parts), ..active(number, &[(1, true)]) }
}

/// Stores the executions with an instance that is driven by `control`, and loads its results.
async fn results(
    store: &Arc<dyn WorkflowStore>,
    number: u128,
    executions: Vec<ExecutionRecord>,
    control: Control,
) -> Result<Results, StoreError> {
    register(store).await?;
    let mut transition = Transition { executions, ..start(number) };
    transition.state.control = control;
    store.commit(transition).await?;
    Ok(load(store, number).await?.results)
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn only_results_that_are_referred_to_are_loaded(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = start(1);
    store.commit(first.clone()).await?;
    let of_start = load(&store, 1).await?.results;

    let mut second = after(&first);
    second.executions = vec![execution(1, 1), execution(2, 2), execution(3, 3)];
    second.state.control = Control {
        executions: 4,
        ended: 3,
        active: vec![active(4, &[(3, true), (1, true), (2, false)])],
        ..Control::default()
    };
    store.commit(second).await?;
    let of_join = load(&store, 1).await?.results;

    assert_eq!(of_start, BTreeMap::from([(ExecutionNumber::INPUT, first.identity.input.clone())]));
    assert_eq!(of_join, BTreeMap::from([returned(1), returned(3)]));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn results_that_a_retry_or_an_undoing_needs_are_loaded(store: Arc<dyn WorkflowStore>) -> Outcome {
    let undoable = active(9, &[(1, true), (4, false)]).arrivals;
    let control = Control { undoable, frontier: vec![active(5, &[(3, true)])], ..Control::default() };
    let executions = (1..=4).map(|number| execution(number, number)).collect();

    let results = results(&store, 1, executions, control).await?;

    assert_eq!(results, BTreeMap::from([returned(1), returned(3)]));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_group_that_runs_stands_for_its_input(store: Arc<dyn WorkflowStore>) -> Outcome {
    let parts = Parts { total: 3, next: 2, ended: vec![part_end(3, true), part_end(4, false)], ..Parts::default() };
    let control = Control { active: vec![group(2, parts), active(5, &[(2, true)])], ..Control::default() };
    let without_result = ExecutionRecord { output: None, ..execution(4, 3) };
    let executions = vec![execution(1, 1), open(2), execution(3, 2), without_result, open(5)];

    let results = results(&store, 1, executions, control).await?;

    assert_eq!(results, BTreeMap::from([returned(1), given(2), returned(3)]));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_group_that_has_ended_stands_for_its_output(store: Arc<dyn WorkflowStore>) -> Outcome {
    let running = Control { active: vec![group(2, Parts::default())], ..Control::default() };
    let of_running = results(&store, 1, vec![execution(1, 1), open(2)], running).await?;

    let mut ended = after(&start(1));
    ended.executions = vec![execution(2, 2)];
    ended.state.control = Control { active: vec![active(3, &[(2, true)])], ..Control::default() };
    store.commit(ended).await?;

    assert_eq!(of_running, BTreeMap::from([returned(1), given(2)]));
    assert_eq!(load(&store, 1).await?.results, BTreeMap::from([returned(2)]));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_group_that_nothing_came_to_has_no_result_and_is_no_damage(store: Arc<dyn WorkflowStore>) -> Outcome {
    let control = || Control { active: vec![group(2, Parts::default())], ..Control::default() };
    let without_input = ExecutionRecord { input: None, ..open(2) };

    let of_recorded = results(&store, 1, vec![execution(1, 1), without_input], control()).await?;
    let of_unrecorded = results(&store, 2, vec![execution(1, 1)], control()).await?;

    assert_eq!(of_recorded, BTreeMap::from([returned(1)]));
    assert_eq!(of_unrecorded, BTreeMap::from([returned(1)]));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_result_that_is_missing_is_damage(store: Arc<dyn WorkflowStore>) -> Outcome {
    let without_output = ExecutionRecord { output: None, ..execution(1, 1) };
    let without_input = ExecutionRecord { input: None, ..open(1) };
    let after_first = active(2, &[(1, true)]);
    let cases = [
        (vec![], after_first.clone()),
        (vec![without_output.clone()], after_first.clone()),
        (vec![without_input], after_first),
        (vec![without_output, open(2)], group(2, Parts::default())),
    ];
    for (number, (executions, active)) in (1..).zip(cases) {
        let control = Control { active: vec![active], ..Control::default() };

        let outcome = results(&store, number, executions, control).await;

        assert!(matches!(outcome, Err(StoreError::Damaged { .. })), "loading case {number} came to {outcome:?}");
    }
    Ok(())
}
