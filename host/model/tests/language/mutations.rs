//! The audit can fail: whatever is left out of a run's rows, told twice or changed in them is noticed.

use proptest::prelude::*;
use stepcell_model::audit::{Kept, Violation, audit};
use stepcell_model::history::{Event, HistoryEntry, Hook};
use stepcell_model::id::ExecutionNumber;
use stepcell_model::record::{ExecutionRecord, TaskRecord};
use stepcell_model::status::{StepStatus, TaskStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;

use crate::kit::Run;
use crate::moves::{drive, moves};
use crate::shapes::{Edges, Extent, data, definition};

/// The rows of a run, to be changed.
struct Rows<'a> {
    run: &'a Run,
    history: Vec<HistoryEntry>,
    executions: Vec<ExecutionRecord>,
    tasks: Vec<TaskRecord>,
}

impl<'a> Rows<'a> {
    fn of(run: &'a Run) -> Self {
        let mut executions: Vec<_> = run.records.values().cloned().collect();
        executions.sort_by_key(|record| (record.ended_order.unwrap_or(u32::MAX), record.number));
        Self { run, history: run.history.clone(), executions, tasks: run.tasks.values().cloned().collect() }
    }

    fn audited(&self) -> Vec<Violation> {
        let (instance, plan) = (&self.run.instance, Some(&self.run.plan));
        let Self { history, executions, tasks, .. } = self;
        audit(&Kept { instance, history, executions, tasks, plan })
    }

    /// Everything that happened, by transition and place.
    fn events(&self) -> Vec<(usize, usize, Event)> {
        let of = |(at, entry): (usize, &HistoryEntry)| {
            let events = entry.events.iter().cloned().enumerate();
            events.map(|(place, event)| (at, place, event)).collect::<Vec<_>>()
        };
        self.history.iter().enumerate().flat_map(of).collect()
    }
}

/// Whether nobody could tell that it did not happen: nothing follows from it in its transition or later.
fn leaves_no_trace(event: &Event, history: &[HistoryEntry], at: usize) -> bool {
    let here = || history[at].events.iter();
    let later = || history[at..].iter().flat_map(|entry| &entry.events);
    let fails = |event: &Event| matches!(event, Event::CompensationStarted { .. } | Event::WorkflowFailed { .. });
    match event {
        Event::StepParked { .. }
        | Event::HookEnded { hook: Hook::OnSuccess, .. }
        | Event::TaskReminded { .. }
        | Event::TaskOverdue { .. }
        // Another one may follow at once, that starts from either.
        | Event::WorkflowWaiting
        | Event::WorkflowResumed { .. }
        | Event::WorkflowPaused { .. }
        // It may have come over another edge of the same two steps before.
        | Event::BranchAbsorbed { .. }
        | Event::TaskReassigned { .. } => true,
        // Its execution may have been canceled before another attempt of it.
        Event::StepRetryScheduled { execution, .. } => {
            !later().any(|event| matches!(event, Event::StepStarted { execution: again, .. } if again == execution))
        }
        // Or before its hook.
        Event::StepFailed { execution, .. } => {
            later().any(|event| matches!(event, Event::StepCanceled { execution: ended, .. } if ended == execution))
        }
        // A step that waits for an instance may have given up, or have been given up.
        Event::ChildStarted { child, .. } => {
            !later().any(|event| matches!(event, Event::ChildEnded { child: ended, .. } if ended == child))
        }
        Event::ChildEnded { execution, .. } => {
            here().any(|event| matches!(event, Event::StepFailed { execution: failed, .. } if failed == execution))
        }
        Event::BranchJoined { .. } => here().any(fails),
        Event::EdgesDecided { edges, .. } => edges.iter().all(|edge| !edge.taken) || here().any(fails),
        _ => false,
    }
}

/// Whether it may happen twice in a row.
fn may_repeat(event: &Event) -> bool {
    match event {
        Event::StepParked { .. }
        | Event::HookEnded { hook: Hook::OnSuccess, .. }
        | Event::TaskClaimed { .. }
        | Event::TaskReassigned { .. }
        | Event::BranchAbsorbed { .. } => true,
        Event::EdgesDecided { edges, .. } => edges.is_empty(),
        _ => false,
    }
}

/// Leads over an edge that there is not, or that was not to be taken.
fn led_astray(event: &Event) -> Option<Event> {
    let mut event = event.clone();
    match &mut event {
        Event::StepActivated { edge: Some(edge), .. } | Event::BranchJoined { edge, .. } => *edge += 50,
        Event::EdgesDecided { edges, .. } => edges.iter_mut().find(|edge| edge.taken)?.taken = false,
        _ => return None,
    }
    Some(event)
}

fn nobody() -> ExecutionNumber {
    ExecutionNumber(7_777)
}

