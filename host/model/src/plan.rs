//! A definition that is checked, resolved and ready to be run.
//!
//! Whoever has a [`Plan`] may rely on it: every name is a step, every expression compiles, every component is a digest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::attempt::CellLimits;
use crate::definition::{
    Edge, GatewayMode, HumanStep, MachineStep, Outcome, RetryPolicy, StepDefinition, WorkflowDefinition,
};
use crate::expression::{Condition, Mapping};
use crate::graph::Reachability;
use crate::id::{ComponentDigest, DefinitionId};
use crate::json::Json;
use crate::name::StepName;
use crate::problem::{Problem, Problems};
use crate::schema::DataSchema;
use crate::status::StepType;
use crate::time::{ByteSize, Span};

/// A definition that can be run.
#[derive(Debug)]
pub struct Plan {
    /// Which registered version it is.
    pub id: DefinitionId,
    /// What was written.
    pub definition: WorkflowDefinition,
    /// What initial data must fit.
    pub input_schema: Option<DataSchema>,
    steps: Vec<PlannedStep>,
    by_name: HashMap<StepName, StepIndex>,
    initial: StepIndex,
    reachability: Reachability,
}

/// The place of a step within its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepIndex(pub(crate) usize);

/// A step that can be run.
#[derive(Debug)]
pub struct PlannedStep {
    /// Its name.
    pub name: StepName,
    /// What it does.
    pub kind: PlannedKind,
    /// Whether it ends its branch.
    pub is_terminal: bool,
    /// How many edges lead to it; with more than one it is a join.
    pub incoming: usize,
    outgoing: Vec<PlannedEdge>,
}

/// What a step does, with everything resolved.
#[derive(Debug)]
pub enum PlannedKind {
    /// Runs a component.
    Machine(PlannedMachine),
    /// Waits for a person.
    Human(PlannedHuman),
    /// Decides which steps follow.
    Gateway(GatewayMode),
}

/// A machine step, resolved.
#[derive(Debug)]
pub struct PlannedMachine {
    /// What runs.
    pub component: ComponentDigest,
    /// Settings that it may read.
    pub config: Arc<BTreeMap<String, Json>>,
    /// What its input is made of, if not of the previous result.
    pub input: Option<Mapping>,
    /// How it is retried.
    pub retry: RetryPolicy,
    /// How much one attempt may use.
    pub limits: CellLimits,
}

/// A human step, resolved.
#[derive(Debug)]
pub struct PlannedHuman {
    /// What was written.
    pub step: HumanStep,
    /// What the answer must fit.
    pub form: Option<DataSchema>,
}

/// An edge, resolved.
#[derive(Debug)]
pub struct PlannedEdge {
    /// Its index in the definition.
    pub index: u32,
    /// Where it leads.
    pub target: StepIndex,
    /// What must hold.
    pub condition: Option<Condition>,
    /// Whether it is taken when no other is.
    pub is_default: bool,
    /// How the source must have ended.
    pub outcome: Outcome,
}

impl Plan {
    /// Checks a definition and resolves it with the digests that its machine steps run.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong, a machine step without a digest among it.
    pub fn new(
        id: DefinitionId,
        definition: WorkflowDefinition,
        components: &BTreeMap<StepName, ComponentDigest>,
    ) -> Result<Self, Problems> {
        let mut problems = definition.validate();
        for (name, step) in &definition.steps {
            if matches!(step, StepDefinition::Machine(_)) && !components.contains_key(name) {
                let message = "its component was not resolved to a digest; register the component first";
                problems.push(Problem::of(format!("steps.{name}.component"), message));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let by_name: HashMap<_, _> =
            definition.steps.keys().enumerate().map(|(index, name)| (name.clone(), StepIndex(index))).collect();
        let steps = plan_steps(&definition, components, &by_name)?;
        let edges: Vec<_> =
            definition.edges.iter().map(|edge| (by_name[&edge.source], by_name[&edge.target])).collect();
        Ok(Self {
            id,
            input_schema: compile_schema("input_schema", definition.input_schema.as_ref())?,
            initial: by_name[&definition.initial_step],
            reachability: Reachability::of(steps.len(), &edges),
            steps,
            by_name,
            definition,
        })
    }

    /// The step that an instance begins with.
    #[must_use]
    pub const fn initial(&self) -> StepIndex {
        self.initial
    }

    /// The step at a place of this plan.
    ///
    /// # Panics
    /// If the place is another plan's.
    #[must_use]
    pub fn step(&self, index: StepIndex) -> &PlannedStep {
        &self.steps[index.0]
    }

    /// Where a step is, if it is one of this plan.
    #[must_use]
    pub fn find(&self, name: &StepName) -> Option<StepIndex> {
        self.by_name.get(name).copied()
    }

    /// Whether a branch that is at `from` can still come to `to`.
    #[must_use]
    pub fn can_reach(&self, from: StepIndex, to: StepIndex) -> bool {
        self.reachability.reaches(from, to)
    }

    /// The machine steps with what they run.
    pub fn machines(&self) -> impl Iterator<Item = (&StepName, &PlannedMachine)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            PlannedKind::Machine(machine) => Some((&step.name, machine)),
            PlannedKind::Human(_) | PlannedKind::Gateway(_) => None,
        })
    }
}

