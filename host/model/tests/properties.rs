//! What holds of every definition, in whatever order things happen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use stepcell_model::attempt::{AttemptOutcome, AttemptTrace, ContextWrites, HookReport};
use stepcell_model::definition::{Edge, GatewayMode, Outcome, RetryPolicy, WorkflowDefinition};
use stepcell_model::id::ExecutionNumber;
use stepcell_model::instance::Phase;
use stepcell_model::json::Json;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::{Cause, Compensation, advance};

use crate::kit::{Run, fails_for_good, fails_for_now, report, user, writes};

/// Executions that one instance may have here.
const ITERATIONS: u32 = 25;

/// Moves after which an instance must have ended: far more than its executions and their attempts can take.
const MOVES_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Machine,
    Human,
    Gateway(GatewayMode),
}

/// A definition in numbers. Every step but the first has a way to it from an earlier one, so all are reachable.
#[derive(Clone, Debug)]
struct Shape {
    kinds: Vec<Kind>,
    /// For each step but the first: the earlier step that leads to it.
    parents: Vec<usize>,
    /// More edges: from, to, which condition, whether it is for failures.
    edges: Vec<(usize, usize, u8, bool)>,
}

/// Which edges a shape may have.
#[derive(Clone, Copy, Debug)]
enum Edges {
    /// Any, with conditions that may all fail, and back to earlier steps.
    Any,
    /// Only onward, and each way out is sure to be taken.
    Onward,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Machine),
        1 => Just(Kind::Human),
        1 => Just(Kind::Gateway(GatewayMode::Exclusive)),
        1 => Just(Kind::Gateway(GatewayMode::Inclusive)),
        1 => Just(Kind::Gateway(GatewayMode::Parallel)),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..9_usize).prop_flat_map(|len| {
        let kinds = proptest::collection::vec(kind(), len);
        let parents = (1..len).map(|step| 0..step).collect::<Vec<_>>();
        let edge = (0..len, 0..len, 0..5_u8, prop::bool::weighted(0.25));
        let edges = proptest::collection::vec(edge, 0..8);
        (kinds, parents, edges).prop_map(|(kinds, parents, edges)| Shape { kinds, parents, edges })
    })
}

fn name(step: usize) -> String {
    format!("s{step}")
}

fn definition_of(shape: &Shape, allowed: Edges) -> WorkflowDefinition {
    let mut builder = WorkflowDefinition::builder("test", "1.0.0").iterations(ITERATIONS);
    for (step, kind) in shape.kinds.iter().enumerate() {
        builder = match kind {
            Kind::Machine => builder.machine_with(&name(step), "a@1", |machine| {
                machine.retry = RetryPolicy { max_attempts: 4, ..RetryPolicy::default() };
            }),
            Kind::Human => builder.human(&name(step), |_| {}),
            Kind::Gateway(mode) => builder.gateway(&name(step), *mode),
        };
    }
    for (step, parent) in (1..).zip(&shape.parents) {
        builder = builder.edge(&name(*parent), &name(step));
    }
    for (source, target, condition, is_for_failure) in &shape.edges {
        let (source, target) = match allowed {
            Edges::Any => (*source, *target),
            Edges::Onward => (*source.min(target), *source.max(target)),
        };
        let is_machine = matches!(shape.kinds[source], Kind::Machine);
        let are_gateways = [source, target].iter().all(|step| matches!(shape.kinds[*step], Kind::Gateway(_)));
        // Loops of gateways alone are no definition.
        let turns_in_gateways = target <= source && are_gateways;
        if source == target && matches!(allowed, Edges::Onward) || *is_for_failure && !is_machine || turns_in_gateways {
            continue;
        }
        builder = builder.edge_with(&name(source), &name(target), |edge| {
            let edge = if *is_for_failure { edge.on(Outcome::Failure) } else { edge };
            match (condition, allowed) {
                (0, _) => edge,
                (1, Edges::Any) => edge.when("false"),
                (1, Edges::Onward) if shape.parents.contains(&source) => edge.when("false"),
                (1, Edges::Onward) => edge,
                (2, Edges::Any) => edge.when("context.get('s0', 0) < 4"),
                (3, Edges::Any) => edge.when("context.get('missing') < 4"),
                _ => edge.when("true"),
            }
        });
    }
    builder.build().expect("every shape makes a valid definition")
}

