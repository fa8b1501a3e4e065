//! An instance as it is shown, whether it came from a database or from a server.

use std::collections::BTreeMap;

use stepcell::engine::EngineError;
use stepcell::model::definition::{StepDefinition, WorkflowDefinition};
use stepcell::model::id::InstanceId;
use stepcell::model::name::{SignalName, StepName};
use stepcell::store::WorkflowStore;
use stepcell::{StepStatus, StepType};
use stepcell_server::wire::{Execution, Instance};

/// Everything that is shown of an instance.
#[derive(Debug)]
pub(crate) struct Shown {
    /// What programs are told, and people too.
    pub(crate) instance: Instance,
    /// What its steps wait for that wait for a signal; only definitions know, so that a server's instances lack it.
    pub(crate) signals: BTreeMap<StepName, SignalName>,
}

impl Shown {
    /// Reads an instance, all of one moment if it does not move too fast for that.
    pub(crate) async fn load(store: &dyn WorkflowStore, id: InstanceId) -> Result<Self, EngineError> {
        let (instance, _) = Instance::load(store, id).await?;
        let signals = signals_of(store, &instance).await?;
        Ok(Self { instance, signals })
    }
}

impl From<Instance> for Shown {
    fn from(instance: Instance) -> Self {
        Self { instance, signals: BTreeMap::new() }
    }
}

/// The signals that executions wait for, which only the definition names.
async fn signals_of(
    store: &dyn WorkflowStore,
    instance: &Instance,
) -> Result<BTreeMap<StepName, SignalName>, EngineError> {
    let waits = |record: &&Execution| record.kind == StepType::Signal && record.status == StepStatus::Waiting;
    let waiting: Vec<_> = instance.history.iter().filter(waits).map(|record| &record.step).collect();
    let Some(summary) = (if waiting.is_empty() { None } else { store.find_instance(instance.id).await? }) else {
        return Ok(BTreeMap::new());
    };
    let record = store.find_definition_by_id(summary.identity.definition).await?;
    let definition = record.and_then(|record| serde_json::from_str::<WorkflowDefinition>(record.document.text()).ok());
    let mut named = BTreeMap::new();
    if let Some(definition) = &definition {
        definition.visit_steps(&mut |visited| {
            if let StepDefinition::Signal(signal) = visited.step {
                named.insert(visited.name.to_string(), signal.signal.clone());
            }
        });
    }
    let signal_of = |step: &StepName| {
        let named = named.get(&as_written(step)).cloned().flatten();
        named.unwrap_or_else(|| SignalName::of_step(step))
    };
    Ok(waiting.into_iter().map(|step| (step.clone(), signal_of(step))).collect())
}

/// The name that a definition has for a step, which knows no items.
fn as_written(step: &StepName) -> String {
    let mut parts = step.as_str().split('/');
    let first = parts.next().into_iter();
    first.chain(parts.filter(|part| *part != StepName::ITEM)).collect::<Vec<_>>().join("/")
}