impl PlannedStep {
    /// What kind of step it is.
    #[must_use]
    pub const fn step_type(&self) -> StepType {
        match self.kind {
            PlannedKind::Machine(_) => StepType::Machine,
            PlannedKind::Human(_) => StepType::Human,
            PlannedKind::Gateway(_) => StepType::Gateway,
        }
    }

    /// The edges to look at when the step ended so, in order.
    pub fn outgoing(&self, outcome: Outcome) -> impl Iterator<Item = &PlannedEdge> {
        self.outgoing.iter().filter(move |edge| edge.outcome == outcome)
    }
}

fn plan_steps(
    definition: &WorkflowDefinition,
    components: &BTreeMap<StepName, ComponentDigest>,
    by_name: &HashMap<StepName, StepIndex>,
) -> Result<Vec<PlannedStep>, Problems> {
    let mut incoming = vec![0; definition.steps.len()];
    let mut outgoing: Vec<Vec<PlannedEdge>> = definition.steps.keys().map(|_| Vec::new()).collect();
    for (index, edge) in definition.edges.iter().enumerate() {
        let target = by_name[&edge.target];
        incoming[target.0] += 1;
        outgoing[by_name[&edge.source].0].push(plan_edge(index, edge, target)?);
    }
    definition
        .steps
        .iter()
        .zip(incoming)
        .zip(outgoing)
        .map(|(((name, step), incoming), outgoing)| {
            Ok(PlannedStep {
                kind: plan_kind(name, step, components)?,
                is_terminal: definition.is_terminal(name),
                name: name.clone(),
                incoming,
                outgoing,
            })
        })
        .collect()
}

fn plan_edge(index: usize, edge: &Edge, target: StepIndex) -> Result<PlannedEdge, Problems> {
    let condition = edge.condition.as_deref().map(Condition::compile).transpose();
    Ok(PlannedEdge {
        index: u32::try_from(index).expect("a definition has at most EDGES_MAX edges"),
        target,
        condition: condition.map_err(|error| Problem::of(format!("edges[{index}].condition"), error.to_string()))?,
        is_default: edge.default,
        outcome: edge.outcome,
    })
}

fn plan_kind(
    name: &StepName,
    step: &StepDefinition,
    components: &BTreeMap<StepName, ComponentDigest>,
) -> Result<PlannedKind, Problems> {
    Ok(match step {
        StepDefinition::Machine(machine) => PlannedKind::Machine(plan_machine(name, machine, components[name])?),
        StepDefinition::Human(human) => PlannedKind::Human(PlannedHuman {
            form: compile_schema(&format!("steps.{name}.form_schema"), human.form_schema.as_ref())?,
            step: human.clone(),
        }),
        StepDefinition::Gateway(gateway) => PlannedKind::Gateway(gateway.mode),
    })
}

fn plan_machine(
    name: &StepName,
    machine: &MachineStep,
    component: ComponentDigest,
) -> Result<PlannedMachine, Problems> {
    let input = machine.input.as_deref().map(Mapping::compile).transpose();
    let defaults = CellLimits::default();
    Ok(PlannedMachine {
        component,
        config: Arc::new(machine.config.clone()),
        input: input.map_err(|error| Problem::of(format!("steps.{name}.input"), error.to_string()))?,
        retry: machine.retry,
        limits: CellLimits {
            memory_bytes_max: machine.limits.memory.map_or(defaults.memory_bytes_max, ByteSize::bytes),
            cpu_max: machine.limits.cpu.map_or(defaults.cpu_max, Span::length),
            wall_max: machine.limits.wall.map_or(defaults.wall_max, Span::length),
            timeout: machine.timeout.map(Span::length),
            ..defaults
        },
    })
}

fn compile_schema(path: &str, schema: Option<&Json>) -> Result<Option<DataSchema>, Problems> {
    schema.map(DataSchema::compile).transpose().map_err(|error| Problem::of(path, error.to_string()).into())
}
