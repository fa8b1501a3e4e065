//! The rules of `docs/semantics.md`, section 3, once more: as slow and as plain as they are written there.
//!
//! Shares nothing with the model but the definition: no plan, no bits of who reaches whom, no phases, no transitions.
//! It knows no time, no data and no attempts; conditions are `true` or `false`. An execution's number is its place in
//! [`Interpreter::executions`], from 1.

use stepcell_model::definition::{Edge, GatewayMode, Outcome, StepDefinition, WorkflowDefinition};
use stepcell_model::status::{StepStatus, WorkflowStatus};

/// How a script lets an execution end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Succeeds,
    Skips,
    Fails,
}

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Activated; waits for other branches, if it has to.
    AtItsJoin,
    /// Has begun: runs, or waits for a person.
    Inside,
    /// Ended.
    Ended(StepStatus),
}

/// One activation of a step.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) step: String,
    pub(crate) place: Place,
}

/// One instance.
pub(crate) struct Interpreter<'d> {
    definition: &'d WorkflowDefinition,
    /// All activations, in order.
    pub(crate) executions: Vec<Execution>,
    /// The numbers of those that ended, in the order of their ends.
    pub(crate) ends: Vec<usize>,
    /// The step that failed the instance, if one did.
    pub(crate) failed_at: Option<String>,
}

impl<'d> Interpreter<'d> {
    /// Rule 1: an activation of the initial step.
    pub(crate) fn start(definition: &'d WorkflowDefinition) -> Self {
        let mut this = Self { definition, executions: Vec::new(), ends: Vec::new(), failed_at: None };
        this.activate(definition.initial_step.as_str());
        this.pass_joins();
        this
    }

    /// Rule 6, and the ends of rules 3, 4, 7 and 8.
    pub(crate) fn status(&self) -> WorkflowStatus {
        let active: Vec<_> = self.active().map(|number| self.of(number)).collect();
        let waits = |execution: &&Execution| {
            execution.place == Place::AtItsJoin
                || matches!(self.definition.steps[execution.step.as_str()], StepDefinition::Human(_))
        };
        if self.failed_at.is_some() {
            WorkflowStatus::Failed
        } else if active.is_empty() {
            WorkflowStatus::Completed
        } else if active.iter().all(waits) {
            WorkflowStatus::Waiting
        } else {
            WorkflowStatus::Running
        }
    }

    /// The numbers of the executions that have not ended.
    pub(crate) fn active(&self) -> impl Iterator<Item = usize> {
        (1..=self.executions.len()).filter(|number| !matches!(self.of(*number).place, Place::Ended(_)))
    }

    /// The execution of that number.
    pub(crate) fn of(&self, number: usize) -> &Execution {
        &self.executions[number - 1]
    }

    /// Lets an execution that has begun end.
    pub(crate) fn end(&mut self, number: usize, end: End) {
        assert_eq!(self.of(number).place, Place::Inside, "only what has begun can end");
        match end {
            End::Succeeds => self.leave_well(number, StepStatus::Succeeded),
            End::Skips => self.leave_well(number, StepStatus::Skipped),
            End::Fails => self.leave_failed(number),
        }
        self.pass_joins();
    }

    /// Rules 2, 3 and 4.
    fn leave_well(&mut self, number: usize, status: StepStatus) {
        self.record(number, status);
        let step = self.of(number).step.clone();
        if self.ends_its_branch(&step) {
            return;
        }
        let taken = self.taken(&step, Outcome::Success);
        if taken.is_empty() {
            return self.fail_instance(&step);
        }
        self.follow(taken);
    }

    /// Rule 7.
    fn leave_failed(&mut self, number: usize) {
        self.record(number, StepStatus::Failed);
        let step = self.of(number).step.clone();
        let taken = self.taken(&step, Outcome::Failure);
        if taken.is_empty() {
            return self.fail_instance(&step);
        }
        self.follow(taken);
    }

    fn follow(&mut self, taken: Vec<&Edge>) {
        for edge in taken {
            if self.failed_at.is_none() {
                self.activate(edge.target.as_str());
            }
        }
    }

    /// Rule 4.
    fn ends_its_branch(&self, step: &str) -> bool {
        let is_named = self.definition.terminal_steps.iter().flatten().any(|terminal| terminal.as_str() == step);
        let has_a_way = self.edges(step, Outcome::Success).next().is_some();
        is_named || !has_a_way
    }

