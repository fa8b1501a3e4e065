//! The transition function against an interpreter that is too plain to be wrong in the same way.
//!
//! Both are given one definition and one script: which execution ends next, and how. After every move both must show
//! the same executions at the same places, the same ends in the same order, and the same status.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod interpreter;
#[path = "../kit/mod.rs"]
mod kit;

use proptest::prelude::*;
use serde_json::json;
use stepcell_model::attempt::{AttemptOutcome, AttemptTrace, ContextWrites, HookReport};
use stepcell_model::definition::{GatewayMode, Outcome, StepDefinition, WorkflowDefinition};
use stepcell_model::id::ExecutionNumber;
use stepcell_model::instance::Phase;
use stepcell_model::json::Json;
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_model::transition::Cause;

use crate::interpreter::{End, Interpreter, Place};
use crate::kit::{Run, fails_for_good, report, user};

/// Executions that one instance may have here: enough to turn in a loop a few times.
const ITERATIONS: u32 = 25;

/// What a step of a generated definition is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Machine,
    Human,
    Gateway(GatewayMode),
}

/// An edge of a generated definition.
#[derive(Clone, Copy, Debug)]
struct Way {
    source: usize,
    target: usize,
    taken: Taken,
    outcome: Outcome,
}

/// When an edge is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Always,
    IfTrue,
    IfFalse,
    ByDefault,
}

/// A definition in numbers: steps, the way by which each but the first is reached from an earlier one, more ways, and
/// which steps are named as terminal.
#[derive(Clone, Debug)]
struct Shape {
    kinds: Vec<Kind>,
    first_ways: Vec<Way>,
    ways: Vec<Way>,
    terminal: Option<usize>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let kind = prop_oneof![
        4 => Just(Kind::Machine),
        2 => Just(Kind::Human),
        1 => Just(Kind::Gateway(GatewayMode::Exclusive)),
        1 => Just(Kind::Gateway(GatewayMode::Inclusive)),
        2 => Just(Kind::Gateway(GatewayMode::Parallel)),
    ];
    (1..9_usize).prop_flat_map(move |len| {
        let first = (1..len).map(|target| way(0..target, target..target + 1)).collect::<Vec<_>>();
        let terminal = prop::option::weighted(0.2, 0..len);
        (prop::collection::vec(kind.clone(), len), first, prop::collection::vec(way(0..len, 0..len), 0..9), terminal)
            .prop_map(|(kinds, first_ways, ways, terminal)| Shape { kinds, first_ways, ways, terminal })
    })
}

fn way(sources: std::ops::Range<usize>, targets: std::ops::Range<usize>) -> impl Strategy<Value = Way> {
    let taken = prop_oneof![
        6 => Just(Taken::Always),
        2 => Just(Taken::IfTrue),
        2 => Just(Taken::IfFalse),
        1 => Just(Taken::ByDefault),
    ];
    let outcome = prop_oneof![4 => Just(Outcome::Success), 1 => Just(Outcome::Failure)];
    (sources, targets, taken, outcome).prop_map(|(source, target, taken, outcome)| Way {
        source,
        target,
        taken,
        outcome,
    })
}

fn name(step: usize) -> String {
    format!("s{step}")
}

/// The definition of a shape; none if the shape breaks a rule of definitions, such as a second default edge.
fn definition_of(shape: &Shape) -> Option<WorkflowDefinition> {
    let mut builder = WorkflowDefinition::builder("test", "1.0.0").iterations(ITERATIONS);
    for (step, kind) in shape.kinds.iter().enumerate() {
        builder = match kind {
            Kind::Machine => builder.machine(&name(step), "a@1"),
            Kind::Human => builder.human(&name(step), |_| {}),
            Kind::Gateway(mode) => builder.gateway(&name(step), *mode),
        };
    }
    for way in shape.first_ways.iter().chain(&shape.ways) {
        let is_machine = matches!(shape.kinds[way.source], Kind::Machine);
        builder = builder.edge_with(&name(way.source), &name(way.target), |edge| {
            // Machine steps alone can fail.
            let edge = if is_machine { edge.on(way.outcome) } else { edge };
            match way.taken {
                Taken::Always => edge,
                Taken::IfTrue => edge.when("true"),
                Taken::IfFalse => edge.when("false"),
                Taken::ByDefault => edge.by_default(),
            }
        });
    }
    if let Some(terminal) = shape.terminal {
        // Every step without a way out has to be named then.
        let leaves = |step: &usize| shape.first_ways.iter().chain(&shape.ways).any(|way| way.source == *step);
        for step in (0..shape.kinds.len()).filter(|step| *step == terminal || !leaves(step)) {
            builder = builder.terminal(&name(step));
        }
    }
    builder.build().ok()
}

