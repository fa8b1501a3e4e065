//! State, executions and tasks, held against what history tells of them.

use std::collections::BTreeSet;

use super::path::{Awaits, Life, Path, Stage};
use super::{Found, Kept, Rule};
use crate::id::ExecutionNumber;
use crate::instance::{Active, Phase};
use crate::record::ExecutionRecord;
use crate::status::{StepStatus, TaskStatus, WorkflowStatus};

pub(super) fn check(kept: &Kept<'_>, path: &Path<'_>, found: &mut Found) {
    check_numbers(kept, found);
    check_status(kept, path, found);
    check_active(kept, path, found);
    check_executions(kept, path, found);
    check_tasks(kept, path, found);
}

fn check_numbers(kept: &Kept<'_>, found: &mut Found) {
    let seqs: Vec<_> = kept.history.iter().map(|entry| entry.seq).collect();
    found.expect(Rule::Numbers, seqs.iter().copied().eq(1..=kept.instance.seq), || {
        let (first, last) = (seqs.first().unwrap_or(&0), seqs.last().unwrap_or(&0));
        let (count, seq) = (seqs.len(), kept.instance.seq);
        format!("its last transition is {seq}, and history holds {count} of them, from {first} to {last}")
    });
    let is_sorted = kept.history.is_sorted_by(|a, b| a.position < b.position);
    found.expect(Rule::Numbers, is_sorted, || "its history is not in the order in which it was written".to_owned());
}

fn check_status(kept: &Kept<'_>, path: &Path<'_>, found: &mut Found) {
    let state = &kept.instance.state;
    let (status, is_finished) = (state.status, state.status.is_finished());
    found.expect(Rule::State, path.status == Some(status), || {
        let told = path.status.map_or("nothing", WorkflowStatus::as_str);
        format!("it is {status}, and its history ends with {told}")
    });
    let active = state.control.active.len();
    found.expect(Rule::End, !is_finished || active == 0, || {
        format!("it is {status}, and {active} executions are active")
    });
    found.expect(Rule::Stuck, is_finished || active > 0, || format!("it is {status}, and nothing of it is active"));
    found.expect(Rule::State, is_finished == state.completed_at.is_some(), || {
        format!("it is {status}, and its time of completion says otherwise")
    });
    let has_error = matches!(status, WorkflowStatus::Failed | WorkflowStatus::Canceled);
    found.expect(Rule::State, has_error == state.error.is_some(), || {
        format!("it is {status}, and its error says otherwise")
    });
    // One that came to its end while it was held keeps since when.
    let is_held = state.control.paused_at.is_some() && !is_finished;
    found.expect(Rule::State, is_held == (status == WorkflowStatus::Paused), || {
        format!("it is {status}, and the time since which it is held says otherwise")
    });
}

fn check_active(kept: &Kept<'_>, path: &Path<'_>, found: &mut Found) {
    let control = &kept.instance.state.control;
    let activated = path.lives.len();
    found.expect(Rule::State, path.lives.keys().map(|number| number.0).eq(1..=control.executions), || {
        format!("{} executions were activated, and history tells of {activated}", control.executions)
    });
    found.expect(Rule::State, path.ends.len() == control.ended as usize, || {
        format!("{} executions have ended, and history tells of {}", control.ended, path.ends.len())
    });
    found.expect(Rule::State, path.messages_kept.len() == control.messages as usize, || {
        format!("{} messages were kept, and history tells of {}", control.messages, path.messages_kept.len())
    });
    let numbers: Vec<_> = control.active.iter().map(|active| active.number).collect();
    found.expect(Rule::State, numbers.is_sorted_by(|a, b| a < b), || {
        format!("its active executions do not stand oldest first, each once: {numbers:?}")
    });
    let open = path.lives.iter().filter(|(_, life)| !life.has_ended()).map(|(number, _)| *number);
    let (open, active): (BTreeSet<_>, BTreeSet<_>) = (open.collect(), numbers.into_iter().collect());
    for number in open.difference(&active) {
        found.note(Rule::State, format!("execution {number} has not ended in its history, and is not active"));
    }
    for active in &control.active {
        match path.lives.get(&active.number).filter(|life| !life.has_ended()) {
            None => {
                let (number, step) = (active.number, &active.step);
                found.note(Rule::State, format!("execution {number} of `{step}` is active, and not in its history"));
            }
            Some(life) => check_one_active(active, life, found),
        }
    }
}

fn check_one_active(active: &Active, life: &Life, found: &mut Found) {
    let (number, step) = (active.number, &active.step);
    let told = (&life.step, life.part_of, life.attempts);
    found.expect(Rule::State, told == (step, active.place.part_of(), active.attempts), || {
        format!("execution {number} of `{step}` is {active:?}, and its history tells {life:?}")
    });
    let fits = match (&active.phase, life.stage) {
        (Phase::Running, Stage::Attempted) | (Phase::FailureHook { .. }, Stage::Failed) => true,
        (Phase::AwaitingTask { task, .. }, Stage::Reached) => life.awaits == Awaits::Task(*task),
        (Phase::AwaitingChild { child, .. }, Stage::Reached) => life.awaits == Awaits::Child(*child),
        (
            Phase::Joining
            | Phase::Scheduled { .. }
            | Phase::AwaitingTime { .. }
            | Phase::AwaitingMessage { .. }
            | Phase::RunningParts(_),
            Stage::Reached,
        ) => life.awaits == Awaits::Nothing,
        (_, Stage::Reached | Stage::Attempted | Stage::Failed | Stage::Ended(_)) => false,
    };
    found.expect(Rule::State, fits, || {
        format!("execution {number} of `{step}` is {:?}, and its history tells {life:?}", active.phase)
    });
}

