//! What operators do to an instance: cancel, retry, pause, resume, signal. Each answers with the instance as it is then.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use stepcell_engine::CancelRequest;
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json as Data;
use stepcell_model::name::{SignalName, StepName};
use stepcell_model::transition::Compensation;
use utoipa::ToSchema;

use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, JsonBody, OptionalJson};
use crate::problem::{Problem, ProblemCode};
use crate::wire::InstanceRow;

/// How an instance is canceled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelInstance {
    /// Why, for whoever reads its history.
    reason: String,
    /// Whether what it did is undone first, where it can be.
    #[serde(default)]
    compensate: bool,
}

/// Where a failed instance goes on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryInstance {
    /// The step to go on from, one that it came to before; where it failed without it.
    #[schema(value_type = Option<String>)]
    from_step: Option<StepName>,
}

/// What a signal says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendSignal {
    /// Any JSON.
    #[serde(default = "Data::null")]
    #[schema(value_type = serde_json::Value)]
    payload: Data,
}

impl Default for SendSignal {
    fn default() -> Self {
        Self { payload: Data::null() }
    }
}

/// Cancel an instance: what runs is interrupted, and its pending tasks, timers and callbacks go.
#[utoipa::path(
    post, path = "/instances/{id}/cancel", tag = "instances", operation_id = "cancel_instance",
    params(("id" = String, Path, description = "The instance.")), request_body = CancelInstance,
    security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "The instance as it is then.", body = InstanceRow),
        (status = 409, description = "The instance is finished."),
        (status = 422, description = "The reason is too long."),
    ),
)]
pub(crate) async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    JsonBody(asked): JsonBody<CancelInstance>,
) -> Result<Json<InstanceRow>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    let compensation = if asked.compensate { Compensation::Undo } else { Compensation::None };
    let request = CancelRequest { reason: asked.reason, by: Some(caller.user), compensation };
    api.engine().cancel_workflow_with(id, request).await?;
    now(&api, id).await
}

/// Let a failed instance go on: where it failed, or at an earlier step and everything after it.
#[utoipa::path(
    post, path = "/instances/{id}/retry", tag = "instances", operation_id = "retry_instance",
    params(("id" = String, Path, description = "The instance.")), request_body = RetryInstance,
    security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "The instance as it is then.", body = InstanceRow),
        (status = 409, description = "It has not failed, or never came to the step."),
    ),
)]
pub(crate) async fn retry(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    OptionalJson(asked): OptionalJson<RetryInstance>,
) -> Result<Json<InstanceRow>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    api.engine().retry(id, asked.from_step.as_ref(), Some(caller.user)).await?;
    now(&api, id).await
}

/// Hold an instance: what runs ends, and nothing new begins until it is resumed.
#[utoipa::path(
    post, path = "/instances/{id}/pause", tag = "instances", operation_id = "pause_instance",
    params(("id" = String, Path, description = "The instance.")), security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "The instance as it is then.", body = InstanceRow),
        (status = 409, description = "It is held already, or finished."),
    ),
)]
pub(crate) async fn pause(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<InstanceRow>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    api.engine().pause(id, Some(caller.user)).await?;
    now(&api, id).await
}

/// Let an instance go on that is held; timers that became due meanwhile pass now.
#[utoipa::path(
    post, path = "/instances/{id}/resume", tag = "instances", operation_id = "resume_instance",
    params(("id" = String, Path, description = "The instance.")), security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "The instance as it is then.", body = InstanceRow),
        (status = 409, description = "It is not held, or finished."),
    ),
)]
pub(crate) async fn resume(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
) -> Result<Json<InstanceRow>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    api.engine().resume(id, Some(caller.user)).await?;
    now(&api, id).await
}

/// Send an instance a message by name: the step that waits for it takes it, and one that is still to come gets it then.
#[utoipa::path(
    post, path = "/instances/{id}/signals/{name}", tag = "instances", operation_id = "signal_instance",
    params(("id" = String, Path, description = "The instance."), ("name" = String, Path, description = "The message's name.")),
    request_body = SendSignal, security(("bearer" = ["operator"])),
    responses(
        (status = 200, description = "The instance as it is then.", body = InstanceRow),
        (status = 409, description = "No step waits for it and none will, or the instance is finished."),
        (status = 422, description = "The message is too large."),
    ),
)]
pub(crate) async fn signal(
    State(api): State<ApiState>,
    caller: Caller,
    Id((id, signal)): Id<(String, String)>,
    OptionalJson(asked): OptionalJson<SendSignal>,
) -> Result<Json<InstanceRow>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    let unknown = || {
        let detail = format!("no step of instance `{id}` waits for a signal `{}`", visible::told(&signal));
        Problem::new(ProblemCode::NobodyWaits, detail)
    };
    let name: SignalName = visible::read(&signal).ok_or_else(unknown)?;
    api.engine().signal(id, &name, asked.payload).await.map_err(|error| Problem::from(error).within("/payload"))?;
    now(&api, id).await
}

async fn now(api: &ApiState, id: InstanceId) -> Result<Json<InstanceRow>, Problem> {
    Ok(Json(InstanceRow::from(&api.engine().get_instance(id).await?)))
}
