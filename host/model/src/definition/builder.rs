//! Definitions for embedders, written in Rust instead of YAML.

use semver::Version;

use super::{
    DefinitionFormat, Durability, Edge, GatewayMode, GatewayStep, HumanStep, MachineStep, StepDefinition,
    WorkflowDefinition, WorkflowLimits,
};
use crate::json::Json;
use crate::name::{MalformedName, StepName, WorkflowName};
use crate::problem::{Problem, Problems};

/// Collects the parts of a definition; mistakes are kept and told all at once by [`Self::build`].
///
/// # Examples
/// ```
/// use stepcell_model::definition::WorkflowDefinition;
///
/// let definition = WorkflowDefinition::builder("approval", "1.0.0")
///     .machine("submit", "acme/submit@1")
///     .human("review", |task| task.title = Some("Look at it".to_owned()))
///     .edge("submit", "review")
///     .build()?;
/// assert_eq!(definition.initial_step.as_str(), "submit");
/// # Ok::<(), stepcell_model::problem::Problems>(())
/// ```
#[derive(Debug)]
pub struct DefinitionBuilder {
    definition: WorkflowDefinition,
    initial_given: bool,
    problems: Vec<Problem>,
}

impl WorkflowDefinition {
    /// Begins a definition. Without [`DefinitionBuilder::initial`], the first step added is the initial one.
    #[must_use]
    pub fn builder(name: &str, version: &str) -> DefinitionBuilder {
        let mut problems = Vec::new();
        let mut note = |path: &str, error: String| problems.push(Problem::of(path, error));
        let name = WorkflowName::new(name).unwrap_or_else(|error| {
            note("name", error.to_string());
            WorkflowName::new("unnamed").expect("a letter and more letters are a name")
        });
        let version = Version::parse(version).unwrap_or_else(|error| {
            note("version", format!("`{version}` is no semantic version: {error}"));
            Version::new(0, 0, 0)
        });
        let definition = WorkflowDefinition {
            schema: DefinitionFormat::V1,
            name,
            version,
            description: None,
            input_schema: None,
            initial_step: StepName::new("_").expect("an underscore is a name"),
            terminal_steps: None,
            limits: WorkflowLimits::default(),
            durability: Durability::default(),
            steps: indexmap::IndexMap::new(),
            edges: Vec::new(),
        };
        DefinitionBuilder { definition, initial_given: false, problems }
    }
}

impl DefinitionBuilder {
    /// Adds a machine step that runs `component` with the defaults.
    #[must_use]
    pub fn machine(self, name: &str, component: &str) -> Self {
        self.machine_with(name, component, |_| {})
    }

    /// Adds a machine step that runs `component`, and lets `change` set what differs from the defaults.
    #[must_use]
    pub fn machine_with(mut self, name: &str, component: &str, change: impl FnOnce(&mut MachineStep)) -> Self {
        match component.parse() {
            Ok(component) => {
                let mut machine = MachineStep::new(component);
                change(&mut machine);
                self.step(name, StepDefinition::Machine(machine))
            }
            Err(error) => {
                self.problems.push(Problem::of(format!("steps.{name}.component"), error.to_string()));
                self
            }
        }
    }

    /// Adds a human step, and lets `change` set what it shows and asks.
    #[must_use]
    pub fn human(self, name: &str, change: impl FnOnce(&mut HumanStep)) -> Self {
        let mut human = HumanStep::default();
        change(&mut human);
        self.step(name, StepDefinition::Human(human))
    }

    /// Adds a gateway.
    #[must_use]
    pub fn gateway(self, name: &str, mode: GatewayMode) -> Self {
        self.step(name, StepDefinition::Gateway(GatewayStep::of_mode(mode)))
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, name: &str, step: impl Into<StepDefinition>) -> Self {
        let path = format!("steps.{name}");
        let Some(name) = self.name(&path, name) else { return self };
        if self.definition.steps.is_empty() && !self.initial_given {
            self.definition.initial_step = name.clone();
        }
        if self.definition.steps.insert(name, step.into()).is_some() {
            self.problems.push(Problem::of(path, "this step was added before; give it another name"));
        }
        self
    }

    /// Adds an edge that is taken whenever its source succeeds.
    #[must_use]
    pub fn edge(self, source: &str, target: &str) -> Self {
        self.edge_with(source, target, |edge| edge)
    }

    /// Adds an edge that is taken when `condition` holds.
    #[must_use]
    pub fn edge_when(self, source: &str, target: &str, condition: &str) -> Self {
        self.edge_with(source, target, |edge| edge.when(condition))
    }

    /// Adds an edge, and lets `change` set its condition or outcome.
    #[must_use]
    pub fn edge_with(mut self, source: &str, target: &str, change: impl FnOnce(Edge) -> Edge) -> Self {
        let path = format!("edges[{}]", self.definition.edges.len());
        if let (Some(source), Some(target)) = (self.name(&path, source), self.name(&path, target)) {
            self.definition.edges.push(change(Edge::new(source, target)));
        }
        self
    }

    /// Says which step an instance begins with.
    #[must_use]
    pub fn initial(mut self, name: &str) -> Self {
        if let Some(name) = self.name("initial_step", name) {
            self.definition.initial_step = name;
            self.initial_given = true;
        }
        self
    }

    /// Names a step that ends its branch. Without any, every step without outgoing edges does.
    #[must_use]
    pub fn terminal(mut self, name: &str) -> Self {
        if let Some(name) = self.name("terminal_steps", name) {
            self.definition.terminal_steps.get_or_insert_default().insert(name);
        }
        self
    }

    /// Sets the JSON Schema that an instance's initial data must fit.
    #[must_use]
    pub fn input_schema(mut self, schema: impl Into<Json>) -> Self {
        self.definition.input_schema = Some(schema.into());
        self
    }

    /// Sets how many step executions one instance may have.
    #[must_use]
    pub const fn iterations(mut self, max: u32) -> Self {
        self.definition.limits.iterations = max;
        self
    }

    /// Sets when what an instance did is on disk.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.definition.durability = durability;
        self
    }

    /// The definition, checked.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong.
    pub fn build(self) -> Result<WorkflowDefinition, Problems> {
        let found = self.problems.into_iter().chain(self.definition.validate().into_vec());
        let problems = Problems::new(found.collect());
        if problems.is_empty() { Ok(self.definition) } else { Err(problems) }
    }

    fn name(&mut self, path: &str, text: &str) -> Option<StepName> {
        let note = |error: MalformedName| self.problems.push(Problem::of(path, error.to_string()));
        StepName::new(text).map_err(note).ok()
    }
}
