//! What each branch waits for, or how the instance ended.

use super::words::{ended, now_in_words, wait_in_words};
use super::{Now, Point};
use crate::failure::Failure;
use crate::history::{Event, HistoryEntry};
use crate::instance::{Active, Parts, Phase, Place, WorkflowInstance};
use crate::name::StepName;
use crate::plan::{GroupMode, MessageSource, Plan, PlannedGroup, PlannedKind, PlannedMessage, PlannedStep};
use crate::status::WorkflowStatus;
use crate::time::Timestamp;

/// What everything is told from.
pub(super) struct Facts<'a> {
    pub(super) plan: &'a Plan,
    pub(super) instance: &'a WorkflowInstance,
    pub(super) history: &'a [HistoryEntry],
}

pub(super) fn told(plan: &Plan, instance: &WorkflowInstance, history: &[HistoryEntry]) -> Vec<Point<Now>> {
    let facts = Facts { plan, instance, history };
    if instance.state.status.is_finished() {
        return facts.ended();
    }
    let mut points = facts.of_whole();
    points.extend(instance.state.control.active.iter().filter_map(|active| facts.of_branch(active)));
    points.extend(facts.kept_messages());
    points
}

impl Facts<'_> {
    fn point(&self, at: Timestamp, step: Option<StepName>, what: Now) -> Point<Now> {
        let text = ended(&now_in_words(self.plan, step.as_ref(), &what));
        Point { at, step, execution: None, what, text }
    }

    fn ended(&self) -> Vec<Point<Now>> {
        let state = &self.instance.state;
        let at = state.completed_at.unwrap_or(self.instance.identity.started_at);
        let Some(error) = state.error.clone() else {
            return vec![self.point(at, state.current_step.clone(), Now::Completed)];
        };
        if state.status == WorkflowStatus::Canceled {
            let by = self.last(|event| match event {
                Event::WorkflowCanceled { by, .. } => Some(by.clone()),
                _ => None,
            });
            let what = Now::Canceled { reason: error.message, by: by.flatten() };
            return vec![self.point(at, error.step, what)];
        }
        let steps = state.control.frontier.iter().map(|active| active.step.clone()).collect();
        let step = error.step.clone();
        vec![self.point(at, step, Now::Failed { error }), self.point(at, None, Now::RetryFrom { steps })]
    }

    /// What holds of the instance as a whole.
    fn of_whole(&self) -> Vec<Point<Now>> {
        let control = &self.instance.state.control;
        let mut points = Vec::new();
        if let Some(at) = control.paused_at {
            let by = self.last(|event| match event {
                Event::WorkflowPaused { by } => Some(by.clone()),
                _ => None,
            });
            points.push(self.point(at, None, Now::Held { by: by.flatten() }));
        }
        if let Some(undoing) = &control.undoing {
            let started = self
                .history
                .iter()
                .rev()
                .find(|entry| entry.events.iter().any(|event| matches!(event, Event::CompensationStarted { .. })));
            let at = started.map_or(self.instance.identity.started_at, |entry| entry.at);
            let (end, error, left) = (undoing.end, undoing.error.clone(), control.undoable.len());
            points.push(self.point(at, error.step.clone(), Now::Undoing { end, error, left }));
        }
        points
    }

    fn of_branch(&self, active: &Active) -> Option<Point<Now>> {
        let planned = self.plan.step(self.plan.find(&active.step)?);
        let what = match &active.phase {
            Phase::Joining => self.join(active),
            Phase::Scheduled { .. } if let Some(reason) = &active.parked => Now::Parked { reason: reason.clone() },
            Phase::Scheduled { not_before: None } => Now::Room,
            Phase::Scheduled { not_before: Some(until) } => Now::Retry {
                attempt: active.attempts,
                attempts_max: attempts_max(planned).unwrap_or(1),
                until: *until,
                failure: self.last_failure(active),
            },
            Phase::Running => {
                Now::Attempt { attempt: active.attempts, attempts_max: attempts_max(planned).unwrap_or(1) }
            }
            Phase::FailureHook { failure, .. } => Now::FailureHook { failure: failure.clone() },
            Phase::AwaitingTask { task, overdue_at, timeout_at, .. } => {
                let record = self.instance.tasks.get(&active.number);
                let due_at = record.and_then(|record| record.due_at);
                Now::Person {
                    task: *task,
                    title: record.map(|record| record.title.clone()).unwrap_or_default(),
                    assignee: record.and_then(|record| record.assignee.clone()),
                    group: record.and_then(|record| record.group.clone()),
                    due_at,
                    overdue: due_at.is_some() && overdue_at.is_none(),
                    timeout_at: *timeout_at,
                }
            }
            Phase::AwaitingTime { until } => Now::Time { until: *until },
            Phase::AwaitingMessage { timeout_at } => message(planned, *timeout_at)?,
            Phase::AwaitingChild { child, timeout_at } => {
                let workflow = match &planned.kind {
                    PlannedKind::Workflow(planned) => Some(planned.workflow.clone()),
                    _ => None,
                };
                Now::Child { child: *child, workflow, timeout_at: *timeout_at }
            }
            Phase::RunningParts(parts) => self.parts(active, planned, parts),
        };
        let text = ended(&wait_in_words(self, active, &what));
        let (step, execution) = (Some(active.step.clone()), Some(active.number));
        Some(Point { at: active.activated_at, step, execution, what, text })
    }

    /// What a step waits for that was reached and has not begun: branches that can still come, or the operator.
    fn join(&self, active: &Active) -> Now {
        let others = self.instance.state.control.active.iter().filter(|other| self.can_come(other, active));
        let mut others: Vec<_> = others.map(|other| other.step.clone()).collect();
        others.dedup();
        if others.is_empty() {
            return Now::Reached;
        }
        Now::Join { others, arrived: active.arrivals.iter().map(|arrival| arrival.step.clone()).collect() }
    }

    fn can_come(&self, other: &Active, waiting: &Active) -> bool {
        let (Some(from), Some(target)) = (self.plan.find(&other.step), self.plan.find(&waiting.step)) else {
            return false;
        };
        let step = self.plan.step(target);
        let waits_for_others = step.incoming > 1 && step.join.is_all() && waiting.place.is_graph();
        let is_other = other.place.is_graph() && other.step != waiting.step;
        waits_for_others && is_other && self.plan.can_reach_past(from, target, &other.absorbed_at)
    }

    fn last_failure(&self, active: &Active) -> Option<Failure> {
        self.last(|event| match event {
            Event::StepRetryScheduled { execution, failure, .. } if *execution == active.number => {
                Some(failure.clone())
            }
            _ => None,
        })
    }

    /// What a thing was when it was told last.
    fn last<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Option<T> {
        self.history.iter().rev().flat_map(|entry| entry.events.iter().rev()).find_map(pick)
    }

    fn parts(&self, active: &Active, planned: &PlannedStep, parts: &Parts) -> Now {
        let is_part = |other: &&Active| matches!(other.place, Place::Member { of, .. } if of == active.number);
        let under_way = self.instance.state.control.active.iter().filter(is_part).count();
        let (succeeded, under_way) = (count(parts.ended.len()), count(under_way));
        let (total, needed) = match &planned.kind {
            // Only one of the members runs, whatever its place.
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Conditional { .. }, .. }) => (1, 1),
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { complete_when, .. }, .. }) => {
                (parts.total, count(complete_when.quorum(parts.total as usize)))
            }
            _ => (parts.total, parts.total),
        };
        let left = total.saturating_sub(succeeded + parts.failed + under_way);
        Now::Parts { total, succeeded, failed: parts.failed, under_way, left, needed, failure: parts.failure.clone() }
    }

    fn kept_messages(&self) -> Vec<Point<Now>> {
        let kept_at = |number: u32| {
            let is_meant = |event: &Event| matches!(event, Event::MessageKept { message, .. } if *message == number);
            self.history.iter().find(|entry| entry.events.iter().any(is_meant)).map(|entry| entry.at)
        };
        let tell = |number: u32, step: &StepName| {
            let at = kept_at(number).unwrap_or(self.instance.identity.started_at);
            self.point(at, Some(step.clone()), Now::KeptMessage { message: number })
        };
        self.instance.messages.values().map(|message| tell(message.number, &message.step)).collect()
    }
}

fn message(planned: &PlannedStep, timeout_at: Option<Timestamp>) -> Option<Now> {
    let PlannedKind::Message(PlannedMessage { source, .. }) = &planned.kind else { return None };
    Some(match source {
        MessageSource::Webhook { signed } => Now::Callback { signed: *signed, timeout_at },
        MessageSource::Signal(signal) => Now::Signal { signal: signal.clone(), timeout_at },
    })
}

/// How many attempts a step may have, if it is attempted.
pub(super) fn attempts_max(planned: &PlannedStep) -> Option<u32> {
    planned.machine().map(|machine| machine.retry.max_attempts)
}

/// Members and items are bounded far below this.
fn count(parts: usize) -> u32 {
    u32::try_from(parts).unwrap_or(u32::MAX)
}
