//! Instances, tasks, definitions and components as JSON: the contract of `--output json`.
//!
//! Fields stand in a fixed order, what is not there is `null`, and new fields come last.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stepcell::engine::EngineError;
use stepcell::model::attempt::ContextData;
use stepcell::model::component::ComponentExports;
use stepcell::model::definition::{StepDefinition, WorkflowDefinition};
use stepcell::model::id::InstanceId;
use stepcell::model::name::{SignalName, StepName};
use stepcell::model::record::{
    ComponentRecord, DefinitionRecord, ExecutionRecord, InstanceIdentity, InstanceSummary, TaskRecord,
};
use stepcell::store::{Inserted, InstanceFilter, PageLimit, TaskFilter, WorkflowStore};
use stepcell::{StepStatus, StepType};

/// How often an instance that moves meanwhile is read again, before what was read last is shown.
const LOOKS_MAX: u32 = 5;

/// Everything that is shown of an instance.
#[derive(Debug)]
pub(crate) struct InstanceView {
    pub(crate) summary: InstanceSummary,
    pub(crate) context: ContextData,
    pub(crate) executions: Vec<ExecutionRecord>,
    pub(crate) tasks: Vec<TaskRecord>,
    /// The instances that its steps started, in the order of their starts; the first thousand of them.
    pub(crate) children: Vec<InstanceSummary>,
    /// What its steps wait for that wait for a signal.
    pub(crate) signals: BTreeMap<StepName, SignalName>,
}

impl InstanceView {
    /// Reads an instance, all of one moment if it does not move too fast for that.
    pub(crate) async fn load(store: &dyn WorkflowStore, id: InstanceId) -> Result<Self, EngineError> {
        let find = || async { store.find_instance(id).await?.ok_or(EngineError::InstanceNotFound { id }) };
        let mut summary = find().await?;
        let mut looks = 0;
        loop {
            looks += 1;
            let context = store.load_context(id).await?;
            let executions = store.list_executions(id).await?;
            let filter = TaskFilter { instance: Some(id), limit: PageLimit::MAX, ..TaskFilter::default() };
            let tasks = store.list_tasks(&filter).await?.items;
            let after = find().await?;
            if after.seq == summary.seq || looks == LOOKS_MAX {
                let children = children_of(store, id).await?;
                let signals = signals_of(store, &after.identity, &executions).await?;
                return Ok(Self { summary: after, context, executions, tasks, children, signals });
            }
            summary = after;
        }
    }

    /// The instance as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let InstanceSummary { identity, status, current_step, error, result, completed_at, .. } = &self.summary;
        let tasks = self.tasks.iter().map(|task| Value::Object(task_fields(task)));
        json!({
            "id": identity.id,
            "workflow_name": identity.workflow_name,
            "workflow_version": identity.workflow_version.to_string(),
            "status": status,
            "current_step": current_step,
            "error": error,
            "data": self.context,
            "metadata": *identity.metadata,
            "result": result,
            "tenant_id": identity.tenant,
            "created_by": identity.created_by,
            "started_at": identity.started_at,
            "completed_at": completed_at,
            "history": self.executions.iter().map(execution).collect::<Vec<_>>(),
            "tasks": tasks.collect::<Vec<_>>(),
            "correlation_id": identity.correlation_id,
            "parent_id": identity.parent.map(|parent| parent.instance),
            "children": self.children.iter().map(child).collect::<Vec<_>>(),
        })
    }
}

async fn children_of(store: &dyn WorkflowStore, id: InstanceId) -> Result<Vec<InstanceSummary>, EngineError> {
    let filter = InstanceFilter { parent: Some(id), limit: PageLimit::MAX, ..InstanceFilter::default() };
    let mut children = store.list_instances(&filter).await?.items;
    children.sort_by_key(|child| child.identity.parent.map(|parent| parent.execution));
    Ok(children)
}

