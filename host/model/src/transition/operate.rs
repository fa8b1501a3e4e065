//! What an operator does to an instance as a whole: hold it, let it go on, try it again.

use super::draft::Draft;
use super::join::Activation;
use super::{Refusal, RetryPoint};
use crate::history::Event;
use crate::instance::{Active, Arrival, Phase};
use crate::name::UserId;
use crate::plan::StepIndex;
use crate::status::WorkflowStatus;

impl Draft<'_> {
    pub(super) fn paused(&mut self, by: Option<UserId>) -> Result<(), Refusal> {
        if self.state.control.paused_at.is_some() {
            return Err(self.wrong_state("pause", "it is paused already"));
        }
        self.state.control.paused_at = Some(self.now);
        self.events.push(Event::WorkflowPaused { by });
        Ok(())
    }

    pub(super) fn resumed(&mut self, by: Option<UserId>) -> Result<(), Refusal> {
        if self.state.control.paused_at.take().is_none() {
            return Err(self.wrong_state("resume", "it is not paused"));
        }
        self.events.push(Event::WorkflowResumed { by });
        Ok(())
    }

    /// Lets a failed instance go on: at what failed and every branch that was canceled with it, or at a named step.
    ///
    /// From a named step the branches go on as well that do not come to be run by it again. What the instance did stays;
    /// each step that it goes on at gets a new execution.
    pub(super) fn retried(&mut self, from: Option<RetryPoint>, by: Option<UserId>) -> Result<(), Refusal> {
        if self.state.status != WorkflowStatus::Failed {
            return Err(self.wrong_state("retry", "only a failed instance can be retried"));
        }
        let frontier = std::mem::take(&mut self.state.control.frontier);
        if frontier.is_empty() {
            let why = "what it did was undone; start a new instance instead";
            return Err(self.wrong_state("retry", why));
        }
        let points: Vec<_> = match from {
            None => frontier.into_iter().map(RetryPoint::of).collect(),
            Some(from) => {
                let beside: Vec<_> =
                    frontier.into_iter().filter_map(|active| self.beside(active, &from)).map(RetryPoint::of).collect();
                [from].into_iter().chain(beside).collect()
            }
        };
        self.state.status = WorkflowStatus::Running;
        self.state.error = None;
        self.state.completed_at = None;
        let steps = points.iter().map(|point| point.step.clone()).collect();
        self.events.push(Event::WorkflowRetried { steps, by });
        for RetryPoint { step, arrivals, absorbed_at } in points {
            let target = self.plan.find(&step).filter(|_| !step.is_part());
            let Some(target) = target else {
                return Err(self.wrong_state("retry", "the step to go on from is no step of its graph"));
            };
            if self.activate(Activation { arrivals, absorbed_at, ..Activation::of(target) }).is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What is left of a branch where an instance goes on from a step: all that this does not run again.
    fn beside(&self, mut branch: Active, from: &RetryPoint) -> Option<Active> {
        let from = self.plan.find(&from.step)?;
        let (at, _) = self.planned(&branch);
        let runs_again = |step: StepIndex| step == from || self.plan.can_reach(from, step);
        if branch.phase == Phase::Joining && at != from {
            // It waits in a join, which the branch that runs again is still to come to.
            branch.arrivals.retain(|arrival| self.plan.find(&arrival.step).is_some_and(|step| !runs_again(step)));
            return Some(branch).filter(|branch| !branch.arrivals.is_empty());
        }
        Some(branch).filter(|_| !runs_again(at))
    }

    pub(super) fn wrong_state(&self, what: &'static str, why: &'static str) -> Refusal {
        Refusal::WrongState { what, status: self.instance.state.status, why }
    }
}

impl RetryPoint {
    fn of(active: Active) -> Self {
        Self { step: active.step, arrivals: active.arrivals, absorbed_at: active.absorbed_at }
    }

    /// A step that is to run again with what came to it before.
    #[must_use]
    pub const fn new(step: crate::name::StepName, arrivals: Vec<Arrival>) -> Self {
        Self { step, arrivals, absorbed_at: std::collections::BTreeSet::new() }
    }
}
