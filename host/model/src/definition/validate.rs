//! Everything that can be wrong with a definition that reads well, found in one go.

mod group;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use super::read::Finding;
use super::{
    DESCRIPTION_LEN_BYTES_MAX, EDGES_MAX, Edge, ITERATIONS_MAX, Outcome, STEPS_MAX, StepDefinition,
    VERSION_LEN_BYTES_MAX, WorkflowDefinition,
};
use crate::expression::Condition;
use crate::name::StepName;
use crate::problem::{PathPart, Problem, Problems};
use crate::schema::DataSchema;

impl WorkflowDefinition {
    /// Says everything that is wrong with the definition, in its order; nothing if it can be run.
    #[must_use]
    pub fn validate(&self) -> Problems {
        told(self.findings())
    }

    /// Everything that is wrong, with the places as paths.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.findings_beside(&[], Extent::Whole)
    }

    /// Everything that is wrong with what could be read of it, beside what could not.
    pub(super) fn findings_beside(&self, unread: &[Finding], extent: Extent) -> Vec<Finding> {
        let mut check = Check { definition: self, unread, findings: Vec::new() };
        check.lengths();
        check.findings.extend(self.findings_that_matter(unread, extent));
        check.findings
    }

    /// Everything because of which nothing can run on it. Bounds that came later than definitions that are stored are no
    /// part of it: what was registered runs on.
    pub(crate) fn why_it_can_not_run(&self) -> Problems {
        told(self.findings_that_matter(&[], Extent::Whole))
    }

    fn findings_that_matter(&self, unread: &[Finding], extent: Extent) -> Vec<Finding> {
        let mut check = Check { definition: self, unread, findings: Vec::new() };
        check.sizes();
        check.names();
        check.schema("input_schema", self.input_schema.as_ref(), &[]);
        for (name, step) in &self.steps {
            check.top_step(name, step);
        }
        check.total();
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
    /// What could not be read, and so is missing from the definition though it was written.
    unread: &'a [Finding],
    findings: Vec<Finding>,
}

fn told(findings: Vec<Finding>) -> Problems {
    Problems::new(findings.into_iter().map(|finding| Problem::at(&finding.path, finding.message)).collect())
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

    /// Whether all of what stands at `path` could be read, so that what is missing there is missing.
    fn is_read(&self, path: &[PathPart]) -> bool {
        !self.unread.iter().any(|finding| finding.path.starts_with(path))
    }

    fn lengths(&mut self) {
        let definition = self.definition;
        self.length("version", definition.version.to_string().len(), VERSION_LEN_BYTES_MAX);
        let description = definition.description.as_ref().map_or(0, String::len);
        self.length("description", description, DESCRIPTION_LEN_BYTES_MAX);
    }

    fn sizes(&mut self) {
        let definition = self.definition;
        if definition.steps.is_empty() {
            self.find(vec![key("steps")], "a workflow needs at least one step");
        }
        if definition.edges.len() > EDGES_MAX {
            self.find(vec![key("edges")], format!("{} edges; at most {EDGES_MAX}", definition.edges.len()));
        }
        if !(1..=ITERATIONS_MAX).contains(&definition.limits.iterations) {
            let path = vec![key("limits"), key("iterations")];
            self.find(path, format!("must be from 1 to {ITERATIONS_MAX}"));
        }
    }

    fn length(&mut self, field: &str, len_bytes: usize, max: usize) {
        if len_bytes > max {
            self.find(vec![key(field)], format!("has {len_bytes} bytes; at most {max}"));
        }
    }

    /// Members of groups count, too: each is a step that is planned.
    fn total(&mut self) {
        let mut steps = 0;
        self.definition.visit_steps(&mut |_| steps += 1);
        if steps > STEPS_MAX {
            self.find(vec![key("steps")], format!("{steps} steps, members of groups included; at most {STEPS_MAX}"));
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
        if steps.contains_key(name) {
            return None;
        }
        if let Some(group) = self.group_of(name) {
            return Some(format!("`{name}` is inside the group `{group}`; only `{group}` itself can stand here"));
        }
        let known = steps.keys().take(20).map(StepName::as_str).collect::<Vec<_>>().join(", ");
        Some(format!("`{name}` is not a step; the steps are {known}"))
    }

    /// The group of the graph that something is a member of, by its whole name or its last part.
    fn group_of(&self, name: &StepName) -> Option<StepName> {
        let mut found = None;
        self.definition.visit_steps(&mut |visited| {
            let is_meant = visited.name == *name || visited.name.as_str().ends_with(&format!("/{name}"));
            if is_meant && visited.name.is_part() {
                found.get_or_insert_with(|| visited.name.top());
            }
        });
        found
    }

    fn schema(&mut self, field: &str, schema: Option<&crate::json::Json>, before: &[PathPart]) {
        if let Some(Err(error)) = schema.map(DataSchema::compile) {
            let path = before.iter().cloned().chain([key(field)]).collect();
            self.find(path, error.to_string());
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
        if edge.default && (edge.condition.is_some() || edge.predicate.is_some()) {
            self.find(path("default"), "a default edge has no condition: it is taken when no other is");
        }
        if edge.condition.is_some() && edge.predicate.is_some() {
            self.find(path("predicate"), "give either a condition or a predicate, not both");
        }
        let source = self.definition.steps.get(&edge.source);
        if let Some(StepDefinition::Gateway(gateway)) = source
            && gateway.component.is_some()
            && edge.outcome == Outcome::Success
            && (edge.condition.is_some() || edge.predicate.is_some())
        {
            let message = format!("the component of `{}` decides, so its edges have no conditions", edge.source);
            self.find(path(if edge.condition.is_some() { "condition" } else { "predicate" }), message);
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
        let is_gateway = |name: &StepName| match definition.steps.get(name) {
            Some(StepDefinition::Gateway(gateway)) => gateway.component.is_none(),
            _ => false,
        };
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
