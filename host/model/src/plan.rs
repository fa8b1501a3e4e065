//! A definition that is checked, resolved and ready to be run.
//!
//! Whoever has a [`Plan`] may rely on it: every name is a step, every expression compiles, every component is a digest.
//! The steps stand in one list: first those of the graph, then members of groups and the other parts of steps.

mod build;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::attempt::CellLimits;
use crate::component::Purity;
use crate::definition::{
    CompleteWhen, GatewayMode, HumanStep, Join, OnMemberFailure, Outcome, RetryPolicy, TimerStep, VersionRequirement,
    WorkflowDefinition,
};
use crate::expression::{Condition, Mapping, Scope, ValueRead};
use crate::grants::Grants;
use crate::graph::Reachability;
use crate::id::{ComponentDigest, DefinitionId};
use crate::json::Json;
use crate::name::{ContextKey, SignalName, StepName, WorkflowName};
use crate::predicate::{Predicate, Predicates};
use crate::problem::Problems;
use crate::schema::DataSchema;
use crate::status::StepType;
use crate::time::Span;

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
    /// The steps that an edge leads from, for each step of the graph.
    sources: Vec<Vec<StepIndex>>,
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
    /// Whether its end is the end of every branch.
    pub terminates: bool,
    /// How it brings branches together.
    pub join: Join,
    /// How many edges lead to it; with more than one it is a join.
    pub incoming: usize,
    /// What undoes it.
    pub compensation: Option<StepIndex>,
    outgoing: Vec<PlannedEdge>,
}

/// What a step does, with everything resolved.
#[derive(Debug)]
pub enum PlannedKind {
    /// Runs a component.
    Machine(PlannedMachine),
    /// Waits for a person.
    Human(PlannedHuman),
    /// Decides by the conditions of its edges which steps follow.
    Gateway(GatewayMode),
    /// Lets a component decide which steps follow.
    GatewayComponent(PlannedMachine),
    /// Waits for a time.
    Timer(TimerStep),
    /// Waits for a callback or a signal.
    Message(PlannedMessage),
    /// Runs its members.
    Group(PlannedGroup),
    /// Runs a step once for each item of a list.
    ForEach(PlannedForEach),
    /// Runs another workflow.
    Workflow(PlannedWorkflow),
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
    /// What it asks to reach beyond its cell.
    pub grants: Arc<Grants>,
    /// Whether anybody outside can tell an attempt of it from none.
    pub purity: Purity,
}

/// A human step, resolved.
#[derive(Debug)]
pub struct PlannedHuman {
    /// What was written.
    pub step: HumanStep,
    /// What the answer must fit.
    pub form: Option<DataSchema>,
}

/// A step that waits for a message, resolved.
#[derive(Debug)]
pub struct PlannedMessage {
    /// Who sends it.
    pub source: MessageSource,
    /// The context key that the payload is put under.
    pub key: Option<ContextKey>,
    /// How long it waits.
    pub timeout: Option<Span>,
}

/// Who sends a message that a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSource {
    /// Whoever has the step's callback address.
    Webhook {
        /// Whether each delivery must be signed.
        signed: bool,
    },
    /// Whoever may signal the instance.
    Signal(SignalName),
}

/// A group, resolved.
#[derive(Debug)]
pub struct PlannedGroup {
    /// How its members run.
    pub mode: GroupMode,
    /// Its members in declared order.
    pub members: Vec<StepIndex>,
}

/// How the members of a group run.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupMode {
    /// One after another.
    Sequential,
    /// At once.
    Parallel {
        /// What is given the results.
        callback: Option<StepIndex>,
        /// What becomes of the others when the group must fail.
        on_member_failure: OnMemberFailure,
        /// How many must succeed.
        complete_when: CompleteWhen,
        /// How many run at once.
        max_concurrency: Option<u32>,
    },
    /// One of them, which a context value names.
    Conditional {
        /// The context key.
        key: ContextKey,
        /// Which one runs when the value names none.
        default: Option<usize>,
    },
}