/// The same with no edge without a condition, so that a step may find no way.
fn without_sure_ways(mut definition: WorkflowDefinition) -> WorkflowDefinition {
    for (index, edge) in definition.edges.iter_mut().enumerate().filter(|(_, edge)| edge.condition.is_none()) {
        if index % 3 == 0 {
            *edge = Edge { condition: Some("context.get('s1', 1) > 0".into()), ..edge.clone() };
        }
    }
    definition
}

/// Everything that can happen to an instance as it is, without what comes from outside.
fn possible(run: &Run, outcome: impl Fn(&str) -> AttemptOutcome) -> Vec<Cause> {
    let cause_of = |active: &stepcell_model::instance::Active| {
        let execution = active.number;
        Some(match &active.phase {
            Phase::Joining => return None,
            Phase::Scheduled { .. } => Cause::AttemptStarted { execution },
            Phase::Running => {
                let outcome = outcome(active.step.as_str());
                let mut report = report(outcome);
                if matches!(report.outcome, AttemptOutcome::Succeeded(_)) {
                    report.writes = writes(&[(active.step.as_str(), json!(execution.0))]);
                }
                Cause::AttemptEnded { execution, input: Json::null(), report }
            }
            Phase::FailureHook { begun: false, .. } => Cause::FailureHookStarted { execution },
            Phase::FailureHook { begun: true, .. } => {
                let report = HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() };
                Cause::FailureHookEnded { execution, input: None, report }
            }
            Phase::RunningParts(_)
            | Phase::AwaitingTime { .. }
            | Phase::AwaitingMessage { .. }
            | Phase::AwaitingChild { .. } => return None,
            Phase::AwaitingTask { task, .. } => Cause::TaskCompleted {
                task: *task,
                actor: user("ada"),
                data: json!({active.step.as_str(): execution.0}).into(),
                comment: None,
            },
        })
    };
    run.instance.state.control.active.iter().filter_map(cause_of).collect()
}

/// Drives a run to its end: each number chooses what happens next, and `0` after the numbers are used up.
fn drive(run: &mut Run, choices: &[u16], mut before_each: impl FnMut(&mut Run, u16)) {
    for index in 0..MOVES_MAX {
        if run.status().is_finished() {
            return;
        }
        let choice = choices.get(index).copied().unwrap_or(0);
        before_each(run, choice);
        if run.status().is_finished() {
            return;
        }
        let outcome = |_: &str| match choice / 64 % 8 {
            0 => fails_for_now(),
            1 => fails_for_good(),
            2 => AttemptOutcome::Skipped,
            _ => AttemptOutcome::Succeeded(json!(choice).into()),
        };
        let outcome = |step: &str| if index < choices.len() { outcome(step) } else { succeeds() };
        let mut causes = possible(run, outcome);
        assert!(!causes.is_empty(), "stuck with {:?}", run.shown());
        let cause = causes.swap_remove(usize::from(choice) % causes.len());
        run.tell(cause).expect("what is possible is not refused");
    }
    panic!("no end after {MOVES_MAX} moves: {:?}", run.shown());
}

fn succeeds() -> AttemptOutcome {
    AttemptOutcome::Succeeded(Json::null())
}

/// How often each step ended and how, whatever the order.
fn ends(run: &Run) -> BTreeMap<String, usize> {
    run.path().into_iter().fold(BTreeMap::new(), |mut ends, end| {
        *ends.entry(end).or_default() += 1;
        ends
    })
}

/// An outcome that depends on nothing but the step: some fail where a failure is handled, all others succeed.
fn outcome_of(run: &Run, step: &str) -> AttemptOutcome {
    let handles = |edge: &Edge| {
        edge.source.as_str() == step
            && edge.outcome == Outcome::Failure
            && edge.condition.as_deref().is_none_or(|condition| condition == "true")
    };
    if run.plan.definition.edges.iter().any(handles) { fails_for_good() } else { succeeds() }
}

/// Drives a run whose steps always end alike, in the order that `choices` say, with the host going down where a
/// choice is odd, at most `crashes_max` times.
fn drive_alike(run: &mut Run, choices: &[u16], crashes_max: usize) {
    let mut crashes = 0;
    for index in 0..MOVES_MAX {
        if run.status().is_finished() {
            return;
        }
        let choice = choices.get(index).copied().unwrap_or(0);
        if choice % 2 == 1 && crashes < crashes_max {
            crashes += 1;
            run.tell(Cause::HostRestarted).unwrap();
            if run.status().is_finished() {
                return;
            }
        }
        let mut causes = possible(run, |step| outcome_of(run, step));
        let cause = causes.swap_remove(usize::from(choice / 2) % causes.len());
        run.tell(cause).unwrap();
    }
    panic!("no end after {MOVES_MAX} moves: {:?}", run.shown());
}

