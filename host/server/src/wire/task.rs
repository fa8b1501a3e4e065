//! Human tasks.

use serde::{Deserialize, Serialize};
use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::json::Json;
use stepcell_model::name::{GroupId, StepName, TenantId, UserId};
use stepcell_model::record::TaskRecord;
use stepcell_model::status::TaskStatus;
use stepcell_model::time::Timestamp;
use utoipa::ToSchema;

/// A task as its instance shows it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InstanceTask {
    /// The task.
    #[schema(value_type = String, format = "uuid")]
    pub id: TaskId,
    /// The step.
    #[schema(value_type = String)]
    pub step: StepName,
    /// What to do, in one line.
    pub title: String,
    /// Where it stands: pending, completed or canceled.
    #[schema(value_type = String)]
    pub status: TaskStatus,
    /// Who shall do it.
    #[schema(value_type = Option<String>)]
    pub assignee_id: Option<UserId>,
    /// Whose members may do it.
    #[schema(value_type = Option<String>)]
    pub assignee_group: Option<GroupId>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// The JSON Schema that the answer must fit.
    #[schema(value_type = serde_json::Value)]
    pub form_schema: Option<Json>,
}

/// A task with its instance and who did what with it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// The task.
    #[schema(value_type = String, format = "uuid")]
    pub id: TaskId,
    /// The step.
    #[schema(value_type = String)]
    pub step: StepName,
    /// What to do, in one line.
    pub title: String,
    /// Where it stands: pending, completed or canceled.
    #[schema(value_type = String)]
    pub status: TaskStatus,
    /// Who shall do it.
    #[schema(value_type = Option<String>)]
    pub assignee_id: Option<UserId>,
    /// Whose members may do it.
    #[schema(value_type = Option<String>)]
    pub assignee_group: Option<GroupId>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// The JSON Schema that the answer must fit.
    #[schema(value_type = serde_json::Value)]
    pub form_schema: Option<Json>,
    /// The instance that waits for it.
    #[schema(value_type = String, format = "uuid")]
    pub instance_id: InstanceId,
    /// What to do, at length.
    pub description: Option<String>,
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    pub tenant_id: Option<TenantId>,
    /// When to remind.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reminder_at: Option<Timestamp>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was completed or canceled.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// Who completed it.
    #[schema(value_type = Option<String>)]
    pub completed_by: Option<UserId>,
    /// What was said on completing it.
    pub comment: Option<String>,
}

impl From<&TaskRecord> for InstanceTask {
    fn from(task: &TaskRecord) -> Self {
        Self {
            id: task.id,
            step: task.step.clone(),
            title: task.title.clone(),
            status: task.status,
            assignee_id: task.assignee.clone(),
            assignee_group: task.group.clone(),
            due_at: task.due_at,
            form_schema: task.form_schema.clone(),
        }
    }
}

impl From<&Task> for InstanceTask {
    fn from(task: &Task) -> Self {
        Self {
            id: task.id,
            step: task.step.clone(),
            title: task.title.clone(),
            status: task.status,
            assignee_id: task.assignee_id.clone(),
            assignee_group: task.assignee_group.clone(),
            due_at: task.due_at,
            form_schema: task.form_schema.clone(),
        }
    }
}

impl From<&TaskRecord> for Task {
    fn from(task: &TaskRecord) -> Self {
        let InstanceTask { id, step, title, status, assignee_id, assignee_group, due_at, form_schema } = task.into();
        Self {
            id,
            step,
            title,
            status,
            assignee_id,
            assignee_group,
            due_at,
            form_schema,
            instance_id: task.instance,
            description: task.description.clone(),
            tenant_id: task.tenant.clone(),
            reminder_at: task.reminder_at,
            created_at: task.created_at,
            completed_at: task.completed_at,
            completed_by: task.completed_by.clone(),
            comment: task.comment.clone(),
        }
    }
}