fn check_executions(kept: &Kept<'_>, path: &Path<'_>, found: &mut Found) {
    let control = &kept.instance.state.control;
    let orders: Vec<_> = kept.executions.iter().filter_map(|record| record.ended_order).collect();
    found.expect(Rule::Executions, orders.iter().copied().eq(1..=control.ended), || {
        format!("{} executions ended, and their records say {orders:?}", control.ended)
    });
    let active = control.active.len();
    found.expect(Rule::Executions, u64::from(control.ended) + active as u64 == u64::from(control.executions), || {
        format!("of {} executions {} ended and {active} are active", control.executions, control.ended)
    });
    let mut seen = BTreeSet::new();
    for record in kept.executions {
        let (number, step) = (record.number, &record.step);
        found.expect(Rule::Executions, seen.insert(number), || format!("execution {number} is recorded twice"));
        let is_active = control.find_active(number).is_some();
        found.expect(Rule::Executions, is_active != record.ended_order.is_some(), || {
            let word = if is_active { "is active and has ended" } else { "has not ended and is not active" };
            format!("execution {number} of step `{step}` {word}")
        });
        found.expect(Rule::Executions, record.completed_at.is_some() == record.ended_order.is_some(), || {
            format!("execution {number} of step `{step}` has a time of its end or an order, not both")
        });
        match path.lives.get(&number) {
            None => found.note(Rule::Executions, format!("execution {number} of `{step}` is not in its history")),
            Some(life) => check_record(record, life, path, found),
        }
    }
}

fn check_record(record: &ExecutionRecord, life: &Life, path: &Path<'_>, found: &mut Found) {
    let (number, step) = (record.number, &record.step);
    let of_life = (&life.step, life.step_type, life.part_of, life.item);
    found.expect(Rule::Executions, of_life == (step, record.step_type, record.part_of, record.item), || {
        format!("the record of execution {number} of `{step}` is that of another: history tells {life:?}")
    });
    let Stage::Ended(status) = life.stage else { return };
    found.expect(Rule::Executions, record.status == status, || {
        format!("execution {number} of `{step}` is recorded as {}, and its history says {status}", record.status)
    });
    let place = path.ends.iter().position(|ended| *ended == number).map(|place| place + 1);
    found.expect(Rule::Executions, record.ended_order.map(|order| order as usize) == place, || {
        format!(
            "execution {number} of `{step}` ended as number {place:?}, and its record says {:?}",
            record.ended_order
        )
    });
    // A step that was skipped has run no attempt, as far as people are told.
    let attempts = if status == StepStatus::Skipped { 0 } else { life.attempts };
    found.expect(Rule::Attempts, record.attempts == attempts, || {
        format!("execution {number} of `{step}` had {attempts} attempts, and its record says {}", record.attempts)
    });
}

fn check_tasks(kept: &Kept<'_>, path: &Path<'_>, found: &mut Found) {
    let pending = kept.tasks.iter().filter(|task| task.status == TaskStatus::Pending).map(|task| task.id);
    let pending: BTreeSet<_> = pending.collect();
    let awaited = kept.instance.state.control.active.iter().filter_map(|active| match &active.phase {
        Phase::AwaitingTask { task, .. } => Some(*task),
        _ => None,
    });
    let awaited: BTreeSet<_> = awaited.collect();
    for task in pending.difference(&awaited) {
        found.note(Rule::Tasks, format!("task {task} is pending, and no step waits for it"));
    }
    for task in awaited.difference(&pending) {
        found.note(Rule::Tasks, format!("a step waits for task {task}, which is not pending"));
    }
    let mut told: BTreeSet<_> = path.tasks.keys().copied().collect();
    for task in kept.tasks {
        told.remove(&task.id);
        let Some(known) = path.tasks.get(&task.id) else {
            found.note(Rule::Tasks, format!("task {} is not in its history", task.id));
            continue;
        };
        let is_told = (known.status, known.execution, &known.completed_by, &known.assignee);
        let is_kept = (task.status, task.execution, &task.completed_by, &task.assignee);
        found.expect(Rule::Tasks, is_told == is_kept, || {
            format!("task {} is kept as {is_kept:?}, and its history tells {is_told:?}", task.id)
        });
    }
    for task in told {
        found.note(Rule::Tasks, format!("task {task} is in its history, and not kept"));
    }
    check_pending(kept, found);
}

/// The pending tasks are those that a decision about the instance is made on.
fn check_pending(kept: &Kept<'_>, found: &mut Found) {
    let loaded: Vec<ExecutionNumber> = kept.instance.tasks.keys().copied().collect();
    let waits = |active: &&Active| matches!(active.phase, Phase::AwaitingTask { .. });
    let waiting = kept.instance.state.control.active.iter().filter(waits).map(|active| active.number);
    found.expect(Rule::Tasks, waiting.eq(loaded.iter().copied()), || {
        format!("it is loaded with the tasks of executions {loaded:?}, which are not those that wait for one")
    });
}