/// The signals that executions wait for, which only the definition names.
async fn signals_of(
    store: &dyn WorkflowStore,
    identity: &InstanceIdentity,
    executions: &[ExecutionRecord],
) -> Result<BTreeMap<StepName, SignalName>, EngineError> {
    let waits =
        |record: &&ExecutionRecord| record.step_type == StepType::Signal && record.status == StepStatus::Waiting;
    let waiting: Vec<_> = executions.iter().filter(waits).map(|record| &record.step).collect();
    if waiting.is_empty() {
        return Ok(BTreeMap::new());
    }
    let record = store.find_definition_by_id(identity.definition).await?;
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

/// An instance that a step started.
fn child(summary: &InstanceSummary) -> Value {
    json!({
        "id": summary.identity.id,
        "execution": summary.identity.parent.map(|parent| parent.execution),
        "workflow_name": summary.identity.workflow_name,
        "status": summary.status,
    })
}

/// An instance as lists show it: without its data, its history and its tasks.
pub(crate) fn summary(summary: &InstanceSummary) -> Value {
    let InstanceIdentity { id, workflow_name, workflow_version, tenant, created_by, .. } = &*summary.identity;
    json!({
        "id": id,
        "workflow_name": workflow_name,
        "workflow_version": workflow_version.to_string(),
        "status": summary.status,
        "current_step": summary.current_step,
        "error": summary.error,
        "metadata": *summary.identity.metadata,
        "result": summary.result,
        "tenant_id": tenant,
        "created_by": created_by,
        "started_at": summary.identity.started_at,
        "completed_at": summary.completed_at,
        "correlation_id": summary.identity.correlation_id,
        "parent_id": summary.identity.parent.map(|parent| parent.instance),
    })
}

/// One row of an instance's history.
fn execution(record: &ExecutionRecord) -> Value {
    json!({
        "step": record.step,
        "type": record.step_type,
        "status": record.status,
        "attempts": record.attempts,
        "input": record.input,
        "output": record.output,
        "error": record.failure,
        "started_at": record.started_at,
        "completed_at": record.completed_at,
        "execution": record.number,
        "part_of": record.part_of,
        "item": record.item,
    })
}

/// A task with its instance and who did what with it.
pub(crate) fn task(task: &TaskRecord) -> Value {
    let mut fields = task_fields(task);
    let rest = json!({
        "instance_id": task.instance,
        "description": task.description,
        "tenant_id": task.tenant,
        "reminder_at": task.reminder_at,
        "created_at": task.created_at,
        "completed_at": task.completed_at,
        "completed_by": task.completed_by,
        "comment": task.comment,
    });
    if let Value::Object(rest) = rest {
        fields.extend(rest);
    }
    Value::Object(fields)
}

/// A task as its instance shows it.
fn task_fields(task: &TaskRecord) -> Map<String, Value> {
    let fields = json!({
        "id": task.id,
        "step": task.step,
        "title": task.title,
        "status": task.status,
        "assignee_id": task.assignee,
        "assignee_group": task.group,
        "due_at": task.due_at,
        "form_schema": task.form_schema,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A version of a definition as lists show it.
pub(crate) fn definition(record: &DefinitionRecord) -> Value {
    of_owner(definition_itself(record), record)
}

/// A version of a definition, and whether it is new where it was just registered.
pub(crate) fn registered_definition(record: &DefinitionRecord, inserted: Inserted) -> Value {
    let mut value = definition_itself(record);
    value["is_new"] = json!(inserted == Inserted::New);
    of_owner(value, record)
}

/// A version of a definition with its document, and the digest of the component of each step.
pub(crate) fn whole_definition(record: &DefinitionRecord) -> Value {
    let mut value = definition_itself(record);
    let components = record.components.iter().map(|(step, digest)| (step.to_string(), json!(digest)));
    value["components"] = Value::Object(components.collect());
    value["pure_steps"] = json!(record.pure_steps);
    value["document"] = record.document.tree().clone();
    of_owner(value, record)
}

fn definition_itself(record: &DefinitionRecord) -> Value {
    json!({
        "name": record.name,
        "version": record.version.to_string(),
        "description": record.description,
        "is_active": record.is_active,
        "created_at": record.created_at,
    })
}

fn of_owner(mut value: Value, record: &DefinitionRecord) -> Value {
    value["tenant_id"] = json!(record.tenant);
    value
}

/// A registered component, and whether it is new where it was just pushed.
pub(crate) fn component(record: &ComponentRecord, pushed: Option<Inserted>) -> Value {
    let mut value = json!({
        "name": record.name,
        "version": record.version.to_string(),
        "digest": record.digest,
        "size_bytes": record.size_bytes,
        "created_at": record.created_at,
        "manifest": record.manifest,
    });
    if let Some(inserted) = pushed {
        value["is_new"] = json!(inserted == Inserted::New);
    }
    value["exports"] = json!(record.exports.list());
    value["capabilities"] = json!(record.capabilities);
    value["tenant"] = json!(record.tenant);
    value
}

/// What a component exports, for people.
pub(crate) fn exports(exports: ComponentExports) -> String {
    let words: Vec<_> = exports.list().iter().map(|export| export.as_str()).collect();
    words.join(", ")
}
