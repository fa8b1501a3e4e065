//! The transition function against an interpreter that is too plain to be wrong in the same way.
//!
//! Both are given one definition and one script: which execution ends next, and how, and when somebody cancels or
//! retries the instance. After every move both must show the same executions at the same places, with what came to
//! each, the same ends in the same order with the same results, and the same status.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod interpreter;
#[path = "../kit/mod.rs"]
mod kit;
#[path = "../language/moves.rs"]
mod moves;
mod parts;
#[path = "../language/shapes.rs"]
mod shapes;

use proptest::prelude::*;
use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::ExecutionNumber;
use stepcell_model::instance::Phase;
use stepcell_model::json::Json;
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_model::transition::{Cause, Compensation};

use crate::interpreter::{End, Interpreter, Kind, Place};
use crate::kit::Run;
use crate::moves::{How, next_of};
use crate::shapes::{Edges, Extent, data, definition};

/// What a script does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// One of the executions that have begun ends.
    Ends(u8, How),
    /// Somebody cancels the instance, or what is being undone of it.
    Canceled(Compensation),
}

/// What both must agree on.
#[derive(Debug, PartialEq)]
struct Shown {
    status: WorkflowStatus,
    /// Those that have not ended, oldest first, whether they wait in a join, and what came to them.
    active: Vec<(usize, String, Joining, Option<Value>)>,
    /// Those that have, in the order of their ends, with what they returned.
    ended: Vec<(usize, String, StepStatus, Option<Value>)>,
    failed_at: Option<String>,
    result: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    Yes,
    No,
}

fn script() -> impl Strategy<Value = Vec<Move>> {
    let how = prop_oneof![8 => Just(How::Well), 2 => Just(How::FailsForGood), 1 => Just(How::Skips)];
    let cancel = prop_oneof![Just(Compensation::None), Just(Compensation::Undo)];
    let one = prop_oneof![
        60 => (any::<u8>(), how).prop_map(|(which, how)| Move::Ends(which, how)),
        1 => cancel.prop_map(Move::Canceled),
    ];
    prop::collection::vec(one, 0..60)
}

fn tree(json: Option<&Json>) -> Option<Value> {
    json.map(|json| json.tree().clone())
}

fn model_shows(run: &Run) -> Shown {
    let state = &run.instance.state;
    let joining = |phase: &Phase| if *phase == Phase::Joining { Joining::Yes } else { Joining::No };
    let active = state.control.active.iter().map(|one| {
        let came = tree(run.instance.previous_result(one).as_ref());
        (one.number.0 as usize, one.step.to_string(), joining(&one.phase), came)
    });
    let mut records: Vec<_> = run.records.values().filter(|record| record.ended_order.is_some()).collect();
    records.sort_by_key(|record| record.ended_order);
    let ended =
        records.iter().map(|one| (one.number.0 as usize, one.step.to_string(), one.status, tree(one.output.as_ref())));
    Shown {
        status: state.status,
        active: active.collect(),
        ended: ended.collect(),
        failed_at: state
            .current_step
            .as_ref()
            .filter(|_| state.status == WorkflowStatus::Failed)
            .map(ToString::to_string),
        result: tree(state.result.as_ref()),
    }
}

fn interpreter_shows(interpreter: &Interpreter<'_>) -> Shown {
    let joining = |place| if place == Place::AtItsJoin { Joining::Yes } else { Joining::No };
    let active = interpreter.active().map(|number| {
        let one = interpreter.of(number);
        (number, one.step.clone(), joining(one.place), interpreter.previous(number))
    });
    let ended = interpreter.ends.iter().map(|number| match interpreter.of(*number) {
        one if let Place::Ended(status) = one.place => (*number, one.step.clone(), status, one.result.clone()),
        one => panic!("execution {number} has not ended: {one:?}"),
    });
    let status = interpreter.status();
    Shown {
        status,
        active: active.collect(),
        ended: ended.collect(),
        failed_at: interpreter.failed_at.clone().filter(|_| status == WorkflowStatus::Failed),
        result: interpreter.result.clone(),
    }
}

/// Lets an execution end in the model, over everything that has to happen for it, and says how it ended.
fn end(run: &mut Run, number: usize, how: How) -> End {
    let execution = ExecutionNumber(u32::try_from(number).unwrap());
    while let Some(active) = run.instance.state.control.find_active(execution).cloned() {
        run.tell(next_of(run, &active, how).unwrap()).unwrap();
    }
    let record = &run.records[&execution];
    match record.status {
        StepStatus::Succeeded => End::Succeeds(json!({record.step.as_str(): number})),
        StepStatus::Skipped => End::Skips,
        _ => End::Fails,
    }
}

/// Drives both by one script; after it everything succeeds, the oldest first. A failed instance is retried while
/// there is a script.
fn agree(definition: &WorkflowDefinition, script: &[Move]) -> Result<(), TestCaseError> {
    let mut run = Run::with(definition.clone(), data());
    let mut interpreter = Interpreter::start(definition, data());
    let mut story = Vec::new();
    for index in 0_usize.. {
        prop_assert_eq!(model_shows(&run), interpreter_shows(&interpreter), "model and rules, after {:?}", story);
        if run.status() == WorkflowStatus::Failed && index < script.len() {
            let told = run.tell(Cause::Retried { from: None, by: None });
            let rules = interpreter.retry();
            prop_assert_eq!(told.is_ok(), rules.is_ok(), "{:?} and {:?}", told, rules);
            if told.is_ok() {
                story.push("retried".to_owned());
                continue;
            }
        }
        if run.status().is_finished() {
            return Ok(());
        }
        match script.get(index).copied().unwrap_or(Move::Ends(0, How::Well)) {
            Move::Canceled(compensation) => {
                let told = run.tell(Cause::Canceled { reason: "enough".into(), by: None, compensation });
                let is_refused = interpreter.undoing.is_some() && compensation == Compensation::Undo;
                prop_assert_eq!(told.is_err(), is_refused);
                if told.is_ok() {
                    interpreter.cancel(compensation);
                }
                story.push(format!("canceled {compensation:?}"));
            }
            Move::Ends(which, how) => {
                let is_leaf = |number: &usize| {
                    let one = interpreter.of(*number);
                    one.place == Place::Inside && matches!(interpreter.kind(&one.step), Kind::Leaf(_))
                };
                let begun: Vec<_> = interpreter.active().filter(is_leaf).collect();
                let number = begun[usize::from(which) % begun.len()];
                let how = end(&mut run, number, how);
                story.push(format!("{number} {how:?}"));
                interpreter.end(number, how);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_instance_moves_as_the_rules_say_whatever_ends_in_whatever_order(
        definition in definition(Extent::Timeless, Edges::Any), script in script()
    ) {
        agree(&definition.0, &script)?;
    }
}
