//! Which results are loaded with an instance: one rule for every back end.

use std::collections::BTreeMap;

use stepcell_model::id::{ExecutionNumber, InstanceId};
use stepcell_model::instance::{Control, Phase};
use stepcell_model::json::Json;

use crate::error::StoreError;

/// What the executions that `control` refers to stand for, with the instance's own input where that is referred to.
///
/// `result_of` finds what an execution returned or, as long as it has not ended, what it was given. A reference to an
/// execution with neither is damage, but for one that stands for its own input, as a group does that runs: there may be
/// none.
pub(crate) fn referenced(
    instance: InstanceId,
    input: &Json,
    control: &Control,
    mut result_of: impl FnMut(ExecutionNumber) -> Option<Json>,
) -> Result<BTreeMap<ExecutionNumber, Json>, StoreError> {
    let mut results = BTreeMap::new();
    for number in control.referenced_results() {
        let result = if number == ExecutionNumber::INPUT { Some(input.clone()) } else { result_of(number) };
        match result {
            Some(result) => drop(results.insert(number, result)),
            None if stands_for_its_input(control, number) => {}
            None => {
                return Err(StoreError::damaged(format!(
                    "instance {instance} refers to the result of execution {number}, which has none"
                )));
            }
        }
    }
    Ok(results)
}

fn stands_for_its_input(control: &Control, number: ExecutionNumber) -> bool {
    let mut unfinished = control.active.iter().chain(&control.frontier);
    let does = |phase: &Phase| matches!(phase, Phase::RunningParts(_) | Phase::AwaitingChild { .. });
    unfinished.any(|active| active.number == number && does(&active.phase))
}
