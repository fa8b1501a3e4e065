//! Everything that can be wrong with a definition that reads well, found in one go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::read::Finding;
use super::step::ATTEMPTS_MAX;
use super::{
    EDGES_MAX, Edge, HumanStep, ITERATIONS_MAX, MachineStep, Outcome, RetryPolicy, STEPS_MAX, StepDefinition,
    StepLimits, WorkflowDefinition,
};
use crate::attempt::CellLimits;
use crate::expression::{Condition, Mapping};
use crate::name::StepName;
use crate::problem::{PathPart, Problem, Problems};
use crate::schema::DataSchema;
use crate::time::Span;

impl WorkflowDefinition {
    /// Says everything that is wrong with the definition, in its order; nothing if it can be run.
    #[must_use]
    pub fn validate(&self) -> Problems {
        Problems::new(self.findings().into_iter().map(|finding| Problem::at(&finding.path, finding.message)).collect())
    }

    /// Everything that is wrong, with the places as paths.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.findings_of(Extent::Whole)
    }

    /// Everything that is wrong with what could be read of it.
    pub(super) fn findings_of(&self, extent: Extent) -> Vec<Finding> {
        let mut check = Check { definition: self, findings: Vec::new() };
        check.sizes();
        check.names();
        check.schema("input_schema", self.input_schema.as_ref(), &[]);
        for (name, step) in &self.steps {
            check.step(name, step);
        }
        if extent == Extent::Parts {
            return check.findings;
        }
        for (index, edge) in self.edges.iter().enumerate() {
            check.edge(index, edge);
        }
        check.default_edges();
        if extent == Extent::Whole {
            check.ways_out();
            check.reachability();
            check.gateway_loops();
        }
        check.findings
    }
}

/// How much of a definition could be read, and so how much can be said of it without false alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// All edges, but not all steps.
    WithoutGraph,
    /// Not all edges.
    Parts,
}

struct Check<'a> {
    definition: &'a WorkflowDefinition,
    findings: Vec<Finding>,
}

fn key(text: &str) -> PathPart {
    PathPart::Key(text.to_owned())
}

fn step_path(step: &StepName, rest: &[&str]) -> Vec<PathPart> {
    ["steps", step.as_str()].iter().chain(rest).map(|part| key(part)).collect()
}

