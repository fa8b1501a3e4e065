//! From text to a definition: everything that is wrong is found in one go, each with its place.

use indexmap::{IndexMap, IndexSet};
use semver::Version;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::document::Document;
use super::read::{Finding, read_all};
use super::validate::Extent;
use super::{
    ConditionalGroup, DefinitionFormat, Durability, Edge, GatewayStep, HumanStep, MachineStep, ParallelGroup,
    SequentialGroup, SignalStep, StepDefinition, TimerStep, WebhookStep, WorkflowDefinition, WorkflowLimits,
    WorkflowStep,
};
use crate::json::Json;
use crate::name::{StepName, WorkflowName};
use crate::problem::{PathPart, Problem, Problems, did_you_mean};

/// A definition together with the places of its parts, so that what is found later can be located too.
#[derive(Clone, Debug)]
pub struct LocatedDefinition {
    /// The definition.
    pub definition: WorkflowDefinition,
    document: Document,
}

impl WorkflowDefinition {
    /// Reads a definition from YAML or JSON and checks it.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong, by line and column.
    pub fn from_text(text: &str) -> Result<Self, Problems> {
        LocatedDefinition::parse(text).map(|located| located.definition)
    }
}

impl LocatedDefinition {
    /// Reads a definition from YAML or JSON and checks it.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong, by line and column.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let document = Document::parse(text).map_err(Problems::from)?;
        let mut reader = Reader { findings: Vec::new(), extent: Extent::Whole };
        let definition = reader.definition(document.value());
        let mut findings = reader.findings;
        if let Some(definition) = &definition {
            let more = definition.findings_beside(&findings, reader.extent);
            findings.extend(more);
        }
        match definition {
            Some(definition) if findings.is_empty() => Ok(Self { definition, document }),
            _ => Err(located(&document, findings)),
        }
    }

    /// Gives each finding its place in the text.
    #[must_use]
    pub fn locate(&self, findings: Vec<Finding>) -> Problems {
        located(&self.document, findings)
    }
}

fn located(document: &Document, findings: Vec<Finding>) -> Problems {
    let problem =
        |finding: Finding| Problem::at(&finding.path, finding.message).with_position(document.position(&finding.path));
    Problems::new(findings.into_iter().map(problem).collect())
}

/// The parts of a definition beside steps and edges. All optional here, so that all that is missing is said at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema: Option<DefinitionFormat>,
    name: Option<WorkflowName>,
    version: Option<Version>,
    description: Option<String>,
    input_schema: Option<Json>,
    initial_step: Option<StepName>,
    terminal_steps: Option<IndexSet<StepName>>,
    limits: Option<WorkflowLimits>,
    durability: Option<Durability>,
    #[serde(rename = "steps")]
    _steps: Option<IgnoredAny>,
    #[serde(rename = "edges")]
    _edges: Option<IgnoredAny>,
}

struct Reader {
    findings: Vec<Finding>,
    extent: Extent,
}

fn key(name: &str) -> PathPart {
    PathPart::Key(name.to_owned())
}

impl Reader {
    fn find(&mut self, path: Vec<PathPart>, message: impl Into<String>) {
        self.findings.push(Finding { path, message: message.into() });
    }

    /// Reads what can be read; nothing if not even the outline is there.
    fn definition(&mut self, value: &Value) -> Option<WorkflowDefinition> {
        let Value::Object(fields) = value else {
            self.find(Vec::new(), "a definition is a mapping with name, version, steps and edges");
            return None;
        };
        let mut outline = fields.clone();
        for part in ["steps", "edges"] {
            if outline.contains_key(part) {
                outline.insert(part.to_owned(), Value::Null);
            }
        }
        let header = read_all::<Header>(Value::Object(outline), &[], &mut self.findings)?;
        let steps = self.steps(fields.get("steps"), &[]);
        let edges = self.edges(fields.get("edges"));
        let given = |part: &str| fields.contains_key(part);
        for part in ["schema", "name", "version", "initial_step", "steps"] {
            if !given(part) {
                let hint = if part == "schema" { ": `schema: stepcell/v1`" } else { "" };
                self.find(Vec::new(), format!("`{part}` is missing{hint}"));
            }
        }
        let initial_step = header.initial_step.or_else(|| steps.first().map(|(name, _)| name.clone()))?;
        Some(WorkflowDefinition {
            schema: header.schema.unwrap_or_default(),
            name: header.name.or_else(|| WorkflowName::new("unnamed").ok())?,
            version: header.version.unwrap_or(Version::new(0, 0, 0)),
            description: header.description,
            input_schema: header.input_schema,
            initial_step,
            terminal_steps: header.terminal_steps,
            limits: header.limits.unwrap_or_default(),
            durability: header.durability.unwrap_or_default(),
            steps,
            edges,
        })
    }

