//! Edges, gateways and joins: where an execution that ended leads to.

use super::draft::{Draft, ExecutionEnd};
use crate::definition::{GatewayMode, Outcome};
use crate::expression::EvaluationError;
use crate::failure::EngineCode;
use crate::history::{EdgeDecision, Event};
use crate::id::ExecutionNumber;
use crate::instance::{Active, Arrival, Phase};
use crate::json::{JSON_DEPTH_MAX, Json};
use crate::name::StepName;
use crate::plan::{PlannedEdge, PlannedKind, PlannedStep, StepIndex};
use crate::status::StepStatus;

/// The most bytes that the results of the branches of one join may have together.
///
/// Protects memory and store: each join hands on all that came to it, so joins in a row or a loop would double it
/// again and again.
pub const JOINED_LEN_BYTES_MAX: usize = 4 << 20;

/// An execution that has ended and whose edges are to be looked at.
#[derive(Clone)]
pub(super) struct Leaving {
    pub(super) execution: ExecutionNumber,
    pub(super) step: StepName,
    pub(super) result: Option<Json>,
    pub(super) outcome: Outcome,
}

/// What became of the edges of an execution that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureWay {
    /// One was taken.
    Taken,
    /// There is none, or none could be taken.
    None,
}

impl Draft<'_> {
    /// Goes on from a step that succeeded or was skipped. If it has edges, one must be taken.
    pub(super) fn leave(&mut self, leaving: Leaving) {
        let index = self.plan.find(&leaving.step).expect("an instance stays on the definition it started with");
        let step = self.plan.step(index);
        if step.is_terminal || step.outgoing(Outcome::Success).next().is_none() {
            self.state.result = leaving.result;
            return;
        }
        let Ok(taken) = self.decide(step, &leaving) else { return };
        if taken.is_empty() {
            self.fail_without_way(step);
        }
        for edge in taken {
            self.arrive(&leaving, edge);
        }
    }

    /// Goes on from a step that failed for good, if it has a way for that.
    pub(super) fn leave_failed(&mut self, leaving: &Leaving) -> FailureWay {
        let index = self.plan.find(&leaving.step).expect("an instance stays on the definition it started with");
        let step = self.plan.step(index);
        if step.outgoing(leaving.outcome).next().is_none() {
            return FailureWay::None;
        }
        let Ok(taken) = self.decide(step, leaving) else { return FailureWay::Taken };
        if taken.is_empty() {
            return FailureWay::None;
        }
        for edge in taken {
            self.arrive(leaving, edge);
        }
        FailureWay::Taken
    }

    fn fail_without_way(&mut self, step: &PlannedStep) {
        let looked_at = step.outgoing(Outcome::Success).count();
        let message = format!(
            "no edge out of `{}` could be taken: none of its {looked_at} conditions held and it has no default edge; \
             add one with `default: true`",
            step.name
        );
        self.fail_instance_by(EngineCode::Expression, &step.name, message);
    }

    /// Looks at the edges of one outcome in order and says which are taken.
    ///
    /// An error in a condition fails the instance here, naming the edge.
    fn decide<'p>(&mut self, step: &'p PlannedStep, leaving: &Leaving) -> Result<Vec<&'p PlannedEdge>, ()> {
        let mode = match step.kind {
            PlannedKind::Gateway(mode) if leaving.outcome == Outcome::Success => mode,
            _ => GatewayMode::Inclusive,
        };
        let mut decisions = Vec::new();
        let mut taken = Vec::new();
        for edge in step.outgoing(leaving.outcome).filter(|edge| !edge.is_default || mode == GatewayMode::Parallel) {
            let holds = match (&edge.condition, mode) {
                (Some(_), GatewayMode::Exclusive) if !taken.is_empty() => break,
                (None, GatewayMode::Exclusive) if !taken.is_empty() => break,
                (Some(condition), GatewayMode::Exclusive | GatewayMode::Inclusive) => self
                    .with_scope(leaving.result.as_ref(), |scope| condition.evaluate(scope))
                    .map_err(|_| ())?,
                (None, _) | (Some(_), GatewayMode::Parallel) => true,
            };
            decisions.push(self.decision(edge, holds));
            if holds {
                taken.push(edge);
            }
        }
        if taken.is_empty() {
            taken.extend(step.outgoing(leaving.outcome).find(|edge| edge.is_default));
            decisions.extend(taken.iter().map(|edge| self.decision(edge, true)));
        }
        let (execution, step) = (leaving.execution, step.name.clone());
        self.events.push(Event::EdgesDecided { execution, step, edges: decisions });
        Ok(taken)
    }

    fn decision(&self, edge: &PlannedEdge, taken: bool) -> EdgeDecision {
        EdgeDecision { edge: edge.index, target: self.plan.step(edge.target).name.clone(), taken, read: Vec::new() }
    }

    fn fail_by_condition(&mut self, step: &PlannedStep, edge: &PlannedEdge, error: &EvaluationError) {
        let target = &self.plan.step(edge.target).name;
        let message =
            format!("the condition of edge {} from `{}` to `{target}` failed: {error}", edge.index, step.name);
        self.fail_instance_by(EngineCode::Expression, &step.name, message);
    }

    fn arrive(&mut self, leaving: &Leaving, edge: &PlannedEdge) {
        if self.state.status.is_finished() {
            return;
        }
        let arrival =
            Arrival { step: leaving.step.clone(), execution: leaving.execution, has_result: leaving.result.is_some(), item: None };
        self.activate(edge.target, Some((arrival, edge.index)));
    }

    /// Lets a branch come to a step: a new execution, or one more arrival at an execution that waits in a join.
    ///
    /// A branch that comes over several edges at once has come once.
    pub(super) fn activate(&mut self, target: StepIndex, from: Option<(Arrival, u32)>) {
        let step = self.plan.step(target);
        if let Some((arrival, edge)) = &from
            && let Some(number) = self.waiting_in_join(&step.name)
        {
            let waiting = self.active_mut(number).expect("it was found just now");
            if waiting.arrivals.iter().any(|known| known.execution == arrival.execution) {
                return;
            }
            waiting.arrivals.push(arrival.clone());
            let event = Event::BranchJoined {
                execution: number,
                step: step.name.clone(),
                from: arrival.execution,
                edge: *edge,
            };
            self.events.push(event);
            return;
        }
        if self.state.control.executions >= self.plan.definition.limits.iterations {
            let max = self.plan.definition.limits.iterations;
            let message = format!(
                "the instance ran {max} step executions, its limit; raise `limits.iterations`, or end the loop"
            );
            self.fail_instance_by(EngineCode::Iterations, &step.name, message);
            return;
        }
        self.state.control.executions += 1;
        let number = ExecutionNumber(self.state.control.executions);
        self.events.push(Event::StepActivated {
            execution: number,
            step: step.name.clone(),
            step_type: step.step_type(),
            from: from.as_ref().map(|(arrival, _)| arrival.execution),
            edge: from.as_ref().map(|(_, edge)| *edge), part_of: None, item: None,
        });
        self.state.control.active.push(Active {
            number,
            step: step.name.clone(),
            phase: Phase::Joining,
            arrivals: from.map(|(arrival, _)| arrival).into_iter().collect(),
            attempts: 0,
            activated_at: self.now,
            started_at: None, place: Default::default(), absorbed_at: Default::default(),
        });
    }

    fn waiting_in_join(&self, step: &StepName) -> Option<ExecutionNumber> {
        let joining = |active: &&Active| active.step == *step && active.phase == Phase::Joining;
        self.state.control.active.iter().find(joining).map(|active| active.number)
    }

    /// Lets every execution go on that nothing holds back any more, until none is left.
    ///
    /// An execution waits in its join as long as another active branch can still come to it. Where only branches that
    /// wait in joins themselves can, the one that has waited longest goes: so no set of joins can block each other,
    /// whatever else is under way elsewhere.
    pub(super) fn settle(&mut self) {
        while !self.state.status.is_finished() {
            let Some(number) = self.next_to_enter() else { return };
            self.enter(number);
        }
    }

    fn next_to_enter(&self) -> Option<ExecutionNumber> {
        let joining = || self.state.control.active.iter().filter(|active| active.phase == Phase::Joining);
        let next = joining().find(|waiting| !self.is_awaited(waiting));
        next.or_else(|| joining().find(|waiting| !self.is_awaited_by_moving(waiting))).map(|active| active.number)
    }

    /// Whether a branch that does not wait in a join can still come to the step that an execution waits at.
    ///
    /// If none can, then none can come to the joins either that this one waits for: who reaches those reaches this.
    fn is_awaited_by_moving(&self, waiting: &Active) -> bool {
        let (target, _) = self.planned(waiting);
        let mut moving = self.state.control.active.iter().filter(|other| other.phase != Phase::Joining);
        moving.any(|other| self.plan.can_reach(self.planned(other).0, target))
    }

    /// Whether another branch can still come to the step that an execution waits at.
    fn is_awaited(&self, waiting: &Active) -> bool {
        let (target, step) = self.planned(waiting);
        step.incoming > 1
            && self
                .state
                .control
                .active
                .iter()
                .filter(|other| other.step != waiting.step)
                .any(|other| self.plan.can_reach(self.planned(other).0, target))
    }

    /// Lets an execution do what its step does.
    fn enter(&mut self, number: ExecutionNumber) {
        let active = self.state.control.find_active(number).expect("only active executions are entered").clone();
        let (_, step) = self.planned(&active);
        if let Err((code, message)) = self.check_joined(&active) {
            return self.fail_instance_by(code, &active.step, message);
        }
        match &step.kind {
            PlannedKind::Machine(_) => self.set_phase(number, Phase::Scheduled { not_before: None }),
            PlannedKind::Human(human) => self.create_task(&active, human),
            PlannedKind::Gateway(_) => self.pass_gateway(&active), _ => {}
        }
    }

    /// Checks that what came over several branches stays within bounds when it is put together.
    fn check_joined(&self, active: &Active) -> Result<(), (EngineCode, String)> {
        if active.arrivals.len() < 2 {
            return Ok(());
        }
        let step = &active.step;
        let results = || active.arrivals.iter().filter_map(|arrival| self.result_of(arrival.execution));
        let bytes: usize = results().map(|result| result.len_bytes()).sum();
        if bytes > JOINED_LEN_BYTES_MAX {
            let message = format!(
                "the results that join at `{step}` have {bytes} bytes together; at most {JOINED_LEN_BYTES_MAX}: \
                 let the steps before it return less"
            );
            return Err((EngineCode::Output, message));
        }
        if results().any(|result| result.depth() >= JSON_DEPTH_MAX) {
            let message = format!(
                "the results that join at `{step}` would nest deeper than {JSON_DEPTH_MAX} when they are put together; \
                 let the steps before it return flatter ones"
            );
            return Err((EngineCode::InvalidOutput, message));
        }
        Ok(())
    }

    pub(super) fn set_phase(&mut self, number: ExecutionNumber, phase: Phase) {
        if let Some(active) = self.active_mut(number) {
            active.phase = phase;
        }
    }

    /// A gateway hands on what came to it; at the start that is the initial data.
    fn pass_gateway(&mut self, active: &Active) {
        self.remove_active(active.number);
        let result = match active.arrivals.as_slice() {
            [] => self.result_of(ExecutionNumber::INPUT),
            _ => self.previous_result(active),
        };
        let end =
            ExecutionEnd { input: result.clone(), output: result.clone(), ..ExecutionEnd::new(StepStatus::Succeeded) };
        self.record_end(active, end);
        self.events.push(Event::StepCompleted {
            execution: active.number,
            step: active.step.clone(),
            attempt: 0,
            wrote: Vec::new(),
            trace: None,
        });
        let outcome = Outcome::Success;
        self.leave(Leaving { execution: active.number, step: active.step.clone(), result, outcome });
    }

    /// What the step before returned: see [`crate::instance::WorkflowInstance::previous_result`].
    pub(super) fn previous_result(&self, active: &Active) -> Option<Json> {
        crate::instance::combine_results(active, |number| self.result_of(number))
    }
}
