//! History alone: what it tells of each execution, and whether each event can follow those before it.

mod others;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Kept, Rule};
use crate::history::Event;
use crate::id::{ExecutionNumber, InstanceId, TaskId};
use crate::name::{StepName, UserId};
use crate::plan::Plan;
use crate::status::{StepStatus, StepType, TaskStatus, WorkflowStatus};

/// What history tells of an instance.
pub(super) struct Path<'a> {
    pub(super) id: InstanceId,
    pub(super) plan: Option<&'a Plan>,
    /// Every execution, by its number.
    pub(super) lives: BTreeMap<ExecutionNumber, Life>,
    /// The executions that have ended, in that order.
    pub(super) ends: Vec<ExecutionNumber>,
    pub(super) tasks: BTreeMap<TaskId, ToldTask>,
    /// Where the instance stands; none before it was started.
    pub(super) status: Option<WorkflowStatus>,
    /// Whether an operator holds it.
    is_held: bool,
    /// The instances that were started, and whether each has ended.
    children: BTreeMap<InstanceId, ExecutionNumber>,
    children_ended: BTreeSet<InstanceId>,
    pub(super) messages_kept: BTreeSet<u32>,
    messages_taken: BTreeSet<u32>,
    /// The edges that were decided on, with the execution that they lead from and whether they were to be taken.
    ways: BTreeMap<(ExecutionNumber, u32), bool>,
    /// The steps that each execution's branch has come to.
    came: BTreeSet<(ExecutionNumber, StepName)>,
    /// Those that it was to come to in the transition that is looked at.
    to_come: Vec<(ExecutionNumber, StepName)>,
    /// What succeeded and can be undone, in the order of the ends.
    undoable: Vec<ExecutionNumber>,
    /// What is still to be undone, the next one last.
    to_undo: Vec<ExecutionNumber>,
}

/// What history tells of one execution.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) step: StepName,
    pub(super) step_type: StepType,
    pub(super) part_of: Option<ExecutionNumber>,
    pub(super) item: Option<u32>,
    pub(super) attempts: u32,
    pub(super) stage: Stage,
    pub(super) awaits: Awaits,
}

/// How far an execution has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was reached, or waits for its next attempt.
    Reached,
    /// An attempt is under way.
    Attempted,
    /// Its last attempt has failed, and `on-failure` is to run.
    Failed,
    /// It has ended.
    Ended(StepStatus),
}

/// What an execution has begun to wait for, once in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    Nothing,
    Task(TaskId),
    Child(InstanceId),
    /// The message that it waited for has come.
    TakenMessage,
}

/// What history tells of a task.
#[derive(Debug)]
pub(super) struct ToldTask {
    pub(super) execution: ExecutionNumber,
    pub(super) assignee: Option<UserId>,
    pub(super) status: TaskStatus,
    pub(super) completed_by: Option<UserId>,
    is_reminded: bool,
    is_overdue: bool,
}

impl<'a> Path<'a> {
    /// Follows the whole history.
    pub(super) fn of(kept: &Kept<'a>, found: &mut Found) -> Self {
        let mut path = Self {
            id: kept.instance.identity.id,
            plan: kept.plan,
            lives: BTreeMap::new(),
            ends: Vec::new(),
            tasks: BTreeMap::new(),
            status: None,
            is_held: false,
            children: BTreeMap::new(),
            children_ended: BTreeSet::new(),
            messages_kept: BTreeSet::new(),
            messages_taken: BTreeSet::new(),
            ways: BTreeMap::new(),
            came: BTreeSet::new(),
            to_come: Vec::new(),
            undoable: Vec::new(),
            to_undo: Vec::new(),
        };
        for entry in kept.history {
            let mut here = Found::default();
            if entry.instance != path.id {
                here.note(Rule::Numbers, format!("it belongs to instance {}", entry.instance));
            }
            for event in &entry.events {
                path.follow(event, &mut here);
            }
            path.check_branches(&entry.events, &mut here);
            let told = here.0.into_iter().map(|violation| (violation.rule, violation.message));
            told.for_each(|(rule, message)| found.note(rule, format!("transition {}: {message}", entry.seq)));
        }
        path
    }