    fn steps(&mut self, value: Option<&Value>, at: &[PathPart]) -> IndexMap<StepName, StepDefinition> {
        let mut steps = IndexMap::new();
        match value {
            None => {}
            Some(Value::Object(fields)) => {
                for (name, step) in fields {
                    let path = [at, &[key("steps"), key(name)]].concat();
                    match StepName::new(name) {
                        Ok(name) => drop(steps.insert(name, self.step(step, &path))),
                        Err(error) => {
                            self.extent = Extent::WithoutGraph;
                            self.find(path, error.to_string());
                        }
                    }
                }
            }
            Some(_) => {
                self.extent = Extent::WithoutGraph;
                self.find([at, &[key("steps")]].concat(), "steps are a mapping from name to step");
            }
        }
        steps
    }

    /// Takes the members out of a group and reads each by itself, so that what is wrong has its own place.
    fn members(
        &mut self,
        step_type: &str,
        fields: &mut serde_json::Map<String, Value>,
        path: &[PathPart],
    ) -> IndexMap<StepName, StepDefinition> {
        if !["sequential", "parallel", "conditional"].contains(&step_type) {
            return IndexMap::new();
        }
        match fields.shift_remove("steps") {
            Some(steps) => self.steps(Some(&steps), path),
            None => {
                self.find(path.to_vec(), "`steps` is missing: the members of the group; `steps: {}` if it has none");
                IndexMap::new()
            }
        }
    }

    fn callback(
        &mut self,
        step_type: &str,
        fields: &mut serde_json::Map<String, Value>,
        path: &[PathPart],
    ) -> Option<Box<StepDefinition>> {
        let callback = if step_type == "parallel" { fields.shift_remove(StepName::CALLBACK)? } else { return None };
        Some(Box::new(self.step(&callback, &[path, &[key(StepName::CALLBACK)]].concat())))
    }

    /// A step that can not be read stands as one that is never wrong itself, so that edges still find it.
    fn step(&mut self, value: &Value, path: &[PathPart]) -> StepDefinition {
        self.try_step(value, path).unwrap_or_else(|| StepDefinition::Human(HumanStep::default()))
    }

    fn try_step(&mut self, value: &Value, path: &[PathPart]) -> Option<StepDefinition> {
        let types = StepDefinition::TYPES.join(", ");
        let Value::Object(fields) = value else {
            self.find(path.to_vec(), format!("a step is a mapping with a `type`: {types}"));
            return None;
        };
        let mut rest = fields.clone();
        let step_type = match rest.shift_remove("type") {
            Some(Value::String(step_type)) => step_type,
            Some(_) => String::new(),
            None => {
                self.find(path.to_vec(), format!("`type` is missing; it is one of {types}"));
                return None;
            }
        };
        let members = self.members(&step_type, &mut rest, path);
        let callback = self.callback(&step_type, &mut rest, path);
        let rest = Value::Object(rest);
        match step_type.as_str() {
            "machine" => self.read::<MachineStep>(rest, path).map(StepDefinition::Machine),
            "human" => self.read::<HumanStep>(rest, path).map(StepDefinition::Human),
            "gateway" => self.read::<GatewayStep>(rest, path).map(StepDefinition::Gateway),
            "timer" => self.read::<TimerStep>(rest, path).map(StepDefinition::Timer),
            "webhook" => self.read::<WebhookStep>(rest, path).map(StepDefinition::Webhook),
            "signal" => self.read::<SignalStep>(rest, path).map(StepDefinition::Signal),
            "workflow" => self.read::<WorkflowStep>(rest, path).map(StepDefinition::Workflow),
            "sequential" => {
                let group = self.read::<SequentialGroup>(rest, path)?;
                Some(StepDefinition::Sequential(SequentialGroup { steps: members, ..group }))
            }
            "parallel" => {
                let group = self.read::<ParallelGroup>(rest, path)?;
                Some(StepDefinition::Parallel(ParallelGroup { steps: members, callback, ..group }))
            }
            "conditional" => {
                let group = self.read::<ConditionalGroup>(rest, path)?;
                Some(StepDefinition::Conditional(ConditionalGroup { steps: members, ..group }))
            }
            other => {
                let hint = did_you_mean(other, StepDefinition::TYPES.iter().copied());
                let path = path.iter().cloned().chain([key("type")]).collect();
                self.find(path, format!("`{other}` is no type of step; it is one of {types}{hint}"));
                None
            }
        }
    }

    fn read<T: DeserializeOwned>(&mut self, value: Value, path: &[PathPart]) -> Option<T> {
        read_all(value, path, &mut self.findings)
    }

    fn edges(&mut self, value: Option<&Value>) -> Vec<Edge> {
        let items = match value {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.extent = Extent::WithoutGraph;
                self.find(vec![key("edges")], "edges are a list of `{ source: a, target: b }`");
                return Vec::new();
            }
        };
        let mut edges = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match self.read::<Edge>(item.clone(), &[key("edges"), PathPart::Index(index)]) {
                Some(edge) => edges.push(edge),
                // Left out, it would move the numbers of those after it.
                None => self.extent = Extent::Parts,
            }
        }
        edges
    }
}