/// A step that runs once for each item of a list, resolved.
#[derive(Debug)]
pub struct PlannedForEach {
    /// The context key that holds the list.
    pub items: ContextKey,
    /// What runs for each.
    pub body: StepIndex,
    /// How many run at once.
    pub max_concurrency: Option<u32>,
}

/// A step that runs another workflow, resolved.
#[derive(Debug)]
pub struct PlannedWorkflow {
    /// The workflow.
    pub workflow: WorkflowName,
    /// Which version; the latest active release without it.
    pub version: Option<VersionRequirement>,
    /// What its initial data is made of, if not of the previous result.
    pub input: Option<Mapping>,
    /// The context key that the result is put under.
    pub result_key: Option<ContextKey>,
    /// How long it may take.
    pub timeout: Option<Span>,
}

/// An edge, resolved.
#[derive(Debug)]
pub struct PlannedEdge {
    /// Its index in the definition.
    pub index: u32,
    /// Where it leads.
    pub target: StepIndex,
    /// What must hold.
    pub condition: Option<PlannedCondition>,
    /// Whether it is taken when no other is.
    pub is_default: bool,
    /// How the source must have ended.
    pub outcome: Outcome,
}

/// What must hold for an edge to be taken.
#[derive(Debug)]
pub enum PlannedCondition {
    /// An expression.
    Expression(Condition),
    /// A predicate of the embedding program.
    Predicate(Predicate),
}

impl PlannedCondition {
    /// Decides.
    ///
    /// # Errors
    /// Why it can not, in words.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self {
            Self::Expression(condition) => condition.evaluate(scope).map_err(|error| error.to_string()),
            Self::Predicate(predicate) => predicate.evaluate(scope),
        }
    }

    /// The values that it reads, as they are in `scope`; what a predicate reads is its own affair.
    #[must_use]
    pub fn values_read(&self, scope: &Scope<'_>) -> Vec<ValueRead> {
        match self {
            Self::Expression(condition) => condition.values_read(scope),
            Self::Predicate(_) => Vec::new(),
        }
    }
}

impl Plan {
    /// Checks a definition and resolves it with the digests of the components that it names, by step.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong, a component without a digest among it.
    pub fn new(
        id: DefinitionId,
        definition: WorkflowDefinition,
        components: &BTreeMap<StepName, ComponentDigest>,
    ) -> Result<Self, Problems> {
        Self::with_predicates(id, definition, components, &Predicates::default())
    }

    /// As [`Self::new`], with the predicates that the embedding program has registered.
    ///
    /// # Errors
    /// As [`Self::new`]; a predicate that is not registered is a problem, too.
    pub fn with_predicates(
        id: DefinitionId,
        definition: WorkflowDefinition,
        components: &BTreeMap<StepName, ComponentDigest>,
        predicates: &Predicates,
    ) -> Result<Self, Problems> {
        build::check(&definition, components, predicates)?;
        let (steps, by_name) = build::plan_steps(&definition, components, predicates)?;
        let edges: Vec<_> =
            definition.edges.iter().map(|edge| (by_name[&edge.source], by_name[&edge.target])).collect();
        let mut sources = vec![Vec::new(); definition.steps.len()];
        for (source, target) in &edges {
            sources[target.0].push(*source);
        }
        Ok(Self {
            id,
            sources,
            input_schema: build::compile_schema("input_schema", definition.input_schema.as_ref())?,
            initial: by_name[&definition.initial_step],
            reachability: Reachability::of(definition.steps.len(), &edges),
            steps,
            by_name,
            definition,
        })
    }

