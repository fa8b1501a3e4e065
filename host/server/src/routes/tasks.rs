//! Human tasks. Who acts on one is who calls, never a field.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stepcell_model::json::Json as Data;
use stepcell_model::name::UserId;
use stepcell_model::status::TaskStatus;
use stepcell_store::{TaskFilter, TaskPlace};
use utoipa::{IntoParams, ToSchema};

use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, JsonBody, Query, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::Problem;
use crate::wire::{InstanceRow, Task};

/// The name of the list in its cursors.
const LIST: &str = "tasks";

/// The word for the caller as an assignee.
const ME: &str = "me";

/// Which tasks to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListTasks {
    /// Only tasks of this instance.
    instance_id: Option<String>,
    /// Only tasks that are assigned to this user or to nobody; `me` is the caller.
    assignee_id: Option<String>,
    /// Only tasks of this group, or of none.
    assignee_group: Option<String>,
    /// Only tasks with this status: `pending` without it; `all` is every one.
    #[param(example = "pending")]
    status: Option<String>,
    /// Only pending tasks whose time is up.
    #[serde(default)]
    overdue: bool,
    /// Only tasks of this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// What a task is completed with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteTask {
    /// An object that fits the task's form; its fields go into the instance's context.
    #[serde(default = "Data::null")]
    #[schema(value_type = Option<Object>)]
    data: Data,
    /// What is said beside it.
    #[schema(max_length = 4096)]
    comment: Option<String>,
}

/// To whom a task goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReassignTask {
    /// Who shall do it now.
    #[schema(value_type = String)]
    to: UserId,
    /// Why, for whoever reads the history.
    reason: String,
}

/// List tasks by due time, those without one last.
#[utoipa::path(
    get, path = "/tasks", tag = "tasks", operation_id = "list_tasks",
    params(ListTasks), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of tasks.", body = Page<Task>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListTasks>,
) -> Result<Json<Page<Task>>, Problem> {
    let limit = read_limit(asked.limit)?;
    let tenant = read_parameter("tenant_id", asked.tenant_id.as_deref())?;
    let assignee = match asked.assignee_id.as_deref() {
        Some(ME) => Some(caller.user.clone()),
        other => read_parameter("assignee_id", other)?,
    };
    let status = match asked.status.as_deref() {
        None => Some(TaskStatus::Pending),
        Some("all") => None,
        other => read_parameter("status", other)?,
    };
    let filter = TaskFilter {
        instance: read_parameter("instance_id", asked.instance_id.as_deref())?,
        assignee,
        group: read_parameter("assignee_group", asked.assignee_group.as_deref())?,
        status,
        overdue_at: asked.overdue.then(|| api.engine().now()),
        tenant: caller.tenant_for(tenant)?,
        limit: limit.asked(),
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        offset: 0,
    };
    let page = api.engine().store().list_tasks(&filter).await?;
    Ok(Json(Page::of(LIST, &page, limit, TaskPlace::of, Task::from)))
}

/// Get a task with its form.
#[utoipa::path(
    get, path = "/tasks/{id}", tag = "tasks", operation_id = "get_task",
    params(("id" = String, Path, description = "The task.")), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "The task.", body = Task)),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<Task>, Problem> {
    Ok(Json(Task::from(&visible::task(&api, &caller, &id).await?)))
}

/// Claim a task that is assigned to nobody: it is the caller's then.
#[utoipa::path(
    post, path = "/tasks/{id}/claim", tag = "tasks", operation_id = "claim_task",
    params(("id" = String, Path, description = "The task.")), security(("bearer" = ["worker"])),
    responses(
        (status = 200, description = "The task as it is then.", body = Task),
        (status = 409, description = "The task is finished."),
    ),
)]
pub(crate) async fn claim(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<Task>, Problem> {
    let id = visible::task(&api, &caller, &id).await?.id;
    api.engine().claim_task(id, caller.actor()).await?;
    Ok(Json(Task::from(&api.engine().get_task(id).await?)))
}

/// Complete a task as the caller. Answers with the instance as it is then.
#[utoipa::path(
    post, path = "/tasks/{id}/complete", tag = "tasks", operation_id = "complete_task",
    params(("id" = String, Path, description = "The task.")), request_body = CompleteTask,
    security(("bearer" = ["worker"])),
    responses(
        (status = 200, description = "The instance as it is then.", body = InstanceRow),
        (status = 409, description = "The task is finished; nothing was changed."),
        (status = 422, description = "The data does not fit the form; the task stays pending."),
    ),
)]
pub(crate) async fn complete(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    JsonBody(asked): JsonBody<CompleteTask>,
) -> Result<Json<InstanceRow>, Problem> {
    let task = visible::task(&api, &caller, &id).await?;
    let completed = api.engine().complete_task(task.id, caller.actor(), asked.data, asked.comment).await;
    completed.map_err(|error| Problem::from(error).within("/data"))?;
    Ok(Json(InstanceRow::from(&api.engine().get_instance(task.instance).await?)))
}

/// Give a task to somebody else.
#[utoipa::path(
    post, path = "/tasks/{id}/reassign", tag = "tasks", operation_id = "reassign_task",
    params(("id" = String, Path, description = "The task.")), request_body = ReassignTask,
    security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "The task as it is then.", body = Task),
        (status = 409, description = "The task is finished."),
        (status = 422, description = "The reason is too long."),
    ),
)]
pub(crate) async fn reassign(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    JsonBody(asked): JsonBody<ReassignTask>,
) -> Result<Json<Task>, Problem> {
    let id = visible::task(&api, &caller, &id).await?.id;
    api.engine().reassign_task(id, asked.to, &asked.reason, Some(caller.user)).await?;
    Ok(Json(Task::from(&api.engine().get_task(id).await?)))
}