impl Check<'_> {
    fn find(&mut self, path: Vec<PathPart>, message: impl Into<String>) {
        self.findings.push(Finding { path, message: message.into() });
    }

    fn sizes(&mut self) {
        let definition = self.definition;
        if definition.steps.is_empty() {
            self.find(vec![key("steps")], "a workflow needs at least one step");
        }
        if definition.steps.len() > STEPS_MAX {
            self.find(vec![key("steps")], format!("{} steps; at most {STEPS_MAX}", definition.steps.len()));
        }
        if definition.edges.len() > EDGES_MAX {
            self.find(vec![key("edges")], format!("{} edges; at most {EDGES_MAX}", definition.edges.len()));
        }
        if !(1..=ITERATIONS_MAX).contains(&definition.limits.iterations) {
            let path = vec![key("limits"), key("iterations")];
            self.find(path, format!("must be from 1 to {ITERATIONS_MAX}"));
        }
    }

    fn names(&mut self) {
        let definition = self.definition;
        if let Some(message) = self.unknown_step(&definition.initial_step) {
            self.find(vec![key("initial_step")], message);
        }
        for (index, terminal) in definition.terminal_steps.iter().flatten().enumerate() {
            if let Some(message) = self.unknown_step(terminal) {
                self.find(vec![key("terminal_steps"), PathPart::Index(index)], message);
            }
        }
    }

    fn unknown_step(&self, name: &StepName) -> Option<String> {
        let steps = &self.definition.steps;
        let known = || steps.keys().take(20).map(StepName::as_str).collect::<Vec<_>>().join(", ");
        (!steps.contains_key(name)).then(|| format!("`{name}` is not a step; the steps are {}", known()))
    }

    fn schema(&mut self, field: &str, schema: Option<&crate::json::Json>, before: &[PathPart]) {
        if let Some(Err(error)) = schema.map(DataSchema::compile) {
            let path = before.iter().cloned().chain([key(field)]).collect();
            self.find(path, error.to_string());
        }
    }

    fn step(&mut self, name: &StepName, step: &StepDefinition) {
        match step {
            StepDefinition::Machine(machine) => self.machine(name, machine),
            StepDefinition::Human(human) => self.human(name, human),
            StepDefinition::Gateway(_) => {}
        }
    }

    fn machine(&mut self, name: &StepName, machine: &MachineStep) {
        if let Some(Err(error)) = machine.input.as_deref().map(Mapping::compile) {
            self.find(step_path(name, &["input"]), error.to_string());
        }
        if machine.timeout.is_some_and(|timeout| timeout.length() < Duration::from_millis(1)) {
            self.find(step_path(name, &["timeout"]), "must be at least 1ms");
        }
        self.retry(name, &machine.retry);
        self.limits(name, machine.limits);
    }

    fn retry(&mut self, name: &StepName, retry: &RetryPolicy) {
        if !(1..=ATTEMPTS_MAX).contains(&retry.max_attempts) {
            self.find(step_path(name, &["retry", "max_attempts"]), format!("must be from 1 to {ATTEMPTS_MAX}"));
        }
        if !(1.0..=1_000.0).contains(&retry.backoff) {
            self.find(step_path(name, &["retry", "backoff"]), "must be a number from 1 to 1000");
        }
        if retry.initial_delay > retry.max_delay {
            let message = format!("is longer than max_delay, {}; raise that or lower this", retry.max_delay);
            self.find(step_path(name, &["retry", "initial_delay"]), message);
        }
    }

    fn limits(&mut self, name: &StepName, limits: StepLimits) {
        const TOP: CellLimits = CellLimits::TOP;
        if let Some(memory) = limits.memory
            && !(64 << 10..=TOP.memory_bytes_max).contains(&memory.bytes())
        {
            self.find(step_path(name, &["limits", "memory"]), "must be from 64KiB to 512MiB");
        }
        for (field, limit, top) in [("cpu", limits.cpu, TOP.cpu_max), ("wall", limits.wall, TOP.wall_max)] {
            let allowed = Duration::from_millis(1)..=top;
            if limit.is_some_and(|limit| !allowed.contains(&limit.length())) {
                self.find(step_path(name, &["limits", field]), format!("must be from 1ms to {}", Span::new(top)));
            }
        }
    }

    fn human(&mut self, name: &StepName, human: &HumanStep) {
        self.schema("form_schema", human.form_schema.as_ref(), &step_path(name, &[]));
        if human.assignee.is_some() && human.assignee_key.is_some() {
            self.find(step_path(name, &["assignee_key"]), "give either assignee or assignee_key, not both");
        }
        if let (Some(reminder), Some(due)) = (human.reminder_in, human.due_in)
            && reminder > due
        {
            self.find(
                step_path(name, &["reminder_in"]),
                format!("the reminder would come after the task is due, {due}"),
            );
        }
    }

    fn edge(&mut self, index: usize, edge: &Edge) {
        let path = |field: &str| vec![key("edges"), PathPart::Index(index), key(field)];
        for (field, end) in [("source", &edge.source), ("target", &edge.target)] {
            if let Some(message) = self.unknown_step(end) {
                self.find(path(field), format!("edge {index}: {message}"));
            }
        }
        if let Some(Err(error)) = edge.condition.as_deref().map(Condition::compile) {
            let ends = format!("edge {index} from `{}` to `{}`", edge.source, edge.target);
            self.find(path("condition"), format!("{ends}: {error}"));
        }
        if edge.default && edge.condition.is_some() {
            self.find(path("default"), "a default edge has no condition: it is taken when no other is");
        }
    }

    fn default_edges(&mut self) {
        let mut seen = BTreeSet::new();
        for (index, edge) in self.definition.edges.iter().enumerate().filter(|(_, edge)| edge.default) {
            if !seen.insert((&edge.source, edge.outcome as u8)) {
                let path = vec![key("edges"), PathPart::Index(index), key("default")];
                self.find(path, format!("`{}` has more than one default edge; keep one", edge.source));
            }
        }
    }

    fn ways_out(&mut self) {
        let definition = self.definition;
        let leaves = |step: &StepName| {
            definition.edges.iter().any(|edge| edge.source == *step && edge.outcome == Outcome::Success)
        };
        for name in definition.steps.keys() {
            if !definition.is_terminal(name) && !leaves(name) {
                let message = format!("`{name}` has no way out; add an edge from it, or name it in terminal_steps");
                self.find(step_path(name, &[]), message);
            }
        }
    }

    /// A loop of gateways alone would turn without end within one decision.
    fn gateway_loops(&mut self) {
        let definition = self.definition;
        let is_gateway = |name: &StepName| matches!(definition.steps.get(name), Some(StepDefinition::Gateway(_)));
        let mut ways_on: BTreeMap<_, _> =
            definition.steps.keys().filter(|name| is_gateway(name)).map(|name| (name, 0_usize)).collect();
        let mut sources = BTreeMap::<&StepName, Vec<&StepName>>::new();
        for edge in definition.edges.iter().filter(|edge| is_gateway(&edge.source) && is_gateway(&edge.target)) {
            *ways_on.entry(&edge.source).or_default() += 1;
            sources.entry(&edge.target).or_default().push(&edge.source);
        }
        // A gateway that leads to no other is in no loop; without it, neither may be those that led there.
        let mut open: Vec<_> = ways_on.iter().filter(|(_, ways)| **ways == 0).map(|(name, _)| *name).collect();
        while let Some(name) = open.pop() {
            ways_on.remove(name);
            for source in sources.remove(name).into_iter().flatten() {
                let ways = ways_on.entry(source).or_default();
                *ways -= 1;
                if *ways == 0 {
                    open.push(source);
                }
            }
        }
        let left = ways_on;
        if let Some(name) = definition.steps.keys().find(|name| left.contains_key(name)) {
            let message =
                format!("`{name}` leads into a loop of gateways alone; put a step into the loop that does something");
            self.find(step_path(name, &[]), message);
        }
    }

    fn reachability(&mut self) {
        let definition = self.definition;
        if !definition.steps.contains_key(&definition.initial_step) {
            return;
        }
        let mut targets = BTreeMap::<&StepName, Vec<&StepName>>::new();
        for edge in &definition.edges {
            targets.entry(&edge.source).or_default().push(&edge.target);
        }
        let mut reached = BTreeSet::from([&definition.initial_step]);
        let mut open = vec![&definition.initial_step];
        while let Some(step) = open.pop() {
            open.extend(targets.get(step).into_iter().flatten().filter(|target| reached.insert(target)));
        }
        for name in definition.steps.keys().filter(|name| !reached.contains(name)) {
            let message = format!("`{name}` is unreachable: no way leads to it from `{}`", definition.initial_step);
            self.find(step_path(name, &[]), message);
        }
    }
}