    /// The same plan, in which those steps of the definition are pure. Of the others nothing is known, so they are not.
    #[must_use]
    pub fn with_pure_steps(mut self, pure: &[StepName]) -> Self {
        for step in &mut self.steps {
            let written = step.name.written();
            if let PlannedKind::Machine(machine) | PlannedKind::GatewayComponent(machine) = &mut step.kind
                && pure.contains(&written)
            {
                machine.purity = Purity::Pure;
            }
        }
        self
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

    /// Where a step is, if it is one of this plan; a member of a group is `group/member`.
    #[must_use]
    pub fn find(&self, name: &StepName) -> Option<StepIndex> {
        self.by_name.get(name).copied()
    }

    /// The steps of this plan: those of the graph in declared order, then the parts of steps.
    pub fn steps(&self) -> impl Iterator<Item = &PlannedStep> {
        self.steps.iter()
    }

    /// Whether a branch that is at `from` can still come to `to`; both are steps of the graph.
    #[must_use]
    pub fn can_reach(&self, from: StepIndex, to: StepIndex) -> bool {
        self.reachability.reaches(from, to)
    }

    /// Whether a branch that is at `from` can still come to `to` without passing through any of `avoided`.
    #[must_use]
    pub fn can_reach_past(&self, from: StepIndex, to: StepIndex, avoided: &BTreeSet<StepName>) -> bool {
        self.can_reach(from, to) && (avoided.is_empty() || self.reached_from(to, avoided)[from.0])
    }

    /// For each step of the graph, whether a branch that is at it can still come to `to` without passing through any
    /// of `avoided`.
    #[must_use]
    pub fn reached_from(&self, to: StepIndex, avoided: &BTreeSet<StepName>) -> Vec<bool> {
        let mut reached = vec![false; self.sources.len()];
        let is_avoided = |step: StepIndex| avoided.contains(&self.step(step).name);
        let mut open = if is_avoided(to) { Vec::new() } else { vec![to] };
        while let Some(step) = open.pop() {
            for source in &self.sources[step.0] {
                if !std::mem::replace(&mut reached[source.0], true) && !is_avoided(*source) {
                    open.push(*source);
                }
            }
        }
        reached
    }
}

impl PlannedStep {
    /// What kind of step it is.
    #[must_use]
    pub const fn step_type(&self) -> StepType {
        match &self.kind {
            PlannedKind::Machine(_) => StepType::Machine,
            PlannedKind::Human(_) => StepType::Human,
            PlannedKind::Gateway(_) | PlannedKind::GatewayComponent(_) => StepType::Gateway,
            PlannedKind::Timer(_) => StepType::Timer,
            PlannedKind::Message(PlannedMessage { source: MessageSource::Webhook { .. }, .. }) => StepType::Webhook,
            PlannedKind::Message(PlannedMessage { source: MessageSource::Signal(_), .. }) => StepType::Signal,
            PlannedKind::Group(PlannedGroup { mode, .. }) => match mode {
                GroupMode::Sequential => StepType::Sequential,
                GroupMode::Parallel { .. } => StepType::Parallel,
                GroupMode::Conditional { .. } => StepType::Conditional,
            },
            PlannedKind::ForEach(_) => StepType::ForEach,
            PlannedKind::Workflow(_) => StepType::Workflow,
        }
    }

    /// What an attempt of it runs, if it is attempted.
    #[must_use]
    pub const fn machine(&self) -> Option<&PlannedMachine> {
        match &self.kind {
            PlannedKind::Machine(machine) | PlannedKind::GatewayComponent(machine) => Some(machine),
            PlannedKind::Human(_)
            | PlannedKind::Gateway(_)
            | PlannedKind::Timer(_)
            | PlannedKind::Message(_)
            | PlannedKind::Group(_)
            | PlannedKind::ForEach(_)
            | PlannedKind::Workflow(_) => None,
        }
    }

    /// The edges to look at when the step ended so, in order.
    pub fn outgoing(&self, outcome: Outcome) -> impl Iterator<Item = &PlannedEdge> {
        self.outgoing.iter().filter(move |edge| edge.outcome == outcome)
    }
}
