//! What people write: a workflow as data.
//!
//! One serde model for YAML, JSON and the builder; the published JSON Schema is generated from it. A definition that
//! was read may still be wrong: [`WorkflowDefinition::validate`] says everything that is, and only a
//! [`Plan`](crate::plan::Plan) can be run.

pub mod builder;
pub mod component_ref;
pub mod document;
mod fluent;
mod parse;
pub mod read;
pub mod step;
mod validate;
mod visit;

use indexmap::{IndexMap, IndexSet};
use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

pub use self::component_ref::{ComponentRef, VersionRequirement};
pub use self::parse::LocatedDefinition;
pub use self::read::Finding;
pub use self::step::{
    CompleteWhen, ConditionalGroup, GatewayMode, GatewayStep, HumanStep, Jitter, Join, MachineStep, OnMemberFailure,
    ParallelGroup, RetryPolicy, SequentialGroup, SignalStep, StepDefinition, StepLimits, TimerStep, WebhookStep,
    WorkflowStep,
};
pub use self::visit::{ComponentUse, Visited};
use crate::failure::Failure;
use crate::json::Json;
use crate::name::{PredicateName, StepName, WorkflowName};

/// The most steps of one definition.
///
/// Protects registration: reachability takes a bit for each pair of steps.
pub const STEPS_MAX: usize = 1_000;

/// The most edges of one definition.
pub const EDGES_MAX: usize = 10_000;

/// The most versions of one workflow of one owner. Protects whoever finds out what a name means: all of them are looked at.
pub const VERSIONS_MAX: usize = 5_000;

/// The longest version, in bytes. Protects lists of versions.
pub const VERSION_LEN_BYTES_MAX: usize = 128;

/// The longest description of a workflow, in bytes. Protects lists of definitions.
pub const DESCRIPTION_LEN_BYTES_MAX: usize = 16 << 10;

/// The most step executions that a definition may allow an instance.
pub const ITERATIONS_MAX: u32 = 100_000;

/// Which format a definition is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DefinitionFormat {
    /// The first and only one.
    #[default]
    #[serde(rename = "stepcell/v1")]
    V1,
}

/// A workflow: steps, the edges between them, where it begins and where it may end.
///
/// # Examples
/// ```
/// use stepcell_model::definition::WorkflowDefinition;
///
/// let definition = WorkflowDefinition::from_text(
///     "
/// schema: stepcell/v1
/// name: hello
/// version: 1.0.0
/// initial_step: greet
/// steps:
///   greet: { type: machine, component: acme/greet@1 }
/// ",
/// )?;
/// assert_eq!(definition.name.as_str(), "hello");
/// # Ok::<(), stepcell_model::problem::Problems>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowDefinition {
    /// The format that the document is written in.
    pub schema: DefinitionFormat,
    /// The registry's key.
    pub name: WorkflowName,
    /// The semantic version; immutable once registered.
    #[schemars(with = "String")]
    pub version: Version,
    /// What the workflow is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema that an instance's initial data must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub input_schema: Option<Json>,
    /// The step that an instance begins with.
    pub initial_step: StepName,
    /// The steps that end their branch. Without this field: every step without outgoing edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<StepName>>")]
    pub terminal_steps: Option<IndexSet<StepName>>,
    /// How much one instance may do.
    #[serde(default)]
    pub limits: WorkflowLimits,
    /// When what its instances did is on disk.
    #[serde(default, skip_serializing_if = "Durability::is_default")]
    pub durability: Durability,
    /// The steps by name, in the order in which diagrams show them.
    #[schemars(with = "std::collections::BTreeMap<String, StepDefinition>")]
    pub steps: IndexMap<StepName, StepDefinition>,
    /// The ways between steps; looked at in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
}

/// How much one instance may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowLimits {
    /// Step executions of one instance, at most 100,000; one more fails it.
    #[serde(default = "default_iterations")]
    pub iterations: u32,
}

const fn default_iterations() -> u32 {
    1_000
}

impl Default for WorkflowLimits {
    fn default() -> Self {
        Self { iterations: default_iterations() }
    }
}

/// When what an instance did is on disk. Whatever is shown to anybody is on disk before, either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Pure steps run one after another and are stored together; everything is on disk before an effectful one begins.
    #[default]
    Fused,
    /// Each attempt is on disk before it begins.
    EachStep,
}

impl Durability {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A way from one step to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The step that it leads from.
    pub source: StepName,
    /// The step that it leads to.
    pub target: StepName,
    /// A CEL expression; the edge is taken when it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// A condition that the embedding program decides: the name that it was registered under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate: Option<PredicateName>,
    /// Taken when no other edge of the same source and outcome is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// How the source must have ended for the edge to be looked at.
    #[serde(default, skip_serializing_if = "Outcome::is_success")]
    pub outcome: Outcome,
}

/// How a step ended, as far as edges tell it apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded or was skipped.
    #[default]
    Success,
    /// It failed for good.
    Failure,
    /// It failed for good by a time-out; where no edge with this is taken, those with `failure` are looked at.
    Timeout,
}

impl Outcome {
    /// The outcomes whose edges a failure for good may take, in the order in which they are looked at.
    #[must_use]
    pub fn of_failure(failure: &Failure) -> &'static [Self] {
        if failure.is_timeout() { &[Self::Timeout, Self::Failure] } else { &[Self::Failure] }
    }

    /// Whether it is the usual outcome.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }
}

impl Edge {
    /// An edge that is taken whenever its source succeeds.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::definition::Edge;
    ///
    /// let edge = Edge::new("review".parse()?, "approve".parse()?).when("context.get('score') >= 80");
    /// assert_eq!(edge.condition.as_deref(), Some("context.get('score') >= 80"));
    /// # Ok::<(), stepcell_model::name::MalformedName>(())
    /// ```
    #[must_use]
    pub const fn new(source: StepName, target: StepName) -> Self {
        Self { source, target, condition: None, predicate: None, default: false, outcome: Outcome::Success }
    }

    /// The same edge, taken only when `condition` holds.
    #[must_use]
    pub fn when(self, condition: impl Into<String>) -> Self {
        Self { condition: Some(condition.into()), ..self }
    }

    /// The same edge, taken only when the predicate of that name holds.
    #[must_use]
    pub fn when_predicate(self, predicate: PredicateName) -> Self {
        Self { predicate: Some(predicate), ..self }
    }

    /// The same edge, taken only when no other is.
    #[must_use]
    pub fn by_default(self) -> Self {
        Self { default: true, ..self }
    }

    /// The same edge, looked at when the source ends so.
    #[must_use]
    pub fn on(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }
}

impl WorkflowDefinition {
    /// The definition in the published format, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        serde_json::to_value(self).expect("every map of a definition has text for keys").into()
    }

    /// The JSON Schema of the published format.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).into()
    }

    /// Whether a step ends its branch.
    #[must_use]
    pub fn is_terminal(&self, step: &StepName) -> bool {
        match &self.terminal_steps {
            Some(named) => named.contains(step),
            None => !self.edges.iter().any(|edge| edge.source == *step && edge.outcome.is_success()),
        }
    }
}
