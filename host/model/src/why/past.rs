//! How an instance came to where it is, event by event.

use std::collections::BTreeMap;

use super::now::attempts_max;
use super::words::{ended, past_in_words};
use super::{Past, Point, cancel, edges};
use crate::history::{Event, HistoryEntry};
use crate::id::ExecutionNumber;
use crate::instance::WorkflowInstance;
use crate::name::StepName;
use crate::plan::{Plan, PlannedStep};
use crate::status::StepType;

/// What history says of executions beside what happened to them.
pub(super) struct Trail<'a> {
    plan: &'a Plan,
    instance: &'a WorkflowInstance,
    history: &'a [HistoryEntry],
    executions: BTreeMap<ExecutionNumber, Reached<'a>>,
}

/// An execution as it was reached.
struct Reached<'a> {
    step: &'a StepName,
    step_type: StepType,
    part_of: Option<ExecutionNumber>,
    item: Option<u32>,
}

pub(super) fn told(plan: &Plan, instance: &WorkflowInstance, history: &[HistoryEntry]) -> Vec<Point<Past>> {
    let trail = Trail { plan, instance, history, executions: executions_of(history) };
    let mut teller = Teller { trail, is_held: false, points: Vec::new() };
    for entry in history {
        for event in &entry.events {
            teller.tell(entry, event);
        }
    }
    teller.points
}

fn executions_of(history: &[HistoryEntry]) -> BTreeMap<ExecutionNumber, Reached<'_>> {
    let events = history.iter().flat_map(|entry| &entry.events);
    let reached = events.filter_map(|event| match event {
        Event::StepActivated { execution, step, step_type, part_of, item, .. } => {
            Some((*execution, Reached { step, step_type: *step_type, part_of: *part_of, item: *item }))
        }
        _ => None,
    });
    reached.collect()
}

impl Trail<'_> {
    /// The step of an execution; its number where history does not say.
    pub(super) fn name_of(&self, execution: ExecutionNumber) -> String {
        self.executions.get(&execution).map_or_else(|| execution.to_string(), |reached| reached.step.to_string())
    }

    fn step_of(&self, execution: ExecutionNumber) -> Option<StepName> {
        self.executions.get(&execution).map(|reached| reached.step.clone())
    }

    /// The execution that one belongs to and ends with.
    pub(super) fn whole_of(&self, execution: ExecutionNumber) -> Option<ExecutionNumber> {
        let reached = self.executions.get(&execution)?;
        reached.part_of.filter(|_| !is_compensation(reached.step))
    }

    /// The item that an execution, or the group that it is a member of, runs for.
    fn item_of(&self, execution: ExecutionNumber) -> Option<u32> {
        let own = self.executions.get(&execution)?.item;
        own.or_else(|| self.item_of(self.whole_of(execution)?))
    }

    pub(super) fn is_callback(&self, step: &StepName) -> bool {
        own_name(step) == StepName::CALLBACK
    }

    pub(super) fn planned(&self, step: &StepName) -> Option<&PlannedStep> {
        self.plan.find(step).map(|index| self.plan.step(index))
    }

    /// The step whose end is the end of every branch, if the event is that.
    pub(super) fn terminating<'e>(&self, event: &'e Event) -> Option<&'e StepName> {
        let (Event::StepCompleted { step, .. } | Event::StepSkipped { step, .. }) = event else { return None };
        self.planned(step).filter(|planned| planned.terminates).map(|_| step)
    }

    /// Why the instance was to end from a transition on, in words.
    pub(super) fn end_after(&self, entry: &HistoryEntry) -> Option<String> {
        let later = self.history.iter().filter(|later| later.seq >= entry.seq);
        let end = later.flat_map(|later| &later.events).find_map(|event| match event {
            Event::WorkflowFailed { error } => Some(format!("the workflow failed: {}", error.message)),
            Event::WorkflowCanceled { reason, .. } => Some(format!("the workflow was canceled: {reason}")),
            _ => None,
        });
        let undoing = self.instance.state.control.undoing.as_ref();
        end.or_else(|| undoing.map(|undoing| format!("the workflow is to end: {}", undoing.error.message)))
    }
}

fn own_name(step: &StepName) -> &str {
    step.as_str().rsplit('/').next().unwrap_or_default()
}

fn is_compensation(step: &StepName) -> bool {
    step.is_part() && own_name(step) == StepName::COMPENSATE
}

struct Teller<'a> {
    trail: Trail<'a>,
    is_held: bool,
    points: Vec<Point<Past>>,
}

