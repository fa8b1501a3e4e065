//! How an instance fails or is canceled, and how what it did is undone before.

use serde::{Deserialize, Serialize};

use super::Refusal;
use super::draft::Draft;
use super::join::Activation;
use crate::failure::{EngineCode, Failure, FailureCode, InstanceError, MESSAGE_LEN_BYTES_MAX};
use crate::history::Event;
use crate::instance::{Active, Phase, Place, Undoing};
use crate::name::{StepName, UserId};
use crate::problem::shorten;
use crate::status::WorkflowStatus;

/// What becomes of the executions that succeeded when an instance is canceled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensation {
    /// They stay.
    #[default]
    None,
    /// Those whose step names a component for it are undone, latest first.
    Undo,
}

/// How much of each failure to undo something the instance's error tells; its record has all of it.
const TOLD_LEN_CHARS_MAX: usize = 300;

impl Draft<'_> {
    /// Fails the instance for a reason of the engine's own, at an execution that is not recorded as failed.
    pub(super) fn fail_instance_by(&mut self, code: EngineCode, at: &Active, message: String) {
        self.fail_instance_at(at, &Failure::engine(code, message));
    }

    /// Fails the instance at an execution: other branches are canceled, what can be undone is, and it stays there.
    pub(super) fn fail_instance_at(&mut self, at: &Active, failure: &Failure) {
        if self.state.control.undoing.is_some() {
            // Undoing itself came to its bounds: what is left stays as it is.
            self.state.control.undoable.clear();
            self.cancel_active("what was left to be undone was given up");
            return self.undo_next();
        }
        let error = InstanceError::of_step(&at.step, failure);
        self.state.control.frontier = self.frontier_with(at);
        self.end(Undoing { end: WorkflowStatus::Failed, error, by: None }, Compensation::Undo);
    }

    /// Where the instance would go on if it was retried: at what failed, and at every other branch.
    fn frontier_with(&self, at: &Active) -> Vec<Active> {
        let whole = |mut active: Active| {
            while let Some(of) = active.place.group().and_then(|of| self.state.control.find_active(of)) {
                active = of.clone();
            }
            active
        };
        let mut frontier: Vec<Active> = Vec::new();
        for active in std::iter::once(at).chain(&self.state.control.active) {
            let active = whole(active.clone());
            if active.place.is_graph() && frontier.iter().all(|known| known.number != active.number) {
                let phase = match active.phase {
                    Phase::Joining => Phase::Joining,
                    _ => Phase::Scheduled { not_before: None },
                };
                frontier.push(Active { phase, attempts: 0, started_at: None, ..active });
            }
        }
        frontier.sort_by_key(|active| active.number);
        frontier
    }

    /// Cancels the instance. Whoever cancels while something is undone can only ask for that to end, too.
    pub(super) fn canceled(
        &mut self,
        reason: String,
        by: Option<UserId>,
        compensation: Compensation,
    ) -> Result<(), Refusal> {
        if compensation == Compensation::Undo && self.state.control.undoing.is_some() {
            let why = "what it did is being undone already; it ends once that is done";
            return Err(self.wrong_state("cancel", why));
        }
        let error = InstanceError {
            code: FailureCode::from(EngineCode::Canceled),
            message: reason,
            step: self.state.current_step.clone(),
            details: None,
        };
        self.state.control.undoing = None;
        if self.state.control.paused_at.take().is_some() {
            // Whoever cancels wants it to end: nobody has to let it go on first.
            self.events.push(Event::WorkflowResumed { by: by.clone() });
        }
        self.end(Undoing { end: WorkflowStatus::Canceled, error, by }, compensation);
        Ok(())
    }

    fn end(&mut self, undoing: Undoing, compensation: Compensation) {
        self.children = compensation;
        self.cancel_active(&undoing.error.message.clone());
        let executions: Vec<_> = self.state.control.undoable.iter().rev().map(|done| done.execution).collect();
        self.state.control.undoing = Some(undoing);
        if compensation == Compensation::None {
            self.state.control.undoable.clear();
        } else if !executions.is_empty() {
            self.state.control.frontier.clear();
            self.events.push(Event::CompensationStarted { executions });
        }
        self.undo_next();
    }

    /// Begins to undo the latest execution that is left, or ends the instance.
    fn undo_next(&mut self) {
        let Some(done) = self.state.control.undoable.pop() else { return self.finish_undoing() };
        let step = self.plan.find(&done.step).map(|index| self.plan.step(index));
        match step.and_then(|step| step.compensation) {
            Some(target) => {
                let place = Place::Undo { of: done.execution };
                self.activate(Activation { arrivals: vec![done], place, ..Activation::of(target) });
            }
            None => self.undo_next(),
        }
    }

    /// Goes on after an execution was undone, or could not be.
    pub(super) fn undone(&mut self, step: &StepName, failure: Option<&Failure>) {
        if let (Some(failure), Some(undoing)) = (failure, &mut self.state.control.undoing) {
            let told = format!("; `{step}` failed: {}", shorten(&failure.message, TOLD_LEN_CHARS_MAX));
            if undoing.error.message.len() + told.len() <= MESSAGE_LEN_BYTES_MAX {
                undoing.error.message.push_str(&told);
            }
        }
        self.undo_next();
    }

    fn finish_undoing(&mut self) {
        let Some(Undoing { end, error, by }) = self.state.control.undoing.take() else { return };
        self.state.current_step.clone_from(&error.step);
        self.state.status = end;
        self.state.control.paused_at = None;
        self.events.push(match end {
            WorkflowStatus::Canceled => Event::WorkflowCanceled { reason: error.message.clone(), by },
            _ => Event::WorkflowFailed { error: error.clone() },
        });
        self.state.error = Some(error);
    }
}