fn choices() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(any::<u16>(), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// The kit checks after every move that nothing is stuck or lost, ends once, and that statuses agree.
    #[test]
    fn every_instance_ends_whatever_happens_in_whatever_order(shape in shape(), choices in choices()) {
        let mut run = Run::of(definition_of(&shape, Edges::Any));

        drive(&mut run, &choices, |_, _| {});

        prop_assert!(run.instance.state.control.executions <= ITERATIONS);
    }

    #[test]
    fn an_instance_never_completes_past_a_step_that_found_no_way(shape in shape(), choices in choices()) {
        let mut run = Run::of(without_sure_ways(definition_of(&shape, Edges::Any)));

        drive(&mut run, &choices, |_, _| {});

        let last_ended_well = run.status() == WorkflowStatus::Completed;
        prop_assert_eq!(run.instance.state.error.is_none(), last_ended_well);
    }

    #[test]
    fn every_instance_ends_although_the_host_goes_down_at_any_point(shape in shape(), choices in choices()) {
        let mut run = Run::of(definition_of(&shape, Edges::Any));

        drive(&mut run, &choices, |run, choice| {
            if choice % 5 == 0 && choice > 0 {
                run.tell(Cause::HostRestarted).unwrap();
            }
        });
    }

    #[test]
    fn the_host_coming_back_twice_changes_nothing_the_second_time(shape in shape(), choices in choices()) {
        let mut run = Run::of(definition_of(&shape, Edges::Any));

        drive(&mut run, &choices, |run, choice| {
            if choice % 7 == 0 && choice > 0 {
                run.tell(Cause::HostRestarted).unwrap();
                let (state, events) = (run.instance.state.clone(), run.events.len());
                if !run.status().is_finished() {
                    run.tell(Cause::HostRestarted).unwrap();
                }
                assert_eq!(run.instance.state, state);
                assert_eq!(run.events.len(), events);
            }
        });
    }

    #[test]
    fn what_happens_twice_is_refused_the_second_time(shape in shape(), choices in choices()) {
        let mut run = Run::of(definition_of(&shape, Edges::Any));

        for index in 0..MOVES_MAX {
            if run.status().is_finished() {
                break;
            }
            let choice = choices.get(index).copied().unwrap_or(0);
            let mut causes = possible(&run, |_| succeeds());
            let cause = causes.swap_remove(usize::from(choice) % causes.len());
            run.tell(cause.clone()).unwrap();
            prop_assert!(advance(&run.plan, &run.instance, cause.clone(), kit::START).is_err(), "{:?}", cause);
        }
    }

    #[test]
    fn a_cancel_at_any_point_ends_everything_and_nothing_comes_after(
        shape in shape(), choices in choices(), at in 0..40_usize
    ) {
        let mut run = Run::of(definition_of(&shape, Edges::Any));
        let mut moves = 0;

        drive(&mut run, &choices, |run, _| {
            if moves == at {
                run.tell(Cause::Canceled { reason: "enough".into(), by: None, compensation: Compensation::None }).unwrap();
            }
            moves += 1;
        });

        let late = [
            Cause::HostRestarted,
            Cause::AttemptStarted { execution: ExecutionNumber(1) },
            Cause::Canceled { reason: "again".into(), by: None, compensation: Compensation::None },
        ];
        for cause in late {
            prop_assert!(advance(&run.plan, &run.instance, cause, kit::START).is_err());
        }
    }

    #[test]
    fn a_definition_without_loops_runs_the_same_steps_in_any_order_and_over_any_crash(
        shape in shape(), choices in choices()
    ) {
        let definition = definition_of(&shape, Edges::Onward);
        let mut calm = Run::of(definition.clone());
        let mut rough = Run::of(definition);

        drive_alike(&mut calm, &[], 0);
        drive_alike(&mut rough, &choices, 3);

        let (calm_ends, rough_ends) = (ends(&calm), ends(&rough));
        prop_assert!(calm_ends.values().all(|times| *times == 1), "without loops each step runs once: {:?}", calm_ends);
        prop_assert_eq!(calm_ends, rough_ends);
        prop_assert_eq!(calm.status(), rough.status());
    }
}
