//! Whether something is left that can move an instance which is not finished.

use super::{Found, Kept, Rule};
use crate::instance::{Active, Control, Phase, Place};
use crate::plan::Plan;
use crate::status::WorkflowStatus;

pub(super) fn check(kept: &Kept<'_>, found: &mut Found) {
    let state = &kept.instance.state;
    check_wake(kept, found);
    if state.status.is_finished() {
        return;
    }
    let control = &state.control;
    let all_wait = control.active.iter().all(|active| active.phase.is_waiting());
    found.expect(Rule::Stuck, state.status != WorkflowStatus::Running || !all_wait, || {
        format!("it is running, and nothing of it can move: {}", shown(control))
    });
    found.expect(Rule::Stuck, state.status != WorkflowStatus::Waiting || all_wait, || {
        format!("it is waiting, and something of it can move: {}", shown(control))
    });
    if control.undoing.is_some() {
        let is_undone = control.active.iter().any(|active| matches!(active.place, Place::Undo { .. }));
        found
            .expect(Rule::Stuck, is_undone, || format!("it is to be undone, and nothing of it is: {}", shown(control)));
    }
    for active in &control.active {
        check_moves(kept, active, found);
    }
}

/// The instance is looked at again when the first of its times comes, and at no other.
fn check_wake(kept: &Kept<'_>, found: &mut Found) {
    let state = &kept.instance.state;
    let wakes = state.control.active.iter().filter_map(|active| active.phase.wake_at()).min();
    let is_awake = !state.status.is_finished() && state.status != WorkflowStatus::Paused;
    let expected = wakes.filter(|_| is_awake);
    found.expect(Rule::Timers, state.wake_at == expected, || {
        format!("it is to be looked at {:?}, and what it waits for comes {expected:?}", state.wake_at)
    });
}

fn check_moves(kept: &Kept<'_>, active: &Active, found: &mut Found) {
    let control = &kept.instance.state.control;
    let (number, step) = (active.number, &active.step);
    match &active.phase {
        Phase::RunningParts(parts) => {
            let is_part = |other: &&Active| other.place.group() == Some(number);
            let running = control.active.iter().filter(is_part).count();
            found.expect(Rule::Stuck, running > 0, || {
                format!("execution {number} of `{step}` waits for its parts, and none is active: {parts:?}")
            });
        }
        // While somebody holds an instance nothing goes on that was reached.
        Phase::Joining if control.paused_at.is_none() => {
            let moves = kept.plan.is_none_or(|plan| is_awaited(plan, control, active));
            found.expect(Rule::Stuck, moves, || {
                format!("execution {number} of `{step}` waits in a join that no branch can come to: {}", shown(control))
            });
        }
        Phase::Joining
        | Phase::Scheduled { .. }
        | Phase::Running
        | Phase::FailureHook { .. }
        | Phase::AwaitingTask { .. }
        | Phase::AwaitingTime { .. }
        | Phase::AwaitingMessage { .. }
        | Phase::AwaitingChild { .. } => {}
    }
}

/// Whether a branch that waits in no join itself can still come to where an execution waits.
fn is_awaited(plan: &Plan, control: &Control, waiting: &Active) -> bool {
    let Some(target) = plan.find(&waiting.step) else { return true };
    let moves = |other: &&Active| other.place.is_graph() && other.phase != Phase::Joining && other.step != waiting.step;
    let mut others = control.active.iter().filter(moves);
    others.any(|other| plan.find(&other.step).is_none_or(|at| plan.can_reach(at, target)))
}

fn shown(control: &Control) -> String {
    let shown = control.active.iter().map(|active| format!("{} `{}` {:?}", active.number, active.step, active.phase));
    shown.collect::<Vec<_>>().join("; ")
}
