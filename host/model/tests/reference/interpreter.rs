//! The rules of `docs/semantics.md`, section 3, once more: as slow and as plain as they are written there.
//!
//! Shares nothing with the model but the definition: no plan, no bits of who reaches whom, no phases, no transitions.
//! It knows no time and no attempts; conditions are `true` or `false`, and the context is the initial data. An
//! execution's number is its place in [`Interpreter::executions`], from 1.

use std::collections::BTreeSet;

use serde_json::Value;
use stepcell_model::definition::{Edge, GatewayMode, Join, Outcome, StepDefinition, WorkflowDefinition};
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_model::transition::Compensation;

/// How a script lets an execution end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Succeeds(Value),
    Skips,
    Fails,
}

/// Where an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Activated; waits for other branches, if it has to.
    AtItsJoin,
    /// Has begun: runs, waits for somebody, or has parts that do.
    Inside,
    /// Ended.
    Ended(StepStatus),
}

/// What an execution belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Graph,
    Member { of: usize, slot: usize },
    Callback { of: usize },
    Undo { of: usize },
}

/// What one branch brought.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Came {
    pub(crate) from: usize,
    pub(crate) step: String,
    pub(crate) value: Option<Value>,
}

/// One activation of a step.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) step: String,
    pub(crate) place: Place,
    pub(crate) role: Role,
    pub(crate) came: Vec<Came>,
    /// What a group was given when it began.
    pub(crate) given: Option<Value>,
    pub(crate) result: Option<Value>,
    /// The steps with `join: any` that have run without this branch.
    absorbed_at: BTreeSet<String>,
}

/// What a step is, by the name that instances know it by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'d> {
    /// Runs, or waits for somebody.
    Leaf(StepStatus),
    Gateway(GatewayMode),
    Group(&'d StepDefinition),
    Each(&'d StepDefinition),
}

/// One instance.
pub(crate) struct Interpreter<'d> {
    definition: &'d WorkflowDefinition,
    pub(crate) data: Value,
    /// All activations, in order.
    pub(crate) executions: Vec<Execution>,
    /// The numbers of those that ended, in the order of their ends.
    pub(crate) ends: Vec<usize>,
    /// The step that failed the instance, if one did.
    pub(crate) failed_at: Option<String>,
    /// What the branch returned that ended last.
    pub(crate) result: Option<Value>,
    /// What it will have come to once what succeeded is undone.
    pub(crate) undoing: Option<WorkflowStatus>,
    over: Option<WorkflowStatus>,
    frontier: Vec<Execution>,
}

impl Execution {
    pub(crate) const fn new(step: String, role: Role, came: Vec<Came>) -> Self {
        let absorbed_at = BTreeSet::new();
        Self { step, place: Place::AtItsJoin, role, came, given: None, result: None, absorbed_at }
    }

    /// The execution that this one ends with.
    pub(crate) const fn whole(&self) -> Option<usize> {
        match self.role {
            Role::Member { of, .. } | Role::Callback { of } => Some(of),
            Role::Graph | Role::Undo { .. } => None,
        }
    }
}

impl<'d> Interpreter<'d> {
    /// Rule 1: an activation of the initial step.
    pub(crate) fn start(definition: &'d WorkflowDefinition, data: Value) -> Self {
        let mut this = Self {
            definition,
            data,
            executions: Vec::new(),
            ends: Vec::new(),
            failed_at: None,
            result: None,
            undoing: None,
            over: None,
            frontier: Vec::new(),
        };
        this.activate(Execution::new(definition.initial_step.to_string(), Role::Graph, Vec::new()));
        this.pass_joins();
        this
    }

