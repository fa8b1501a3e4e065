//! Instances.

use serde::{Deserialize, Serialize};
use stepcell_engine::EngineError;
use stepcell_model::attempt::ContextData;
use stepcell_model::failure::{Failure, InstanceError};
use stepcell_model::id::{ExecutionNumber, InstanceId};
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, TenantId, UserId, WorkflowName};
use stepcell_model::record::{ExecutionRecord, InstanceSummary};
use stepcell_model::status::{StepStatus, StepType, WorkflowStatus};
use stepcell_model::time::Timestamp;
use stepcell_store::{InstanceFilter, PageLimit, TaskFilter, WorkflowStore};
use utoipa::ToSchema;

use super::task::InstanceTask;

/// How often an instance that moves meanwhile is read again, before what was read last is shown.
const LOOKS_MAX: u32 = 5;

/// How many executions an instance is shown with. Protects whoever asks, and the answer's size: the history has all, in pages.
const EXECUTIONS_SHOWN_MAX: usize = 1_000;

/// How many bytes of inputs, outputs and failures they have together at most; one is shown however large it is.
const EXECUTIONS_SHOWN_BYTES_MAX: usize = 4 << 20;

/// An instance as lists show it: without its data, its history and its tasks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InstanceRow {
    /// The instance.
    #[schema(value_type = String, format = "uuid")]
    pub id: InstanceId,
    /// The workflow that it runs.
    #[schema(value_type = String)]
    pub workflow_name: WorkflowName,
    /// The version that it stays on for life.
    pub workflow_version: String,
    /// Where it stands: pending, running, waiting, paused, completed, failed or canceled.
    #[schema(value_type = String)]
    pub status: WorkflowStatus,
    /// The step that runs, waits or failed; the oldest active one where there are several.
    #[schema(value_type = Option<String>)]
    pub current_step: Option<StepName>,
    /// Why it failed or was canceled.
    #[schema(value_type = Option<Object>)]
    pub error: Option<InstanceError>,
    /// Values that steps read and can not write.
    #[schema(value_type = Object)]
    pub metadata: ContextData,
    /// What it came to, once completed.
    #[schema(value_type = serde_json::Value)]
    pub result: Option<Json>,
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    pub tenant_id: Option<TenantId>,
    /// Who started it.
    #[schema(value_type = Option<String>)]
    pub created_by: Option<UserId>,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it finished.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// Ties it to something outside.
    pub correlation_id: Option<String>,
    /// The instance whose step started it.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub parent_id: Option<InstanceId>,
}

/// Everything that is shown of an instance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// The instance.
    #[schema(value_type = String, format = "uuid")]
    pub id: InstanceId,
    /// The workflow that it runs.
    #[schema(value_type = String)]
    pub workflow_name: WorkflowName,
    /// The version that it stays on for life.
    pub workflow_version: String,
    /// Where it stands: pending, running, waiting, paused, completed, failed or canceled.
    #[schema(value_type = String)]
    pub status: WorkflowStatus,
    /// The step that runs, waits or failed; the oldest active one where there are several.
    #[schema(value_type = Option<String>)]
    pub current_step: Option<StepName>,
    /// Why it failed or was canceled.
    #[schema(value_type = Option<Object>)]
    pub error: Option<InstanceError>,
    /// Its context as it is now.
    #[schema(value_type = Object)]
    pub data: ContextData,
    /// Values that steps read and can not write.
    #[schema(value_type = Object)]
    pub metadata: ContextData,
    /// What it came to, once completed.
    #[schema(value_type = serde_json::Value)]
    pub result: Option<Json>,
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    pub tenant_id: Option<TenantId>,
    /// Who started it.
    #[schema(value_type = Option<String>)]
    pub created_by: Option<UserId>,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it finished.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// One row an execution in the order of their end, gateways and groups among them; what runs or waits comes last. The
    /// last thousand, and fewer where they are long: `/instances/{id}/history` tells everything, in pages.
    pub history: Vec<Execution>,
    /// Its human tasks.
    pub tasks: Vec<InstanceTask>,
    /// Ties it to something outside.
    pub correlation_id: Option<String>,
    /// The instance whose step started it.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub parent_id: Option<InstanceId>,
    /// The instances that its steps started, in the order of their starts; the first thousand of them.
    pub children: Vec<ChildInstance>,
    /// How many executions there are, of which `history` shows the last ones.
    #[serde(default)]
    pub history_total: u64,
}

/// One execution of a step.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Execution {
    /// The step; a member of a group is `group/member`.
    #[schema(value_type = String)]
    pub step: StepName,
    /// What kind of step.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: StepType,
    /// Where it stands.
    #[schema(value_type = String)]
    pub status: StepStatus,
    /// How many attempts it took so far.
    pub attempts: u32,
    /// What it was given.
    #[schema(value_type = serde_json::Value)]
    pub input: Option<Json>,
    /// What it returned.
    #[schema(value_type = serde_json::Value)]
    pub output: Option<Json>,
    /// Why it failed.
    #[schema(value_type = Option<Object>)]
    pub error: Option<Failure>,
    /// When its first attempt began, or when it was reached.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// Its number among the instance's executions.
    #[schema(value_type = u32)]
    pub execution: ExecutionNumber,
    /// The execution that it is a part of.
    #[schema(value_type = Option<u32>)]
    pub part_of: Option<ExecutionNumber>,
    /// The item that it runs for, counted from 0.
    pub item: Option<u32>,
}