impl Teller<'_> {
    fn tell(&mut self, entry: &HistoryEntry, event: &Event) {
        match event {
            Event::EdgesDecided { execution, step, edges } => {
                let Some(planned) = self.trail.planned(step) else { return };
                for what in edges::told(self.trail.plan, planned, edges) {
                    self.put(entry, Some(step), Some(*execution), what);
                }
            }
            Event::WorkflowPaused { by } => {
                self.is_held = true;
                self.put(entry, None, None, Past::Paused { by: by.clone() });
            }
            // An instance goes on by itself, too, whenever something of it can move again.
            Event::WorkflowResumed { by } if std::mem::take(&mut self.is_held) => {
                self.put(entry, None, None, Past::Resumed { by: by.clone() });
            }
            _ => {
                if let Some((step, execution, what)) = self.of_step(entry, event) {
                    self.put(entry, Some(step), execution, what);
                } else if let Some((step, what)) = self.of_task(event) {
                    self.put(entry, Some(step), None, what);
                } else if let Some(what) = self.of_whole(event) {
                    self.put(entry, None, None, what);
                }
            }
        }
    }

    fn put(&mut self, entry: &HistoryEntry, step: Option<&StepName>, execution: Option<ExecutionNumber>, what: Past) {
        let item = execution.and_then(|execution| self.trail.item_of(execution));
        let text = ended(&past_in_words(&self.trail, step, item, &what));
        self.points.push(Point { at: entry.at, step: step.cloned(), execution, what, text });
    }

    fn of_step<'e>(
        &self,
        entry: &HistoryEntry,
        event: &'e Event,
    ) -> Option<(&'e StepName, Option<ExecutionNumber>, Past)> {
        let trail = &self.trail;
        let max = |step: &StepName| trail.planned(step).and_then(attempts_max);
        Some(match event {
            Event::StepActivated { execution, step, part_of: Some(undone), .. } if is_compensation(step) => {
                (step, Some(*execution), Past::Undoes { undone: *undone })
            }
            Event::BranchJoined { execution, step, from, .. } => {
                (step, Some(*execution), Past::Joined { from: trail.step_of(*from)? })
            }
            Event::BranchAbsorbed { step, from, .. } => (step, None, Past::Absorbed { from: trail.step_of(*from)? }),
            Event::StepCompleted { execution, step, attempt, .. } => {
                // What a gateway came to is told with its edges.
                trail.executions.get(execution).filter(|reached| reached.step_type != StepType::Gateway)?;
                (step, Some(*execution), Past::Succeeded { attempt: *attempt })
            }
            Event::StepSkipped { execution, step, .. } => (step, Some(*execution), Past::Skipped),
            Event::StepParked { execution, step, reason } => {
                (step, Some(*execution), Past::Parked { reason: reason.clone() })
            }
            Event::StepRetryScheduled { execution, step, attempt, failure, retry_at, .. } => {
                let (attempts_max, failure) = (max(step).unwrap_or(1), failure.clone());
                let what = Past::Retried { attempt: *attempt, attempts_max, failure, retry_at: *retry_at };
                (step, Some(*execution), what)
            }
            Event::StepFailed { execution, step, attempt, failure, .. } => {
                let (attempts_max, failure) = (max(step), failure.clone());
                (step, Some(*execution), Past::Failed { attempt: *attempt, attempts_max, failure })
            }
            Event::StepCanceled { execution, step } => {
                (step, Some(*execution), Past::Canceled { reason: cancel::reason(trail, entry, *execution) })
            }
            Event::HookEnded { execution, step, hook, failure: Some(failure), .. } => {
                (step, Some(*execution), Past::HookFailed { hook: *hook, failure: failure.clone() })
            }
            Event::MessageTaken { execution, step, message } => {
                (step, Some(*execution), Past::MessageTaken { message: *message })
            }
            Event::MessageKept { message, step } => (step, None, Past::MessageKept { message: *message }),
            Event::ChildStarted { execution, step, child } => {
                (step, Some(*execution), Past::ChildStarted { child: *child })
            }
            _ => return None,
        })
    }

    fn of_task<'e>(&self, event: &'e Event) -> Option<(&'e StepName, Past)> {
        Some(match event {
            Event::TaskClaimed { task, step, user } => (step, Past::TaskClaimed { task: *task, user: user.clone() }),
            Event::TaskReassigned { task, step, from, to, reason, by } => {
                let (from, to, reason, by) = (from.clone(), to.clone(), reason.clone(), by.clone());
                (step, Past::TaskReassigned { task: *task, from, to, reason, by })
            }
            Event::TaskOverdue { task, step } => (step, Past::TaskOverdue { task: *task }),
            Event::TaskCompleted { task, step, user, comment } => {
                (step, Past::TaskCompleted { task: *task, user: user.clone(), comment: comment.clone() })
            }
            _ => return None,
        })
    }

    fn of_whole(&self, event: &Event) -> Option<Past> {
        Some(match event {
            Event::WorkflowStarted { user } => {
                let parent = self.trail.instance.identity.parent.map(|parent| parent.instance);
                Past::Started { by: user.clone(), parent }
            }
            Event::WorkflowRetried { steps, by } => Past::TriedAgain { steps: steps.clone(), by: by.clone() },
            Event::CompensationStarted { executions } => Past::Undoing { executions: executions.clone() },
            Event::WorkflowCompleted => Past::WorkflowCompleted,
            Event::WorkflowFailed { error } => Past::WorkflowFailed { error: error.clone() },
            Event::WorkflowCanceled { reason, by } => Past::WorkflowCanceled { reason: reason.clone(), by: by.clone() },
            _ => return None,
        })
    }
}
