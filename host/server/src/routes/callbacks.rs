//! Callbacks of webhook steps: public, unguessable, safe to repeat.
//!
//! Whoever has the address may deliver, and nobody else learns anything from it: not which instances there are, nor which
//! steps they have.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use stepcell_engine::{Delivered, Delivery};
use stepcell_model::id::InstanceId;
use stepcell_model::name::StepName;
use stepcell_model::transition::MESSAGE_LEN_BYTES_MAX;
use utoipa::ToSchema;

use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, check_plain, read_bytes};
use crate::problem::{Problem, ProblemCode};

/// What tells a delivery from others: Standard Webhooks.
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// When it was sent.
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// What it is signed with.
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Where a webhook step is called back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Callback {
    /// The instance.
    #[schema(value_type = String, format = "uuid")]
    instance: InstanceId,
    /// The step.
    #[schema(value_type = String)]
    step: StepName,
    /// The path to deliver to, below the server's address. Whoever has it may deliver.
    path: String,
    /// What deliveries must be signed with, where the step wants that.
    signing_secret: Option<String>,
}

/// What a delivery came to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CallbackAnswer {
    /// `accepted`, or `repeated` where the same came before and had no effect.
    status: String,
}

/// Tell where a webhook step of an instance is called back.
#[utoipa::path(
    get, path = "/instances/{id}/callbacks/{step}", tag = "callbacks", operation_id = "get_callback",
    params(("id" = String, Path, description = "The instance."), ("step" = String, Path, description = "The step.")),
    security(("bearer" = ["operator"])),
    responses((status = 200, description = "The address.", body = Callback)),
)]
pub(crate) async fn address(
    State(api): State<ApiState>,
    caller: Caller,
    Id((id, step)): Id<(String, String)>,
) -> Result<Json<Callback>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    let missing = |why: String| Problem::new(ProblemCode::RouteNotFound, why);
    let step: StepName = visible::name("step", &step).map_err(|problem| missing(problem.to_string()))?;
    let address = api.engine().webhook_address(id, &step).await.map_err(|error| match error {
        stepcell_engine::EngineError::CallbackRefused { why } => missing(why),
        other => other.into(),
    })?;
    let path = api.path(&address.path());
    Ok(Json(Callback { instance: id, step, path, signing_secret: address.signing_secret }))
}

/// Deliver to a webhook step. The body becomes what the step returns; the same delivery once more has no effect.
#[utoipa::path(
    post, path = "/callbacks/{instance}/{step}/{token}", tag = "callbacks", operation_id = "deliver_callback",
    params(
        ("instance" = String, Path, description = "The instance."), ("step" = String, Path, description = "The step."),
        ("token" = String, Path, description = "What nobody can guess."),
        ("webhook-id" = Option<String>, Header, description = "Tells the delivery from others (Standard Webhooks)."),
        ("webhook-timestamp" = Option<String>, Header, description = "Seconds since 1970, where deliveries are signed."),
        ("webhook-signature" = Option<String>, Header, description = "`v1,` and the signature, where deliveries are signed."),
    ),
    request_body(content = serde_json::Value, description = "Any JSON, at most 1 MiB; nothing is null."), security(()),
    responses(
        (status = 202, description = "The step took it, or it is kept until the step is reached.", body = CallbackAnswer),
        (status = 200, description = "It came before, and had no effect.", body = CallbackAnswer),
        (status = 400, description = "The body is no JSON; told to those whose token and signature are right."),
        (status = 403, description = "The token or the signature is wrong."),
        (status = 409, description = "The instance is finished, or nobody will wait for it."),
    ),
)]
pub(crate) async fn deliver(
    State(api): State<ApiState>,
    Id((instance, step, token)): Id<(String, String, String)>,
    head: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CallbackAnswer>), Problem> {
    let refused = || Problem::new(ProblemCode::CallbackRefused, "the callback was refused: the token is wrong");
    let instance: InstanceId = visible::read(&instance).ok_or_else(refused)?;
    let step: StepName = visible::read(&step).ok_or_else(refused)?;
    check_plain(&head)?;
    // Strangers are told so before anything that they send is held.
    api.engine().check_callback(instance, &step, &token).await?;
    let body = read_bytes(body, MESSAGE_LEN_BYTES_MAX).await?.into();
    let text = |name: &HeaderName| head.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let delivery = Delivery {
        body,
        id: text(&WEBHOOK_ID),
        timestamp: text(&WEBHOOK_TIMESTAMP),
        signature: text(&WEBHOOK_SIGNATURE),
    };
    Ok(match api.engine().deliver_webhook(instance, &step, &token, delivery).await? {
        Delivered::Accepted => (StatusCode::ACCEPTED, Json(CallbackAnswer { status: "accepted".to_owned() })),
        Delivered::Repeated => (StatusCode::OK, Json(CallbackAnswer { status: "repeated".to_owned() })),
    })
}
