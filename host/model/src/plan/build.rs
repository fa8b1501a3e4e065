//! From a definition that is checked to the list of its steps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{
    GroupMode, MessageSource, PlannedCondition, PlannedEdge, PlannedForEach, PlannedGroup, PlannedHuman, PlannedKind,
    PlannedMachine, PlannedMessage, PlannedStep, PlannedWorkflow, StepIndex,
};
use crate::attempt::CellLimits;
use crate::component::Purity;
use crate::definition::{
    ComponentRef, Edge, Finding, Join, MachineStep, ParallelGroup, StepDefinition, WorkflowDefinition, WorkflowStep,
};
use crate::expression::{Condition, Mapping};
use crate::id::ComponentDigest;
use crate::json::Json;
use crate::name::{SignalName, StepName};
use crate::predicate::Predicates;
use crate::problem::{PathPart, Problem, Problems, did_you_mean};
use crate::schema::DataSchema;
use crate::time::Span;

/// Everything that stands in the way of a plan.
pub(super) fn check(
    definition: &WorkflowDefinition,
    components: &BTreeMap<StepName, ComponentDigest>,
    predicates: &Predicates,
) -> Result<(), Problems> {
    let mut problems = definition.why_it_can_not_run();
    for used in definition.components() {
        if !components.contains_key(&used.step) {
            let message = "its component was not resolved to a digest; register the component first";
            problems.push(Problem::at(&used.path, message));
        }
    }
    for finding in definition.unknown_predicates(predicates) {
        problems.push(Problem::at(&finding.path, finding.message));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

impl WorkflowDefinition {
    /// The edges whose predicate the embedding program has not registered.
    #[must_use]
    pub fn unknown_predicates(&self, predicates: &Predicates) -> Vec<Finding> {
        let finding = |(index, edge): (usize, &Edge)| {
            let name = edge.predicate.as_ref().filter(|name| predicates.find(name).is_none())?;
            let path = vec![PathPart::Key("edges".into()), PathPart::Index(index), PathPart::Key("predicate".into())];
            let hint = did_you_mean(name.as_str(), predicates.names());
            let message = format!(
                "no predicate `{name}` is registered{hint}; only a program that embeds the engine can register one: \
                 elsewhere, write a `condition`"
            );
            Some(Finding { path, message })
        };
        self.edges.iter().enumerate().filter_map(finding).collect()
    }
}

/// The steps of a definition as one list, and where each is.
pub(super) fn plan_steps(
    definition: &WorkflowDefinition,
    components: &BTreeMap<StepName, ComponentDigest>,
    predicates: &Predicates,
) -> Result<(Vec<PlannedStep>, HashMap<StepName, StepIndex>), Problems> {
    let mut build = Build { components, steps: Vec::new(), by_name: HashMap::new() };
    // Steps of the graph first: joins and reachability count only these.
    for name in definition.steps.keys() {
        build.reserve(name.clone());
    }
    for (name, step) in &definition.steps {
        build.plan(&Names::of(name), step)?;
    }
    let Build { steps, by_name, .. } = build;
    let mut steps: Vec<_> =
        steps.into_iter().map(|step| step.expect("every place that was reserved was planned")).collect();
    for name in definition.steps.keys() {
        steps[by_name[name].0].is_terminal = definition.is_terminal(name);
    }
    for (index, edge) in definition.edges.iter().enumerate() {
        let target = by_name[&edge.target];
        steps[target.0].incoming += 1;
        let edge_planned = plan_edge(index, edge, target, predicates)?;
        steps[by_name[&edge.source].0].outgoing.push(edge_planned);
    }
    Ok((steps, by_name))
}

struct Build<'a> {
    components: &'a BTreeMap<StepName, ComponentDigest>,
    steps: Vec<Option<PlannedStep>>,
    by_name: HashMap<StepName, StepIndex>,
}

/// A step's two names: the one that its definition finds it by, and the one that instances know it by.
///
/// They differ inside a `for_each`, where what runs for each item is a part of its own.
#[derive(Clone)]
struct Names {
    written: StepName,
    known: StepName,
}

impl Names {
    fn of(name: &StepName) -> Self {
        Self { written: name.clone(), known: name.clone() }
    }

    fn part(&self, part: &str) -> Result<Self, Problems> {
        Ok(Self { written: part_of(&self.written, part)?, known: part_of(&self.known, part)? })
    }

    fn item(&self) -> Result<Self, Problems> {
        Ok(Self { written: self.written.clone(), known: part_of(&self.known, StepName::ITEM)? })
    }
}

fn part_of(name: &StepName, part: &str) -> Result<StepName, Problems> {
    name.part(part).map_err(|error| Problem::at(&["steps".into(), name.as_str().into()], error.to_string()).into())
}

impl Build<'_> {
    fn reserve(&mut self, name: StepName) -> StepIndex {
        let steps = &mut self.steps;
        *self.by_name.entry(name).or_insert_with(|| {
            steps.push(None);
            StepIndex(steps.len() - 1)
        })
    }

    /// Plans a step with all its parts. In a `for_each` the step is a part of itself.
    fn plan(&mut self, names: &Names, step: &StepDefinition) -> Result<StepIndex, Problems> {
        let index = match step.for_each() {
            Some((items, max_concurrency)) => {
                let body = self.plan_once(&names.item()?, step)?;
                let each = PlannedForEach { items: items.clone(), body, max_concurrency };
                self.put(&names.known, PlannedKind::ForEach(each), None)
            }
            None => self.plan_once(names, step)?,
        };
        let planned = self.steps[index.0].as_mut().expect("it was put there just now");
        planned.join = step.join();
        planned.terminates = step.terminates();
        Ok(index)
    }

    fn plan_once(&mut self, names: &Names, step: &StepDefinition) -> Result<StepIndex, Problems> {
        let compensation = match step.compensate() {
            Some(component) => Some(self.plan_compensation(names, step, component)?),
            None => None,
        };
        let kind = self.kind(names, step)?;
        Ok(self.put(&names.known, kind, compensation))
    }

    fn put(&mut self, name: &StepName, kind: PlannedKind, compensation: Option<StepIndex>) -> StepIndex {
        let index = self.reserve(name.clone());
        self.steps[index.0] = Some(PlannedStep {
            name: name.clone(),
            kind,
            is_terminal: false,
            terminates: false,
            join: Join::All,
            incoming: 0,
            compensation,
            outgoing: Vec::new(),
        });
        index
    }

    /// The component that undoes a step is given what the step returned, and may reach what the step may.
    fn plan_compensation(
        &mut self,
        of: &Names,
        step: &StepDefinition,
        component: &ComponentRef,
    ) -> Result<StepIndex, Problems> {
        let names = of.part(StepName::COMPENSATE)?;
        let grants = step.grants().cloned().unwrap_or_default();
        let undo = MachineStep { grants, ..MachineStep::new(component.clone()) };
        let machine = self.machine(&names.written, &undo)?;
        Ok(self.put(&names.known, PlannedKind::Machine(machine), None))
    }

    fn kind(&mut self, names: &Names, step: &StepDefinition) -> Result<PlannedKind, Problems> {
        let written = &names.written;
        Ok(match step {
            StepDefinition::Machine(machine) => PlannedKind::Machine(self.machine(written, machine)?),
            StepDefinition::Human(human) => PlannedKind::Human(PlannedHuman {
                form: compile_schema(&format!("steps.{written}.form_schema"), human.form_schema.as_ref())?,
                step: human.clone(),
            }),
            StepDefinition::Gateway(gateway) => match gateway.as_machine() {
                Some(machine) => PlannedKind::GatewayComponent(self.machine(written, &machine)?),
                None => PlannedKind::Gateway(gateway.mode.unwrap_or_default()),
            },
            StepDefinition::Timer(timer) => PlannedKind::Timer(timer.clone()),
            StepDefinition::Webhook(webhook) => PlannedKind::Message(PlannedMessage {
                source: MessageSource::Webhook { signed: webhook.signed },
                key: webhook.callback_key.clone(),
                timeout: webhook.timeout,
            }),
            StepDefinition::Signal(signal) => PlannedKind::Message(PlannedMessage {
                source: MessageSource::Signal(signal.signal.clone().unwrap_or_else(|| SignalName::of_step(written))),
                key: signal.payload_key.clone(),
                timeout: signal.timeout,
            }),
            StepDefinition::Workflow(child) => PlannedKind::Workflow(plan_child(written, child)?),
            StepDefinition::Sequential(_) | StepDefinition::Parallel(_) | StepDefinition::Conditional(_) => {
                PlannedKind::Group(self.group(names, step)?)
            }
        })
    }

    fn group(&mut self, names: &Names, step: &StepDefinition) -> Result<PlannedGroup, Problems> {
        let mut members = Vec::new();
        for (member, step) in step.members().into_iter().flatten() {
            members.push(self.plan(&names.part(member.as_str())?, step)?);
        }
        let mode = match step {
            StepDefinition::Parallel(group) => self.parallel(names, group)?,
            StepDefinition::Conditional(group) => GroupMode::Conditional {
                key: group.key.clone(),
                default: group.default.as_ref().and_then(|default| group.steps.get_index_of(default)),
            },
            _ => GroupMode::Sequential,
        };
        Ok(PlannedGroup { mode, members })
    }

    fn parallel(&mut self, names: &Names, group: &ParallelGroup) -> Result<GroupMode, Problems> {
        let callback = match &group.callback {
            Some(callback) => Some(self.plan(&names.part(StepName::CALLBACK)?, callback)?),
            None => None,
        };
        Ok(GroupMode::Parallel {
            callback,
            on_member_failure: group.on_member_failure,
            complete_when: group.complete_when,
            max_concurrency: group.max_concurrency,
        })
    }

    fn machine(&self, written: &StepName, machine: &MachineStep) -> Result<PlannedMachine, Problems> {
        Ok(PlannedMachine {
            component: self.components[written],
            config: Arc::new(machine.config.clone()),
            input: compile_input(written, machine.input.as_deref())?,
            retry: machine.retry,
            limits: CellLimits {
                timeout: machine.timeout.map(Span::length),
                ..CellLimits::default().with(&machine.limits)
            },
            grants: Arc::new(machine.grants.clone()),
            purity: Purity::Effectful,
        })
    }
}

