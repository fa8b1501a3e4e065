//! Arrivals and joins: when a step that was reached runs.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::flow::Leaving;
use crate::definition::Join;
use crate::failure::EngineCode;
use crate::history::Event;
use crate::id::ExecutionNumber;
use crate::instance::{Active, Arrival, Phase, Place};
use crate::name::StepName;
use crate::plan::{PlannedEdge, PlannedKind, StepIndex};

/// The most executions of one instance that are active at once.
///
/// Protects the store: each transition writes the state of all of them anew.
pub const ACTIVE_MAX: usize = 2_000;

/// A step that is to be active, and what came to it.
pub(super) struct Activation {
    pub(super) target: StepIndex,
    pub(super) arrivals: Vec<Arrival>,
    pub(super) edge: Option<u32>,
    pub(super) place: Place,
    pub(super) absorbed_at: BTreeSet<StepName>,
}

impl Activation {
    /// A step of the graph that nothing came to.
    pub(super) const fn of(target: StepIndex) -> Self {
        Self { target, arrivals: Vec::new(), edge: None, place: Place::Graph, absorbed_at: BTreeSet::new() }
    }
}

impl Draft<'_> {
    /// Lets a branch come to a step over an edge: a new execution, or one more arrival at one that waits in its join.
    ///
    /// A branch that comes over several edges at once has come once.
    pub(super) fn arrive(&mut self, leaving: &mut Leaving, edge: &PlannedEdge) {
        if self.state.status.is_finished() || self.state.control.undoing.is_some() {
            return;
        }
        let step = self.plan.step(edge.target);
        let from = leaving.active.number;
        if leaving.active.absorbed_at.contains(&step.name) {
            self.events.push(Event::BranchAbsorbed { step: step.name.clone(), from, edge: edge.index });
            return;
        }
        let has_result = leaving.result.is_some();
        let arrival = Arrival { step: leaving.active.step.clone(), execution: from, has_result, item: None };
        if step.incoming > 1
            && let Some(waiting) = self.waiting_in_join(&step.name)
        {
            return self.join(waiting, arrival, edge.index, &leaving.active.absorbed_at);
        }
        let absorbed_at = leaving.active.absorbed_at.clone();
        let activation =
            Activation { arrivals: vec![arrival], edge: Some(edge.index), absorbed_at, ..Activation::of(edge.target) };
        let Some(number) = self.activate(activation) else { return };
        if step.join == Join::Any {
            self.absorb_others(number, edge.target, leaving);
        }
    }

    /// Notes at every other branch that can still come to a step with `join: any` that it ends there.
    fn absorb_others(&mut self, number: ExecutionNumber, target: StepIndex, leaving: &mut Leaving) {
        let plan = self.plan;
        let name = &plan.step(target).name;
        let others = self.branches().filter(|other| other.number != number && self.can_come(other, target));
        for other in others.map(|other| other.number).collect::<Vec<_>>() {
            if let Some(other) = self.active_mut(other) {
                other.absorbed_at.insert(name.clone());
            }
        }
        leaving.active.absorbed_at.insert(name.clone());
    }

    fn join(&mut self, number: ExecutionNumber, arrival: Arrival, edge: u32, absorbed_at: &BTreeSet<StepName>) {
        let waiting = self.active_mut(number).expect("it was found just now");
        if waiting.arrivals.iter().any(|known| known.execution == arrival.execution) {
            return;
        }
        // What only some of the branches have passed, the joined one may still come to.
        waiting.absorbed_at.retain(|step| absorbed_at.contains(step));
        let (step, from) = (waiting.step.clone(), arrival.execution);
        waiting.arrivals.push(arrival);
        self.events.push(Event::BranchJoined { execution: number, step, from, edge });
    }

    /// Makes a step active; nothing if the instance has run too many executions, which fails it.
    pub(super) fn activate(&mut self, activation: Activation) -> Option<ExecutionNumber> {
        let step = self.plan.step(activation.target);
        let number = ExecutionNumber(self.state.control.executions + 1);
        let active = Active {
            number,
            step: step.name.clone(),
            phase: Phase::Joining,
            arrivals: activation.arrivals,
            attempts: 0,
            activated_at: self.now,
            started_at: None,
            place: activation.place,
            absorbed_at: activation.absorbed_at,
            parked: None,
        };
        let max = self.plan.definition.limits.iterations;
        let counts = !matches!(active.place, Place::Undo { .. });
        if counts && self.state.control.executions >= max {
            let message = format!(
                "the instance ran {max} step executions, its limit; raise `limits.iterations`, or end the loop"
            );
            self.fail_instance_by(EngineCode::Iterations, &active, message);
            return None;
        }
        if counts && self.state.control.active.len() >= ACTIVE_MAX {
            let message = format!(
                "{ACTIVE_MAX} step executions are active at once, the most that one instance may have; let fewer items or \
                 members run at once with `max_concurrency`"
            );
            self.fail_instance_by(EngineCode::Iterations, &active, message);
            return None;
        }
        self.state.control.executions += 1;
        let record = self.record_of(&active);
        let is_join = active.place.is_graph();
        self.events.push(Event::StepActivated {
            execution: number,
            step: active.step.clone(),
            step_type: step.step_type(),
            from: active.arrivals.first().map(|arrival| arrival.execution),
            with: active.arrivals.iter().skip(1).filter(|_| is_join).map(|arrival| arrival.execution).collect(),
            edge: activation.edge,
            part_of: record.part_of,
            item: record.item,
        });
        self.state.control.active.push(active);
        Some(number)
    }

    fn waiting_in_join(&self, step: &StepName) -> Option<ExecutionNumber> {
        let joining = |active: &&Active| active.step == *step && active.phase == Phase::Joining;
        self.state.control.active.iter().find(joining).map(|active| active.number)
    }

    /// Lets every execution go on that nothing holds back any more, until none is left.
    ///
    /// An execution waits in its join as long as another active branch can still come to it. Where only branches that
    /// wait in joins themselves can, the one that has waited longest goes: so no set of joins can block each other,
    /// whatever else is under way elsewhere. Nothing goes on while an operator holds the instance.
    pub(super) fn settle(&mut self) {
        while !self.state.status.is_finished() && self.state.control.paused_at.is_none() {
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
        let mut others = self.branches().filter(|other| other.phase != Phase::Joining && other.step != waiting.step);
        others.any(|other| self.can_come(other, target))
    }

    /// Whether another branch can still come to the step that an execution waits at. One that is in that step already
    /// could only come back through the join itself.
    fn is_awaited(&self, waiting: &Active) -> bool {
        let (target, step) = self.planned(waiting);
        step.incoming > 1
            && step.join == Join::All
            && self.branches().filter(|other| other.step != waiting.step).any(|other| self.can_come(other, target))
    }

    fn branches(&self) -> impl Iterator<Item = &Active> {
        self.state.control.active.iter().filter(|active| active.place.is_graph())
    }

    fn can_come(&self, branch: &Active, target: StepIndex) -> bool {
        let (at, _) = self.planned(branch);
        if branch.absorbed_at.is_empty() || !self.plan.can_reach(at, target) {
            return self.plan.can_reach(at, target);
        }
        let mut ways = self.ways.borrow_mut();
        let ways = ways.entry((target, branch.absorbed_at.clone()));
        ways.or_insert_with(|| self.plan.reached_from(target, &branch.absorbed_at).into())[at.0]
    }

    /// Lets an execution do what its step does.
    fn enter(&mut self, number: ExecutionNumber) {
        let active = self.state.control.find_active(number).expect("only active executions are entered").clone();
        let (_, step) = self.planned(&active);
        if active.arrivals.len() > 1 {
            let results: Vec<_> =
                active.arrivals.iter().filter_map(|arrival| self.result_of(arrival.execution)).collect();
            if let Err((code, message)) = self.check_together(results.iter(), &format!("join at `{}`", step.name)) {
                return self.fail_instance_by(code, &active, message);
            }
        }
        match &step.kind {
            PlannedKind::Machine(_) | PlannedKind::GatewayComponent(_) => {
                self.set_phase(number, Phase::Scheduled { not_before: None });
            }
            PlannedKind::Human(human) => self.create_task(&active, human),
            PlannedKind::Gateway(_) => self.pass_on(&active),
            PlannedKind::Timer(timer) => self.begin_timer(&active, timer),
            PlannedKind::Message(message) => self.begin_message(&active, message),
            PlannedKind::Group(group) => self.begin_group(&active, group),
            PlannedKind::ForEach(each) => self.begin_for_each(&active, each),
            PlannedKind::Workflow(child) => self.begin_child(&active, child),
        }
    }
}