/// A change of one row that can not be.
type Damage = fn(&mut Rows<'_>, usize) -> bool;

const DAMAGES: [(&str, Damage); 8] = [
    ("an execution is lost", |rows, at| {
        let has_ended = |record: &ExecutionRecord| record.ended_order.is_some();
        let place = at % rows.executions.len().max(1);
        rows.executions.get(place).is_some_and(has_ended) && { rows.executions.remove(place).number != nobody() }
    }),
    ("an execution is another one", |rows, at| {
        let len = rows.executions.len().max(1);
        rows.executions.get_mut(at % len).is_some_and(|record| {
            record.number = nobody();
            true
        })
    }),
    ("an execution ended otherwise", |rows, at| {
        let len = rows.executions.len().max(1);
        rows.executions.get_mut(at % len).filter(|record| record.ended_order.is_some()).is_some_and(|record| {
            let is_failed = record.status == StepStatus::Failed;
            record.status = if is_failed { StepStatus::Succeeded } else { StepStatus::Failed };
            true
        })
    }),
    ("an attempt was not counted", |rows, at| {
        let len = rows.executions.len().max(1);
        rows.executions.get_mut(at % len).filter(|record| record.ended_order.is_some()).is_some_and(|record| {
            record.attempts += 1;
            true
        })
    }),
    ("a task is lost", |rows, at| {
        let place = at % rows.tasks.len().max(1);
        place < rows.tasks.len() && { rows.tasks.remove(place).execution != nobody() }
    }),
    ("a task is still pending", |rows, at| {
        let len = rows.tasks.len().max(1);
        rows.tasks.get_mut(at % len).filter(|task| task.status != TaskStatus::Pending).is_some_and(|task| {
            task.status = TaskStatus::Pending;
            true
        })
    }),
    ("a transition is lost", |rows, at| {
        let place = at % rows.history.len();
        rows.history.remove(place).seq > 0
    }),
    ("a transition is there twice", |rows, at| {
        let place = at % rows.history.len();
        let again = rows.history[place].clone();
        rows.history.insert(place, again);
        true
    }),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_that_is_left_out_told_twice_or_changed_is_noticed(
        definition in definition(Extent::Whole, Edges::Any), moves in moves()
    ) {
        let mut run = Run::with(definition.0, data());
        drive(&mut run, &moves);
        let rows = Rows::of(&run);
        prop_assert_eq!(rows.audited(), []);

        // A long run says nothing that a short one does not, and takes as long as it squared.
        for (at, place, event) in rows.events().into_iter().take(150) {
            let mut without = Rows::of(&run);
            without.history[at].events.remove(place);
            prop_assert!(leaves_no_trace(&event, &rows.history, at) || !without.audited().is_empty(), "left out: {:?}", event);

            let mut twice = Rows::of(&run);
            twice.history[at].events.insert(place, event.clone());
            prop_assert!(may_repeat(&event) || !twice.audited().is_empty(), "told twice: {:?}", event);

            if let Some(astray) = led_astray(&event).filter(|_| !leaves_no_trace(&event, &rows.history, at)) {
                let mut changed = Rows::of(&run);
                changed.history[at].events[place] = astray;
                prop_assert!(!changed.audited().is_empty(), "changed: {:?}", event);
            }
        }
    }

    #[test]
    fn a_row_that_is_lost_or_changed_is_noticed(
        definition in definition(Extent::Whole, Edges::Any), moves in moves(), at in any::<u16>()
    ) {
        let mut run = Run::with(definition.0, data());
        drive(&mut run, &moves);

        for (what, damage) in DAMAGES {
            let mut rows = Rows::of(&run);
            if damage(&mut rows, usize::from(at)) {
                prop_assert!(!rows.audited().is_empty(), "{}", what);
            }
        }
    }

    #[test]
    fn a_state_that_history_does_not_tell_is_noticed(
        definition in definition(Extent::Whole, Edges::Any), moves in moves()
    ) {
        let mut run = Run::with(definition.0, data());
        // As far as its first moves bring it.
        for (_, which, how) in moves.into_iter().take(12) {
            let next = crate::moves::possible(&run, how);
            if let Some(next) = next.get(usize::from(which) % next.len().max(1)) {
                crate::moves::happen(&mut run, next);
            }
        }
        let state = run.instance.state.clone();

        run.instance.state.wake_at = Some(Timestamp::from_unix_ms(7));
        prop_assert!(!run.audited().is_empty(), "nobody waits for that time");
        run.instance.state = state.clone();
        let is_completed = state.status == WorkflowStatus::Completed;
        run.instance.state.status = if is_completed { WorkflowStatus::Failed } else { WorkflowStatus::Completed };
        prop_assert!(!run.audited().is_empty(), "it ended otherwise");
        run.instance.state = state.clone();
        run.instance.state.control.executions += 1;
        prop_assert!(!run.audited().is_empty(), "one more execution");
        run.instance.state = state;
        if run.instance.state.control.active.pop().is_some() {
            prop_assert!(!run.audited().is_empty(), "an execution is not active any more");
        }
    }
}