    /// Rule 6, and the ends of rules 3, 4, 7 and 8.
    pub(crate) fn status(&self) -> WorkflowStatus {
        let active: Vec<_> = self.active().map(|number| self.of(number)).collect();
        let waits = |execution: &&Execution| {
            let runs = matches!(self.kind(&execution.step), Kind::Leaf(StepStatus::Running));
            execution.place == Place::AtItsJoin || !runs
        };
        match self.over {
            Some(over) => over,
            None if active.is_empty() => WorkflowStatus::Completed,
            None if active.iter().all(waits) => WorkflowStatus::Waiting,
            None => WorkflowStatus::Running,
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

    pub(crate) fn of_mut(&mut self, number: usize) -> &mut Execution {
        &mut self.executions[number - 1]
    }

    /// What a step is; `group/member`, `step/item`, `group/callback` and `step/compensate` are the parts of steps.
    pub(crate) fn kind(&self, name: &str) -> Kind<'d> {
        let Some((step, is_item)) = self.written(name) else { return Kind::Leaf(StepStatus::Running) };
        match step {
            step if step.for_each().is_some() && !is_item => Kind::Each(step),
            StepDefinition::Gateway(gateway) => Kind::Gateway(gateway.mode.unwrap()),
            StepDefinition::Machine(_) => Kind::Leaf(StepStatus::Running),
            StepDefinition::Sequential(_) | StepDefinition::Parallel(_) | StepDefinition::Conditional(_) => {
                Kind::Group(step)
            }
            _ => Kind::Leaf(StepStatus::Waiting),
        }
    }

    /// What was written of a step, and whether one item of it is meant; nothing of a compensation.
    fn written(&self, name: &str) -> Option<(&'d StepDefinition, bool)> {
        let mut parts = name.split('/');
        let mut step = &self.definition.steps[parts.next().unwrap()];
        let mut is_item = false;
        for part in parts {
            (step, is_item) = match part {
                "compensate" => return None,
                "item" => (step, true),
                "callback" => (step.callback().unwrap(), false),
                member => (&step.members().unwrap()[member], false),
            };
        }
        Some((step, is_item))
    }

    /// Whether something undoes an execution that succeeded.
    fn can_be_undone(&self, number: usize) -> bool {
        let execution = self.of(number);
        let is_each = matches!(self.kind(&execution.step), Kind::Each(_));
        let written = self.written(&execution.step);
        execution.place == Place::Ended(StepStatus::Succeeded)
            && !is_each
            && written.is_some_and(|(step, _)| step.compensate().is_some())
    }

    /// What came to an execution: one branch's result as it is, several by step, all results for a callback.
    pub(crate) fn previous(&self, number: usize) -> Option<Value> {
        let execution = self.of(number);
        let values = || execution.came.iter().map(|came| came.value.clone().unwrap_or_default());
        match (execution.role, execution.came.as_slice()) {
            (Role::Callback { .. }, _) => Some(values().collect()),
            (_, []) => None,
            (_, [only]) => only.value.clone(),
            (_, several) => Some(several.iter().map(|came| came.step.clone()).zip(values()).collect()),
        }
    }

    pub(crate) fn incoming(&self, number: usize) -> Option<Value> {
        if self.of(number).came.is_empty() && self.of(number).role == Role::Graph {
            return Some(self.data.clone());
        }
        self.previous(number)
    }

    /// Lets an execution that has begun end.
    pub(crate) fn end(&mut self, number: usize, end: End) {
        assert_eq!(self.of(number).place, Place::Inside, "only what has begun can end");
        match end {
            End::Succeeds(result) => self.complete(number, Some(result)),
            End::Skips => self.leave_well(number, StepStatus::Skipped),
            End::Fails => self.leave_failed(number),
        }
        self.pass_joins();
    }

    pub(crate) fn complete(&mut self, number: usize, result: Option<Value>) {
        self.of_mut(number).result = result;
        self.leave_well(number, StepStatus::Succeeded);
    }

    fn leave_well(&mut self, number: usize, status: StepStatus) {
        self.record(number, status);
        match self.of(number).role {
            Role::Graph => self.leave_step(number),
            Role::Member { of, .. } => self.part_ended_well(of),
            Role::Callback { of } => self.complete(of, self.of(number).result.clone()),
            Role::Undo { .. } => self.undo_next(),
        }
    }

    /// Rules 2, 3 and 4.
    fn leave_step(&mut self, number: usize) {
        let step = self.of(number).step.clone();
        let terminates = self.definition.steps[step.as_str()].terminates();
        if terminates {
            self.cancel_all();
        }
        if terminates || self.ends_its_branch(&step) {
            let result = self.of(number).result.clone();
            self.result = result;
            return;
        }
        let taken = self.taken(&step, Outcome::Success);
        if taken.is_empty() {
            return self.fail_instance(self.of(number).clone(), number);
        }
        self.follow(number, taken);
    }

    /// Rule 7.
    pub(crate) fn leave_failed(&mut self, number: usize) {
        self.record(number, StepStatus::Failed);
        match self.of(number).role {
            Role::Graph => {
                let taken = self.taken(&self.of(number).step, Outcome::Failure);
                if taken.is_empty() {
                    return self.fail_instance(self.of(number).clone(), number);
                }
                self.follow(number, taken);
            }
            Role::Member { of, .. } => self.part_failed(of),
            Role::Callback { of } => self.fail_whole(of),
            Role::Undo { .. } => self.undo_next(),
        }
    }

    fn follow(&mut self, from: usize, taken: Vec<&Edge>) {
        for edge in taken {
            if self.over.is_none() && self.undoing.is_none() {
                self.arrive(from, edge.target.as_str());
            }
        }
    }

    /// Rule 5: who comes to a step that waits in its join is not one more execution of it; of those that come to a
    /// `join: any`, all but the first end there.
    fn arrive(&mut self, from: usize, step: &str) {
        let branch = self.of(from).clone();
        if branch.absorbed_at.contains(step) {
            return;
        }
        let came = Came { from, step: branch.step, value: branch.result };
        let waits = |number: &usize| self.of(*number).step == step && self.of(*number).place == Place::AtItsJoin;
        let waiting = self.active().find(waits).filter(|_| self.is_join(step));
        if let Some(waiting) = waiting {
            let waiting = self.of_mut(waiting);
            if waiting.came.iter().all(|known| known.from != from) {
                waiting.came.push(came);
                waiting.absorbed_at.retain(|step| branch.absorbed_at.contains(step));
            }
            return;
        }
        let mut arrived = Execution::new(step.to_owned(), Role::Graph, vec![came]);
        arrived.absorbed_at = branch.absorbed_at;
        let Some(number) = self.activate(arrived) else { return };
        if self.definition.steps[step].join() == Join::Any {
            for other in self.branches().into_iter().filter(|other| *other != number) {
                if self.can_come(other, step) {
                    self.of_mut(other).absorbed_at.insert(step.to_owned());
                }
            }
            self.of_mut(from).absorbed_at.insert(step.to_owned());
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
        let mode = match self.kind(step) {
            Kind::Gateway(mode) => Some(mode),
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

    /// Rules 1 and 8. None if the instance failed over it.
    pub(crate) fn activate(&mut self, execution: Execution) -> Option<usize> {
        let is_undo = matches!(execution.role, Role::Undo { .. });
        if !is_undo && self.executions.len() >= self.definition.limits.iterations as usize {
            self.fail_instance(execution, self.executions.len() + 1);
            return None;
        }
        self.executions.push(execution);
        Some(self.executions.len())
    }

    /// Rule 5: lets executions go on, one at a time, until each that is left has to wait.
    fn pass_joins(&mut self) {
        while let Some(number) = self.next_to_go() {
            match self.kind(&self.of(number).step) {
                Kind::Gateway(_) => self.complete(number, self.incoming(number)),
                Kind::Leaf(_) => self.of_mut(number).place = Place::Inside,
                Kind::Group(_) | Kind::Each(_) => self.begin_whole(number),
            }
        }
    }

    fn next_to_go(&self) -> Option<usize> {
        let at_joins: Vec<_> = self.active().filter(|number| self.of(*number).place == Place::AtItsJoin).collect();
        let others = |number: usize| {
            let step = self.of(number).step.as_str();
            self.branches().into_iter().filter(move |other| self.of(*other).step != step && self.can_come(*other, step))
        };
        // Nobody is waited for.
        let waits = |number: usize| {
            let step = self.of(number).step.as_str();
            self.is_join(step) && self.definition.steps[step].join() == Join::All && others(number).next().is_some()
        };
        let free = at_joins.iter().find(|number| !waits(**number));
        // Only those can come that wait in joins themselves: the one that has waited longest goes.
        let nobody_moves_to = |number: &&usize| others(**number).all(|other| self.of(other).place == Place::AtItsJoin);
        free.or_else(|| at_joins.iter().find(nobody_moves_to)).copied()
    }

    fn is_join(&self, step: &str) -> bool {
        self.definition.edges.iter().filter(|edge| edge.target.as_str() == step).count() > 1
    }

    /// The active executions of the graph.
    fn branches(&self) -> Vec<usize> {
        self.active().filter(|number| self.of(*number).role == Role::Graph).collect()
    }

    /// Follows every edge from where a branch is, whatever it asks for, until nothing new is found.
    fn can_come(&self, branch: usize, to: &str) -> bool {
        let branch = self.of(branch);
        let mut found: Vec<&str> = Vec::new();
        loop {
            let is_on_the_way = |step: &str| step == branch.step || found.contains(&step);
            let leads_on = |edge: &&Edge| {
                let target = edge.target.as_str();
                is_on_the_way(edge.source.as_str()) && !found.contains(&target) && !branch.absorbed_at.contains(target)
            };
            match self.definition.edges.iter().find(leads_on) {
                Some(edge) => found.push(edge.target.as_str()),
                None => return found.contains(&to),
            }
        }
    }

    /// Rule 7: the other branches are canceled, and the instance stays at the step that failed it.
    fn fail_instance(&mut self, at: Execution, number: usize) {
        self.failed_at = Some(at.step.clone());
        let whole = |mut number: usize, mut execution: Execution| {
            while let Some(of) = execution.whole() {
                (number, execution) = (of, self.of(of).clone());
            }
            (number, execution)
        };
        let others = self.active().map(|number| (number, self.of(number).clone()));
        let mut frontier: Vec<_> = others.chain([(number, at)]).map(|(number, one)| whole(number, one)).collect();
        frontier.sort_by_key(|(number, _)| *number);
        frontier.dedup_by_key(|(number, _)| *number);
        let anew = |(_, one): (usize, Execution)| Execution {
            absorbed_at: one.absorbed_at,
            ..Execution::new(one.step, Role::Graph, one.came)
        };
        self.frontier = frontier.into_iter().map(anew).collect();
        self.stop(WorkflowStatus::Failed, Compensation::Undo);
    }

    /// Somebody cancels the instance.
    pub(crate) fn cancel(&mut self, compensation: Compensation) {
        self.stop(WorkflowStatus::Canceled, compensation);
        self.pass_joins();
    }

    fn stop(&mut self, status: WorkflowStatus, compensation: Compensation) {
        self.cancel_all();
        self.undoing = Some(status);
        match compensation {
            Compensation::Undo => self.undo_next(),
            Compensation::None => self.finish(),
        }
    }

    fn finish(&mut self) {
        self.over = self.undoing.take();
    }

    /// What succeeded is undone once each, the latest first.
    fn undo_next(&mut self) {
        let is_undone = |number: &usize| self.executions.iter().any(|one| one.role == Role::Undo { of: *number });
        let latest = self.ends.iter().rev().copied().find(|number| self.can_be_undone(*number) && !is_undone(number));
        let Some(of) = latest else { return self.finish() };
        let undone = self.of(of);
        let came = Came { from: of, step: undone.step.clone(), value: undone.result.clone() };
        let undo = Execution::new(format!("{}/compensate", undone.step), Role::Undo { of }, vec![came]);
        self.activate(undo);
    }

    /// Lets a failed instance go on where it stopped.
    pub(crate) fn retry(&mut self) -> Result<(), &'static str> {
        if self.executions.iter().any(|one| matches!(one.role, Role::Undo { .. })) {
            return Err("what it did was undone");
        }
        (self.over, self.failed_at) = (None, None);
        for execution in std::mem::take(&mut self.frontier) {
            if self.activate(execution).is_none() {
                break;
            }
        }
        self.pass_joins();
        Ok(())
    }

    fn cancel_all(&mut self) {
        for number in self.active().filter(|number| self.of(*number).whole().is_none()).collect::<Vec<_>>() {
            self.cancel_with_parts(number);
        }
    }

    pub(crate) fn record(&mut self, number: usize, status: StepStatus) {
        self.of_mut(number).place = Place::Ended(status);
        self.ends.push(number);
    }
}