fn plan_child(written: &StepName, child: &WorkflowStep) -> Result<PlannedWorkflow, Problems> {
    Ok(PlannedWorkflow {
        workflow: child.workflow.clone(),
        version: child.version.clone(),
        input: compile_input(written, child.input.as_deref())?,
        result_key: child.result_key.clone(),
        timeout: child.timeout,
    })
}

fn plan_edge(index: usize, edge: &Edge, target: StepIndex, predicates: &Predicates) -> Result<PlannedEdge, Problems> {
    let expression = edge.condition.as_deref().map(Condition::compile).transpose();
    let expression = expression
        .map_err(|error| Problem::at(&["edges".into(), index.into(), "condition".into()], error.to_string()))?;
    let predicate = edge.predicate.as_ref().and_then(|name| predicates.find(name)).cloned();
    Ok(PlannedEdge {
        index: u32::try_from(index).expect("a definition has at most EDGES_MAX edges"),
        target,
        condition: expression.map(PlannedCondition::Expression).or_else(|| predicate.map(PlannedCondition::Predicate)),
        is_default: edge.default,
        outcome: edge.outcome,
    })
}

fn compile_input(step: &StepName, input: Option<&str>) -> Result<Option<Mapping>, Problems> {
    let compiled = input.map(Mapping::compile).transpose();
    compiled
        .map_err(|error| Problem::at(&["steps".into(), step.as_str().into(), "input".into()], error.to_string()).into())
}

pub(super) fn compile_schema(path: &str, schema: Option<&Json>) -> Result<Option<DataSchema>, Problems> {
    schema.map(DataSchema::compile).transpose().map_err(|error| Problem::of(path, error.to_string()).into())
}
