//! What holds of every definition of the whole language, in whatever order things happen.
//!
//! The kit checks after every move that nothing is stuck or lost, that each execution ends once and after its parts,
//! and that history and letters tell what the state tells.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../kit/mod.rs"]
mod kit;
mod moves;
mod mutations;
mod shapes;

use std::collections::BTreeMap;

use proptest::prelude::*;
use stepcell_model::instance::{Active, Phase};
use stepcell_model::transition::{Cause, advance};

use crate::kit::Run;
use crate::moves::{How, Move, Next, Wild, drive, drive_broadly, happen, moves, next_of};
use crate::shapes::{Edges, Extent, ITERATIONS, data, definition};

/// Without those that change what came before: a retry runs steps again.
fn without_retries(moves: Vec<Move>) -> Vec<Move> {
    moves.into_iter().filter(|(wild, ..)| *wild != Wild::Retry).collect()
}

/// How often each step of the graph was activated.
fn activations(run: &Run) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for record in run.records.values().filter(|record| record.part_of.is_none()) {
        *times.entry(record.step.to_string()).or_default() += 1;
    }
    times
}

/// An outcome that depends on the step alone.
fn outcome_of(step: &str, salt: u8) -> How {
    let sum = step.bytes().fold(u32::from(salt), |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    match sum % 9 {
        0 => How::FailsForGood,
        1 => How::Skips,
        _ => How::Well,
    }
}

/// Drives a run that depends on the steps alone and takes no time but what it waits for: each execution goes on to its
/// end before the next one. The host goes down before those moves that `downs` holds a 1 for, once an execution.
fn drive_alike(run: &mut Run, salt: u8, downs: &[u8]) {
    run.pace = std::time::Duration::ZERO;
    let mut downs = downs.iter().copied();
    let mut hit = Vec::new();
    for _ in 0..2_000 {
        if run.status().is_finished() {
            return;
        }
        let Some((active, next)) = next_alike(run, salt) else { panic!("stuck: {:?}", run.shown()) };
        if downs.next() == Some(1) && !hit.contains(&active.number) {
            hit.push(active.number);
            run.reload();
            run.tell(Cause::HostRestarted).unwrap();
            continue;
        }
        happen(run, &next);
    }
    panic!("no end: {:?}", run.shown());
}

/// The next thing to happen: to what is under way, else to the one that the salt says.
fn next_alike(run: &Run, salt: u8) -> Option<(Active, Next)> {
    let active = &run.instance.state.control.active;
    let is_under_way =
        |active: &&Active| matches!(active.phase, Phase::Running | Phase::FailureHook { .. }) || active.attempts > 0;
    let moves = |active: &&Active| !matches!(active.phase, Phase::Joining | Phase::RunningParts(_));
    let place = |active: &&Active| active.number.0.wrapping_mul(u32::from(salt) | 1) % 7;
    let next = active.iter().find(is_under_way).or_else(|| active.iter().filter(moves).min_by_key(place))?;
    let how = outcome_of(next.step.as_str(), salt);
    let told = next_of(run, next, how).map(Next::now);
    Some((next.clone(), told.or_else(|| next.phase.wake_at().map(Next::at))?))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instance_ends_whatever_happens_in_whatever_order(
        definition in definition(Extent::Whole, Edges::Any), moves in moves()
    ) {
        let mut run = Run::with(definition.0, data());

        drive(&mut run, &moves);

        let undone = run.records.values().filter(|record| record.step.as_str().ends_with("/compensate")).count();
        prop_assert!(run.records.len() - undone <= ITERATIONS as usize);
        prop_assert!(advance(&run.plan, &run.instance, Cause::HostRestarted, run.now).is_err());
    }

    #[test]
    fn every_instance_ends_although_the_host_goes_down_with_much_under_way(
        definition in definition(Extent::Whole, Edges::Any), moves in moves()
    ) {
        let mut run = Run::with(definition.0, data());

        drive_broadly(&mut run, &moves);
    }

    #[test]
    fn without_a_way_back_each_step_runs_once_in_any_order(
        definition in definition(Extent::Whole, Edges::Onward), moves in moves()
    ) {
        let mut run = Run::with(definition.0, data());

        drive(&mut run, &without_retries(moves));

        let activations = activations(&run);
        prop_assert!(activations.values().all(|times| *times == 1), "{:?}", activations);
    }

    #[test]
    fn an_instance_comes_to_the_same_end_over_a_crash_at_any_commit(
        definition in definition(Extent::Whole, Edges::Any),
        salt in any::<u8>(),
        downs in prop::collection::vec(0..3_u8, 0..80),
    ) {
        let mut calm = Run::with(definition.0.clone(), data());
        let mut rough = Run::with(definition.0, data());

        drive_alike(&mut calm, salt, &[]);
        drive_alike(&mut rough, salt, &downs);

        prop_assert_eq!(calm.path(), rough.path());
        let (calm, rough) = (&calm.instance.state, &rough.instance.state);
        prop_assert_eq!((calm.status, &calm.result), (rough.status, &rough.result));
        prop_assert_eq!(&calm.error, &rough.error);
    }
}