    fn edges(&self, step: &str, outcome: Outcome) -> impl Iterator<Item = &'d Edge> {
        self.definition.edges.iter().filter(move |edge| edge.source.as_str() == step && edge.outcome == outcome)
    }

    /// Rule 2: which edges are taken.
    fn taken(&self, step: &str, outcome: Outcome) -> Vec<&'d Edge> {
        let edges: Vec<_> = self.edges(step, outcome).collect();
        let mode = match &self.definition.steps[step] {
            StepDefinition::Gateway(gateway) => gateway.mode,
            _ => None,
        };
        if mode == Some(GatewayMode::Parallel) {
            return edges;
        }
        let holds = |edge: &&Edge| !edge.default && edge.condition.as_deref().is_none_or(|text| text == "true");
        let mut taken: Vec<_> = edges.iter().copied().filter(holds).collect();
        if mode == Some(GatewayMode::Exclusive) {
            taken.truncate(1);
        }
        if taken.is_empty() {
            taken.extend(edges.into_iter().filter(|edge| edge.default));
        }
        taken
    }

    /// Rules 1, 5 (who comes to a step that waits in its join is not one more execution of it) and 8.
    fn activate(&mut self, step: &str) {
        let waits = self.executions.iter().any(|known| known.step == step && known.place == Place::AtItsJoin);
        if waits {
            return;
        }
        if self.executions.len() >= self.definition.limits.iterations as usize {
            return self.fail_instance(step);
        }
        self.executions.push(Execution { step: step.to_owned(), place: Place::AtItsJoin });
    }

    /// Rule 5: lets executions go on, one at a time, until each that is left has to wait.
    fn pass_joins(&mut self) {
        while let Some(number) = self.next_to_go() {
            let step = self.of(number).step.clone();
            if matches!(self.definition.steps[step.as_str()], StepDefinition::Gateway(_)) {
                self.leave_well(number, StepStatus::Succeeded);
            } else {
                self.executions[number - 1].place = Place::Inside;
            }
        }
    }

    fn next_to_go(&self) -> Option<usize> {
        let at_joins: Vec<_> = self.active().filter(|number| self.of(*number).place == Place::AtItsJoin).collect();
        // Nobody can come any more.
        let free = at_joins.iter().find(|number| self.who_can_still_come(**number).is_empty());
        // Only those can come that wait in joins themselves: the one that has waited longest goes.
        let nobody_moves_to = |number: &&usize| {
            let mut inside = self.active().filter(|other| self.of(*other).place == Place::Inside);
            let step = &self.of(**number).step;
            !inside.any(|other| self.of(other).step != *step && self.reaches(&self.of(other).step, step))
        };
        free.or_else(|| at_joins.iter().find(nobody_moves_to)).copied()
    }

    /// The other active branches that can still reach the step that an execution waits at.
    fn who_can_still_come(&self, number: usize) -> Vec<usize> {
        let step = self.of(number).step.as_str();
        let is_join = self.definition.edges.iter().filter(|edge| edge.target.as_str() == step).count() > 1;
        let can_come = |other: &usize| self.of(*other).step != step && self.reaches(&self.of(*other).step, step);
        if is_join { self.active().filter(can_come).collect() } else { Vec::new() }
    }

    /// Follows every edge from there, whatever it asks for, until nothing new is found.
    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut found: Vec<&str> = Vec::new();
        loop {
            let is_on_the_way = |step: &str| step == from || found.contains(&step);
            let leads_on = |edge: &&Edge| is_on_the_way(edge.source.as_str()) && !found.contains(&edge.target.as_str());
            match self.definition.edges.iter().find(leads_on) {
                Some(edge) => found.push(edge.target.as_str()),
                None => return found.contains(&to),
            }
        }
    }

    /// Rule 7: the other branches are canceled, and the instance stays at the step that failed it.
    fn fail_instance(&mut self, step: &str) {
        for number in self.active().collect::<Vec<_>>() {
            self.record(number, StepStatus::Canceled);
        }
        self.failed_at = Some(step.to_owned());
    }

    fn record(&mut self, number: usize, status: StepStatus) {
        self.executions[number - 1].place = Place::Ended(status);
        self.ends.push(number);
    }
}
