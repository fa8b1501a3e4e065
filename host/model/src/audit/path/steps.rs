//! What happens to executions: activated, attempted, ended.

use super::super::{Found, Rule};
use super::{Awaits, Life, Path, Stage};
use crate::component::Purity;
use crate::history::{Event, Hook};
use crate::id::ExecutionNumber;
use crate::name::StepName;
use crate::plan::PlannedStep;
use crate::status::{StepStatus, StepType, TaskStatus};
use crate::transition::PURE_REPEATS_MAX;

impl Path<'_> {
    /// Follows what is about executions; says whether the event was.
    pub(super) fn follow_step(&mut self, event: &Event, found: &mut Found) -> bool {
        match event {
            Event::StepActivated { .. } => self.activated(event, found),
            Event::StepStarted { execution, step, attempt } => self.started(*execution, step, *attempt, found),
            Event::StepParked { execution, step, .. } => {
                self.expect_stage(*execution, step, Stage::Reached, "is held back", found);
            }
            Event::StepRetryScheduled { execution, step, attempt, .. } => {
                self.attempt_over(*execution, step, *attempt, Stage::Reached, found);
            }
            Event::StepCompleted { execution, step, attempt, .. } => {
                self.completed(*execution, step, *attempt, found);
            }
            Event::StepSkipped { execution, step, .. } => {
                self.expect_stage(*execution, step, Stage::Attempted, "is skipped", found);
                self.end(*execution, step, StepStatus::Skipped, found);
            }
            Event::StepFailed { execution, step, attempt, .. } => self.failed(*execution, step, *attempt, found),
            Event::StepCanceled { execution, step } => self.end(*execution, step, StepStatus::Canceled, found),
            Event::HookEnded { execution, step, hook: Hook::OnFailure, .. } => {
                self.expect_stage(*execution, step, Stage::Failed, "runs `on-failure`", found);
                self.end(*execution, step, StepStatus::Failed, found);
            }
            Event::HookEnded { execution, step, hook: Hook::OnSuccess, .. } => {
                let succeeded = Stage::Ended(StepStatus::Succeeded);
                let is_possible = self.lives.get(execution).is_some_and(|life| life.stage == succeeded);
                found.expect(Rule::Path, is_possible, || {
                    format!("execution {execution} of `{step}` runs `on-success` and has not succeeded")
                });
            }
            _ => return false,
        }
        true
    }

    fn activated(&mut self, event: &Event, found: &mut Found) {
        let Event::StepActivated { execution, step, step_type, from, with, edge, part_of, item } = event else {
            return;
        };
        let number = *execution;
        let next = self.lives.keys().next_back().map_or(0, |last| last.0) + 1;
        found.expect(Rule::Path, number.0 == next, || {
            format!("execution {number} of `{step}` is activated, and the next one is {next}")
        });
        let planned = self.planned(step, found);
        found.expect(Rule::Path, planned.is_none_or(|planned| planned.step_type() == *step_type), || {
            format!("execution {number} of `{step}` is told to be of type {step_type}")
        });
        self.check_place(number, step, *part_of, found);
        for before in from.iter().chain(with) {
            let has_ended = self.lives.get(before).is_some_and(Life::has_ended);
            // The parts of a whole are given what came to it while it runs.
            found.expect(Rule::Path, has_ended || part_of.is_some(), || {
                format!("execution {number} of `{step}` follows execution {before}, which has not ended")
            });
        }
        match (from, edge) {
            (Some(from), Some(edge)) => self.check_way(*from, step, *edge, found),
            (None, Some(edge)) => found.note(Rule::Edges, format!("edge {edge} to `{step}` leads from nowhere")),
            (_, None) => {}
        }
        let life = Life {
            step: step.clone(),
            step_type: *step_type,
            part_of: *part_of,
            item: *item,
            attempts: 0,
            stage: Stage::Reached,
            awaits: Awaits::Nothing,
        };
        self.lives.insert(number, life);
    }

    fn check_place(
        &mut self,
        number: ExecutionNumber,
        step: &StepName,
        part_of: Option<ExecutionNumber>,
        found: &mut Found,
    ) {
        let Some(whole) = part_of else { return };
        if step.as_str().ends_with("/compensate") {
            let next = self.to_undo.pop();
            found.expect(Rule::Path, next == Some(whole), || {
                format!("execution {number} of `{step}` undoes execution {whole} out of its turn")
            });
        } else {
            let is_open = self.lives.get(&whole).is_some_and(|life| !life.has_ended());
            found.expect(Rule::Path, is_open, || {
                format!("execution {number} of `{step}` is a part of execution {whole}, which is not active")
            });
        }
    }

    fn started(&mut self, number: ExecutionNumber, step: &StepName, attempt: u32, found: &mut Found) {
        found.expect(Rule::Path, !self.is_held(), || {
            format!("attempt {attempt} of execution {number} of `{step}` begins while an operator holds the instance")
        });
        let max = self.planned(step, found).and_then(PlannedStep::machine).map(|machine| {
            let more = if machine.purity == Purity::Pure { PURE_REPEATS_MAX } else { 0 };
            machine.retry.max_attempts.saturating_add(more)
        });
        found.expect(Rule::Attempts, max.is_none_or(|max| attempt <= max), || {
            format!("attempt {attempt} of execution {number} of `{step}` begins, and it may have {}", max.unwrap_or(0))
        });
        self.expect_stage(number, step, Stage::Reached, "is begun", found);
        let Some(life) = self.open(number, step, found) else { return };
        found.expect(Rule::Attempts, attempt == life.attempts + 1, || {
            format!("attempt {attempt} of execution {number} of `{step}` begins after attempt {}", life.attempts)
        });
        life.attempts = attempt;
        life.stage = Stage::Attempted;
    }

    /// An attempt that was under way is over, and another one or `on-failure` follows.
    fn attempt_over(&mut self, number: ExecutionNumber, step: &StepName, attempt: u32, to: Stage, found: &mut Found) {
        self.expect_stage(number, step, Stage::Attempted, "ends an attempt", found);
        let Some(life) = self.open(number, step, found) else { return };
        life.stage = to;
        check_attempt(number, life, attempt, found);
    }

    fn completed(&mut self, number: ExecutionNumber, step: &StepName, attempt: u32, found: &mut Found) {
        let planned = self.planned(step, found);
        let can_be_undone = planned.is_some_and(|planned| planned.compensation.is_some());
        let runs_component = planned.is_some_and(|planned| planned.machine().is_some());
        if let Some(life) = self.open(number, step, found) {
            check_attempt(number, life, attempt, found);
            let is_attempted = life.stage == Stage::Attempted;
            let expects_attempt = life.step_type == StepType::Machine || runs_component;
            found.expect(Rule::Path, is_attempted || !expects_attempt, || {
                format!("execution {number} of `{step}` succeeds, and no attempt of it is under way")
            });
        }
        self.check_awaited(number, step, found);
        self.end(number, step, StepStatus::Succeeded, found);
        if can_be_undone {
            self.undoable.push(number);
        }
    }

    /// What a step waits for has come before it succeeds.
    fn check_awaited(&self, number: ExecutionNumber, step: &StepName, found: &mut Found) {
        let Some(life) = self.lives.get(&number) else { return };
        let task = |task| self.tasks.get(&task).is_some_and(|told| told.status == TaskStatus::Completed);
        let has_come = match (life.step_type, life.awaits) {
            (StepType::Human, Awaits::Task(id)) => task(id),
            (StepType::Workflow, Awaits::Child(child)) => self.children_ended.contains(&child),
            (StepType::Webhook | StepType::Signal, awaits) => awaits == Awaits::TakenMessage,
            (StepType::Human | StepType::Workflow, _) => false,
            _ => true,
        };
        found.expect(Rule::Path, has_come, || {
            format!("execution {number} of `{step}` succeeds, and what it waited for has not come")
        });
    }

    fn failed(&mut self, number: ExecutionNumber, step: &StepName, attempt: u32, found: &mut Found) {
        // The end of a machine step that failed is the end of its hook.
        if self.lives.get(&number).is_some_and(|life| life.step_type == StepType::Machine) {
            return self.attempt_over(number, step, attempt, Stage::Failed, found);
        }
        if let Some(life) = self.open(number, step, found) {
            check_attempt(number, life, attempt, found);
        }
        self.end(number, step, StepStatus::Failed, found);
    }

    fn end(&mut self, number: ExecutionNumber, step: &StepName, status: StepStatus, found: &mut Found) {
        let Some(life) = self.open(number, step, found) else { return };
        life.stage = Stage::Ended(status);
        let pending = match life.awaits {
            Awaits::Task(task) => self.tasks.get(&task).filter(|told| told.status == TaskStatus::Pending),
            Awaits::Nothing | Awaits::Child(_) | Awaits::TakenMessage => None,
        };
        found.expect(Rule::Tasks, pending.is_none(), || {
            format!("execution {number} of `{step}` ends, and its task is pending")
        });
        self.ends.push(number);
        let is_part = |life: &&Life| life.part_of == Some(number) && !life.has_ended();
        if let Some(part) = self.lives.values().find(is_part) {
            found.note(Rule::Path, format!("execution {number} of `{step}` ends before its part `{}`", part.step));
        }
    }

    fn expect_stage(&mut self, number: ExecutionNumber, step: &StepName, stage: Stage, what: &str, found: &mut Found) {
        // What is not there, or has ended, is told once it is to change.
        if let Some(life) = self.lives.get(&number).filter(|life| !life.has_ended()) {
            found.expect(Rule::Path, life.stage == stage, || {
                format!("execution {number} of `{step}` {what}, and stands at {:?}", life.stage)
            });
        }
    }

    pub(super) fn planned(&self, step: &StepName, found: &mut Found) -> Option<&PlannedStep> {
        let plan = self.plan?;
        let planned = plan.find(step).map(|index| plan.step(index));
        found.expect(Rule::Path, planned.is_some(), || format!("`{step}` is no step of the definition"));
        planned
    }
}

fn check_attempt(number: ExecutionNumber, life: &Life, attempt: u32, found: &mut Found) {
    found.expect(Rule::Attempts, attempt == life.attempts, || {
        format!("attempt {attempt} of execution {number} of `{}` ends, and {} were begun", life.step, life.attempts)
    });
}