    fn follow(&mut self, event: &Event, found: &mut Found) {
        if self.follow_instance(event, found) {
            return;
        }
        if self.status.is_none_or(WorkflowStatus::is_finished) {
            let stands = self.stands();
            found.note(Rule::End, format!("`{}` happens to an instance that is {stands}", event.event_type()));
        }
        if !self.follow_step(event, found) {
            self.follow_other(event, found);
        }
    }

    /// Follows what is about the instance as a whole; says whether the event was.
    fn follow_instance(&mut self, event: &Event, found: &mut Found) -> bool {
        let before = self.status;
        let is_open = before.is_some_and(|status| !status.is_finished());
        let (is_possible, status) = match event {
            Event::WorkflowStarted { .. } => (before.is_none(), WorkflowStatus::Running),
            Event::WorkflowWaiting => (before == Some(WorkflowStatus::Running), WorkflowStatus::Waiting),
            Event::WorkflowResumed { .. } => {
                (self.is_held || before == Some(WorkflowStatus::Waiting), WorkflowStatus::Running)
            }
            Event::WorkflowPaused { .. } => (is_open && !self.is_held, WorkflowStatus::Paused),
            Event::WorkflowRetried { .. } => (before == Some(WorkflowStatus::Failed), WorkflowStatus::Running),
            Event::WorkflowCompleted => (is_open, WorkflowStatus::Completed),
            Event::WorkflowFailed { .. } => (is_open, WorkflowStatus::Failed),
            Event::WorkflowCanceled { .. } => (is_open, WorkflowStatus::Canceled),
            _ => return false,
        };
        let rule = if status.is_finished() { Rule::End } else { Rule::Path };
        found.expect(rule, is_possible, || {
            format!("`{}` happens to an instance that is {}", event.event_type(), self.stands())
        });
        if status.is_finished() {
            let open = self.lives.iter().filter(|(_, life)| !life.has_ended()).map(|(number, _)| number.to_string());
            let open: Vec<_> = open.collect();
            found.expect(Rule::End, open.is_empty(), || {
                format!("it is {status}, and executions {} have not ended", open.join(", "))
            });
            // A cancel may end undoing before all of it is done; what failed was undone as a whole.
            let left = self.to_undo.len() + self.undoable.len();
            found.expect(Rule::End, status != WorkflowStatus::Failed || left == 0, || {
                format!("it failed, and {left} executions were not undone")
            });
        }
        self.is_held = status == WorkflowStatus::Paused;
        self.status = Some(status);
        true
    }

    /// Every branch that was to come to a step in a transition has, unless the instance came to its end in it.
    fn check_branches(&mut self, events: &[Event], found: &mut Found) {
        let ends = |event: &Event| {
            matches!(
                event,
                Event::CompensationStarted { .. } | Event::WorkflowFailed { .. } | Event::WorkflowCanceled { .. }
            )
        };
        let to_come = std::mem::take(&mut self.to_come);
        if events.iter().any(ends) {
            return;
        }
        for (from, step) in to_come.into_iter().filter(|branch| !self.came.contains(branch)) {
            found.note(Rule::Edges, format!("the branch from execution {from} to `{step}` was lost on its way"));
        }
    }

    pub(super) const fn is_held(&self) -> bool {
        self.is_held
    }

    fn stands(&self) -> &'static str {
        self.status.map_or("not started", WorkflowStatus::as_str)
    }

    /// The execution of that number, if it has not ended; notes what is wrong otherwise.
    fn open(&mut self, number: ExecutionNumber, step: &StepName, found: &mut Found) -> Option<&mut Life> {
        match self.lives.get_mut(&number) {
            None => {
                found.note(Rule::Path, format!("execution {number} of `{step}` was never activated"));
                None
            }
            Some(life) if life.has_ended() => {
                found.note(Rule::Path, format!("execution {number} of `{step}` has ended before"));
                None
            }
            Some(life) => {
                found.expect(Rule::Path, life.step == *step, || {
                    format!("execution {number} is one of `{}`, not of `{step}`", life.step)
                });
                Some(life)
            }
        }
    }
}

impl Life {
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }
}