/// An instance that a step started.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChildInstance {
    /// The instance.
    #[schema(value_type = String, format = "uuid")]
    pub id: InstanceId,
    /// The execution that started it.
    #[schema(value_type = Option<u32>)]
    pub execution: Option<ExecutionNumber>,
    /// The workflow that it runs.
    #[schema(value_type = String)]
    pub workflow_name: WorkflowName,
    /// Where it stands.
    #[schema(value_type = String)]
    pub status: WorkflowStatus,
}

impl From<&InstanceSummary> for InstanceRow {
    fn from(summary: &InstanceSummary) -> Self {
        let identity = &summary.identity;
        Self {
            id: identity.id,
            workflow_name: identity.workflow_name.clone(),
            workflow_version: identity.workflow_version.to_string(),
            status: summary.status,
            current_step: summary.current_step.clone(),
            error: summary.error.clone(),
            metadata: (*identity.metadata).clone(),
            result: summary.result.clone(),
            tenant_id: identity.tenant.clone(),
            created_by: identity.created_by.clone(),
            started_at: identity.started_at,
            completed_at: summary.completed_at,
            correlation_id: identity.correlation_id.clone(),
            parent_id: identity.parent.map(|parent| parent.instance),
        }
    }
}

impl From<&ExecutionRecord> for Execution {
    fn from(record: &ExecutionRecord) -> Self {
        Self {
            step: record.step.clone(),
            kind: record.step_type,
            status: record.status,
            attempts: record.attempts,
            input: record.input.clone(),
            output: record.output.clone(),
            error: record.failure.clone(),
            started_at: record.started_at,
            completed_at: record.completed_at,
            execution: record.number,
            part_of: record.part_of,
            item: record.item,
        }
    }
}

impl From<&InstanceSummary> for ChildInstance {
    fn from(summary: &InstanceSummary) -> Self {
        Self {
            id: summary.identity.id,
            execution: summary.identity.parent.map(|parent| parent.execution),
            workflow_name: summary.identity.workflow_name.clone(),
            status: summary.status,
        }
    }
}

impl Instance {
    /// Reads an instance with the number of its last transition, all of one moment if it does not move too fast for that.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]; [`EngineError::Store`] if the store can not be read.
    pub async fn load(store: &dyn WorkflowStore, id: InstanceId) -> Result<(Self, u64), EngineError> {
        let found = store.find_instance(id).await?.ok_or(EngineError::InstanceNotFound { id })?;
        Self::load_found(store, found).await
    }

    /// As [`Self::load`], of an instance that was just found.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn load_found(
        store: &dyn WorkflowStore,
        found: InstanceSummary,
    ) -> Result<(Self, u64), EngineError> {
        let id = found.identity.id;
        let find = || async { store.find_instance(id).await?.ok_or(EngineError::InstanceNotFound { id }) };
        let mut summary = found;
        let mut looks = 0;
        loop {
            looks += 1;
            let context = store.load_context(id).await?;
            let executions = store.list_executions(id).await?;
            let filter = TaskFilter { instance: Some(id), limit: PageLimit::MAX, ..TaskFilter::default() };
            let tasks = store.list_tasks(&filter).await?.items;
            let after = find().await?;
            if after.seq == summary.seq || looks == LOOKS_MAX {
                let row = InstanceRow::from(&after);
                let history = Shown { total: executions.len() as u64, rows: last_of(&executions) };
                let tasks = tasks.iter().map(InstanceTask::from).collect();
                let children = children_of(store, id).await?;
                return Ok((Self::of(row, context, history, tasks, children), after.seq));
            }
            summary = after;
        }
    }

    fn of(
        row: InstanceRow,
        data: ContextData,
        history: Shown,
        tasks: Vec<InstanceTask>,
        children: Vec<ChildInstance>,
    ) -> Self {
        Self {
            id: row.id,
            workflow_name: row.workflow_name,
            workflow_version: row.workflow_version,
            status: row.status,
            current_step: row.current_step,
            error: row.error,
            data,
            metadata: row.metadata,
            result: row.result,
            tenant_id: row.tenant_id,
            created_by: row.created_by,
            started_at: row.started_at,
            completed_at: row.completed_at,
            history: history.rows,
            tasks,
            correlation_id: row.correlation_id,
            parent_id: row.parent_id,
            children,
            history_total: history.total,
        }
    }
}

/// The executions that are shown, and how many there are.
struct Shown {
    rows: Vec<Execution>,
    total: u64,
}

/// The last executions, as many as are shown.
fn last_of(executions: &[ExecutionRecord]) -> Vec<Execution> {
    let mut len_bytes = 0;
    let newest = executions.iter().rev().take(EXECUTIONS_SHOWN_MAX);
    let fitting = newest.enumerate().take_while(|(index, record)| {
        len_bytes += len_bytes_of(record);
        *index == 0 || len_bytes <= EXECUTIONS_SHOWN_BYTES_MAX
    });
    let len = fitting.count();
    executions[executions.len() - len..].iter().map(Execution::from).collect()
}

fn len_bytes_of(record: &ExecutionRecord) -> usize {
    let details = record.failure.as_ref().and_then(|failure| failure.details.as_ref());
    let data = [record.input.as_ref(), record.output.as_ref(), details].into_iter().flatten();
    data.map(Json::len_bytes).sum::<usize>() + record.failure.as_ref().map_or(0, |failure| failure.message.len())
}

async fn children_of(store: &dyn WorkflowStore, id: InstanceId) -> Result<Vec<ChildInstance>, EngineError> {
    let filter = InstanceFilter { parent: Some(id), limit: PageLimit::MAX, ..InstanceFilter::default() };
    let mut children = store.list_instances(&filter).await?.items;
    children.sort_by_key(|child| child.identity.parent.map(|parent| parent.execution));
    Ok(children.iter().map(ChildInstance::from).collect())
}