/// Lets an execution end in the model, over everything that has to happen for it.
fn tell(run: &mut Run, number: usize, end: End) {
    let execution = ExecutionNumber(u32::try_from(number).unwrap());
    let active = run.instance.state.control.active.iter().find(|active| active.number == execution).unwrap();
    if let Phase::AwaitingTask { task, .. } = active.phase {
        let cause = Cause::TaskCompleted { task, actor: user("ada"), data: json!({}).into(), comment: None };
        return run.tell(cause).unwrap();
    }
    let outcome = match end {
        End::Succeeds => AttemptOutcome::Succeeded(json!(number).into()),
        End::Skips => AttemptOutcome::Skipped,
        End::Fails => fails_for_good(),
    };
    run.tell(Cause::AttemptStarted { execution }).unwrap();
    run.tell(Cause::AttemptEnded { execution, input: Json::null(), report: report(outcome) }).unwrap();
    if end == End::Fails {
        let report = HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() };
        run.tell(Cause::FailureHookStarted { execution }).unwrap();
        run.tell(Cause::FailureHookEnded { execution, input: None, report }).unwrap();
    }
}

/// What both must agree on.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    status: WorkflowStatus,
    /// Those that have not ended, oldest first, and whether they wait in a join.
    active: Vec<(usize, String, Joining)>,
    /// Those that have, in the order of their ends.
    ended: Vec<(usize, String, StepStatus)>,
    failed_at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    Yes,
    No,
}

fn model_shows(run: &Run) -> Shown {
    let state = &run.instance.state;
    let joining = |phase: &Phase| if *phase == Phase::Joining { Joining::Yes } else { Joining::No };
    let active = state.control.active.iter();
    let mut records: Vec<_> = run.records.values().filter(|record| record.ended_order.is_some()).collect();
    records.sort_by_key(|record| record.ended_order);
    Shown {
        status: state.status,
        active: active.map(|one| (one.number.0 as usize, one.step.to_string(), joining(&one.phase))).collect(),
        ended: records.iter().map(|one| (one.number.0 as usize, one.step.to_string(), one.status)).collect(),
        failed_at: state.error.as_ref().map(|_| state.current_step.as_ref().unwrap().to_string()),
    }
}

fn interpreter_shows(interpreter: &Interpreter<'_>) -> Shown {
    let joining = |place| if place == Place::AtItsJoin { Joining::Yes } else { Joining::No };
    let active = interpreter.active().map(|number| (number, interpreter.of(number)));
    let ended = interpreter.ends.iter().map(|number| (*number, interpreter.of(*number)));
    Shown {
        status: interpreter.status(),
        active: active.map(|(number, one)| (number, one.step.clone(), joining(one.place))).collect(),
        ended: ended
            .map(|(number, one)| match one.place {
                Place::Ended(status) => (number, one.step.clone(), status),
                _ => panic!("execution {number} has not ended"),
            })
            .collect(),
        failed_at: interpreter.failed_at.clone(),
    }
}

/// Drives both by one script. Each number says which execution ends next and how; after the numbers, the oldest
/// succeeds.
fn agree(definition: &WorkflowDefinition, script: &[u16]) -> Result<(), TestCaseError> {
    let mut run = Run::of(definition.clone());
    let mut interpreter = Interpreter::start(definition);
    let mut story = Vec::new();
    for index in 0_usize.. {
        prop_assert_eq!(model_shows(&run), interpreter_shows(&interpreter), "model and rules, after {:?}", story);
        let begun: Vec<_> = interpreter.active().filter(|n| interpreter.of(*n).place == Place::Inside).collect();
        if begun.is_empty() {
            return Ok(());
        }
        let choice = usize::from(script.get(index).copied().unwrap_or(0));
        let number = begun[choice / 8 % begun.len()];
        let is_machine = matches!(definition.steps[interpreter.of(number).step.as_str()], StepDefinition::Machine(_));
        let end = match choice % 8 {
            1 if is_machine => End::Fails,
            2 if is_machine => End::Skips,
            _ => End::Succeeds,
        };
        story.push((number, end));
        tell(&mut run, number, end);
        interpreter.end(number, end);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_instance_moves_as_the_rules_say_whatever_ends_in_whatever_order(
        shape in shape().prop_filter_map("no definition", |shape| definition_of(&shape)),
        script in prop::collection::vec(any::<u16>(), 0..60),
    ) {
        agree(&shape, &script)?;
    }
}
