//! Instances: starting them, and looking at them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use stepcell_engine::{EngineError, StartRequest};
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json as Data;
use stepcell_model::name::{ContextKey, KEY_LEN_BYTES_MAX, TenantId, UserId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::why::Explanation;
use stepcell_store::{Inserted, InstanceFilter};
use utoipa::{IntoParams, ToSchema};

use super::definitions::{GraphFormat, definition_of};
use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, JsonBody, Query, read_parameter};
use crate::page::{Page, PageQuery, read_cursor, read_limit, write_cursor};
use crate::problem::{Problem, ProblemCode};
use crate::wire::{EventRow, Instance, InstanceRow, graph_json, state_of};

/// The head that makes a start safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that the answer is one of an earlier request with the same key.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The head that ties a request to a trace: W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How many points of the past an explanation tells. Protects whoever asks, and the answer's size.
const PAST_SHOWN_MAX: usize = 1_000;

/// What an instance is started with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartInstance {
    /// The workflow.
    #[schema(value_type = String, example = "expense-approval")]
    definition_name: WorkflowName,
    /// Which version; the latest active release without it.
    #[schema(value_type = Option<String>)]
    version: Option<semver::Version>,
    /// An object whose fields become the context's first values.
    #[serde(default = "Data::null")]
    #[schema(value_type = Option<Object>)]
    input_data: Data,
    /// An object of values that steps read and can not write.
    #[serde(default = "Data::null")]
    #[schema(value_type = Option<Object>)]
    metadata: Data,
    /// Ties it to something outside.
    #[schema(min_length = 1, max_length = 256)]
    correlation_id: Option<String>,
    /// On whose behalf it is started; the caller without it.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// Whose it is, for callers of the platform; a tenant's callers start their own.
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// Which instances to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListInstances {
    /// Only instances of this workflow, of any version.
    definition_name: Option<String>,
    /// Only instances with one of these statuses, with commas between.
    #[param(example = "running,waiting")]
    status: Option<String>,
    /// Only instances that this user started.
    user_id: Option<String>,
    /// Only instances that were started with this correlation id.
    correlation_id: Option<String>,
    /// Only instances that steps of this instance started.
    parent_id: Option<String>,
    /// Only instances of this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// How to draw a graph.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DrawInstance {
    /// What to draw it as.
    #[serde(default)]
    #[param(inline)]
    format: GraphFormat,
}

/// The name of the list in its cursors.
const LIST: &str = "instances";

/// The name of the list of events in its cursors.
const HISTORY: &str = "history";

/// List instances, newest first.
#[utoipa::path(
    get, path = "/instances", tag = "instances", operation_id = "list_instances",
    params(ListInstances), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of instances.", body = Page<InstanceRow>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListInstances>,
) -> Result<Json<Page<InstanceRow>>, Problem> {
    let limit = read_limit(asked.limit)?;
    let tenant = read_parameter("tenant_id", asked.tenant_id.as_deref())?;
    let statuses = asked.status.as_deref().map(|words| words.split(',').map(status).collect()).transpose()?;
    let filter = InstanceFilter {
        workflow: read_parameter("definition_name", asked.definition_name.as_deref())?,
        statuses: statuses.unwrap_or_default(),
        tenant: caller.tenant_for(tenant)?,
        created_by: read_parameter("user_id", asked.user_id.as_deref())?,
        correlation_id: asked.correlation_id,
        parent: read_parameter("parent_id", asked.parent_id.as_deref())?,
        limit: limit.asked(),
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        offset: 0,
    };
    let page = api.engine().store().list_instances(&filter).await?;
    Ok(Json(Page::of(LIST, &page, limit, |last| last.identity.id, InstanceRow::from)))
}

fn status(word: &str) -> Result<WorkflowStatus, Problem> {
    visible::name("status", word)
}

/// Start an instance.
///
/// It is durable when this answers. With an `Idempotency-Key` the same start once more answers with the same instance,
/// and has no effect; the same key with another start is refused.
#[utoipa::path(
    post, path = "/instances", tag = "instances", operation_id = "start_instance",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the start safe to repeat: 1 to 256 bytes.")),
    request_body = StartInstance, security(("bearer" = ["operator"])),
    responses(
        (status = 201, description = "The instance as it was stored.", body = InstanceRow,
            headers(("Location" = String, description = "Where it is."))),
        (status = 404, description = "There is no such workflow, version or tenant."),
        (status = 409, description = "The version is deactivated."),
        (status = 422, description = "The data does not fit the workflow's schema, or the key was used for another start."),
    ),
)]
pub(crate) async fn start(
    State(api): State<ApiState>,
    caller: Caller,
    head: HeaderMap,
    JsonBody(asked): JsonBody<StartInstance>,
) -> Result<Response, Problem> {
    let request = StartRequest {
        workflow: asked.definition_name,
        version: asked.version,
        data: asked.input_data,
        metadata: with_trace(asked.metadata, &head)?,
        tenant: visible::tenant_to_serve(&api, &caller, asked.tenant_id).await?,
        user: Some(asked.user_id.unwrap_or(caller.user)),
        correlation_id: asked.correlation_id,
        idempotency_key: idempotency_key(&head)?,
    };
    let wanted = request.idempotency_key.is_some().then(|| request.clone());
    let started = api.engine().start_workflow_once(request).await.map_err(of_start)?;
    let summary = started.summary;
    let path = format!("/instances/{}", summary.identity.id);
    let mut response = api.made(StatusCode::CREATED, &path, InstanceRow::from(&summary));
    if let (Inserted::AlreadyThere, Some(wanted)) = (started.inserted, wanted) {
        check_same(&wanted, &summary)?;
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// A refusal of a start, with the places of what is wrong in the body.
fn of_start(error: EngineError) -> Problem {
    let field = match &error {
        EngineError::InvalidData { what, .. } if what == StartRequest::DATA => "/input_data",
        EngineError::InvalidData { what, .. } if what == StartRequest::METADATA => "/metadata",
        EngineError::InvalidData { what, .. } if what == StartRequest::CORRELATION_ID => "/correlation_id",
        _ => "",
    };
    Problem::from(error).within(field)
}

/// The key of a request that is safe to repeat.
pub(crate) fn idempotency_key(head: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = head.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let is_visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    let text = value.to_str().ok().filter(|text| is_visible && (1..=KEY_LEN_BYTES_MAX).contains(&text.len()));
    let refused =
        || Problem::parameter("Idempotency-Key", format!("it has 1 to {KEY_LEN_BYTES_MAX} visible ASCII characters"));
    text.map(|text| Some(text.to_owned())).ok_or_else(refused)
}

/// Whether an instance is what a start with the same key asks for once more.
fn check_same(wanted: &StartRequest, found: &InstanceSummary) -> Result<(), Problem> {
    let identity = &found.identity;
    let metadata = serde_json::to_value(&*identity.metadata).unwrap_or_default();
    let wanted_metadata = match wanted.metadata.tree() {
        serde_json::Value::Null => serde_json::json!({}),
        other => other.clone(),
    };
    let is_same = identity.workflow_name == wanted.workflow
        && wanted.version.as_ref().is_none_or(|version| *version == identity.workflow_version)
        && identity.input.tree() == wanted.data.tree()
        && without_trace(metadata) == without_trace(wanted_metadata)
        && identity.correlation_id == wanted.correlation_id
        && identity.created_by == wanted.user;
    if is_same {
        return Ok(());
    }
    let detail = format!(
        "this `Idempotency-Key` was used for another start, which is instance `{}`; use a new key for a new start",
        identity.id
    );
    Err(Problem::new(ProblemCode::IdempotencyMismatch, detail))
}

fn without_trace(mut metadata: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = metadata.as_object_mut() {
        fields.shift_remove(TRACEPARENT.as_str());
    }
    metadata
}

/// Keeps the caller's trace context with the instance, where its metadata says nothing of one.
fn with_trace(metadata: Data, head: &HeaderMap) -> Result<Data, Problem> {
    let Some(parent) = head.get(TRACEPARENT).and_then(|value| value.to_str().ok()).filter(|text| is_traceparent(text))
    else {
        return Ok(metadata);
    };
    let mut fields = match metadata.tree() {
        serde_json::Value::Null => serde_json::Map::new(),
        serde_json::Value::Object(fields) => fields.clone(),
        _ => return Ok(metadata),
    };
    let key =
        ContextKey::new(TRACEPARENT.as_str()).map_err(|error| Problem::parameter("traceparent", error.to_string()))?;
    fields.entry(key.as_str()).or_insert_with(|| parent.into());
    Ok(serde_json::Value::Object(fields).into())
}

/// Whether a text is a trace context of version 0. Source: <https://www.w3.org/TR/trace-context/>.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, len| {
        part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_some = |part: &str| part.bytes().any(|byte| byte != b'0');
    match text.split('-').collect::<Vec<_>>().as_slice() {
        ["00", trace, span, flags] => {
            is_hex(trace, 32) && is_some(trace) && is_hex(span, 16) && is_some(span) && is_hex(flags, 2)
        }
        _ => false,
    }
}

/// Get an instance: where it stands, its context, what its steps did, and its tasks.
#[utoipa::path(
    get, path = "/instances/{id}", tag = "instances", operation_id = "get_instance",
    params(("id" = String, Path, description = "The instance."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.")),
    security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "The instance.", body = Instance, headers(("ETag" = String))),
        (status = 304, description = "It has not changed since."),
    ),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    head: HeaderMap,
    Id(id): Id<String>,
) -> Result<Response, Problem> {
    let found = visible::instance(&api, &caller, &id).await?;
    let tag = |seq: u64| format!("\"{seq}\"");
    if is_known(&head, &tag(found.seq)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag(found.seq))]).into_response());
    }
    let _turn = api.begin_look(&caller).await;
    let (instance, seq) = Instance::load_found(api.engine().store().as_ref(), found).await?;
    Ok(([(ETAG, tag(seq))], Json(instance)).into_response())
}

/// Whether a client that asks has what the tag stands for.
pub(super) fn is_known(head: &HeaderMap, tag: &str) -> bool {
    let known = head.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}

/// List what happened to an instance, in order. A page ends with a whole transition.
#[utoipa::path(
    get, path = "/instances/{id}/history", tag = "instances", operation_id = "get_instance_history",
    params(("id" = String, Path, description = "The instance."), PageQuery), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of events; `limit` and `total` count transitions.", body = Page<EventRow>)),
)]
pub(crate) async fn history(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    Query(asked): Query<PageQuery>,
) -> Result<Json<Page<EventRow>>, Problem> {
    let after = read_cursor::<u64>(HISTORY, asked.cursor.as_deref())?.unwrap_or(0);
    let limit = read_limit(asked.limit)?.rows();
    let found = visible::instance(&api, &caller, &id).await?;
    let entries = api.engine().store().list_history(found.identity.id, after, limit).await?;
    let last = entries.last().map_or(after, |entry| entry.seq);
    let next_cursor = (last < found.seq && !entries.is_empty()).then(|| write_cursor(HISTORY, &last));
    Ok(Json(Page { items: EventRow::of(&entries), total: found.seq, next_cursor }))
}

/// Draw an instance's workflow with how far it has come.
#[utoipa::path(
    get, path = "/instances/{id}/graph", tag = "instances", operation_id = "get_instance_graph",
    params(("id" = String, Path, description = "The instance."), DrawInstance), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "The graph; completed, failed and current steps are told apart.", content(
        (String = "text/vnd.mermaid"), (String = "text/vnd.graphviz"), (serde_json::Value = "application/json"),
    ))),
)]
pub(crate) async fn graph(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    Query(asked): Query<DrawInstance>,
) -> Result<Response, Problem> {
    let id: InstanceId = visible::instance(&api, &caller, &id).await?.identity.id;
    let store = api.engine().store();
    let missing = || Problem::new(ProblemCode::InstanceNotFound, format!("there is no instance `{id}`"));
    let _turn = api.begin_look(&caller).await;
    let instance = store.load_instance(id).await?.ok_or_else(missing)?;
    let record = store.find_definition_by_id(instance.identity.definition).await?;
    let definition = definition_of(&record.ok_or_else(missing)?)?;
    let state = state_of(&instance, &store.list_executions(id).await?);
    Ok(match asked.format {
        GraphFormat::Mermaid => drawn(asked.format, definition.to_mermaid_with(&state)),
        GraphFormat::Dot => drawn(asked.format, definition.to_dot_with(&state)),
        GraphFormat::Json => Json(graph_json(&definition, &state)).into_response(),
    })
}

/// A graph as text.
pub(super) fn drawn(format: GraphFormat, text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(format.media_type()))], text).into_response()
}

/// Why an instance is where it is.
#[derive(Debug, Serialize)]
pub(crate) struct Why {
    #[serde(flatten)]
    explanation: Explanation,
    /// How many points the past has, of which the last ones are told.
    past_total: usize,
}

/// Tell why an instance is where it is: what each branch waits for, and how it came to that.
#[utoipa::path(
    get, path = "/instances/{id}/why", tag = "instances", operation_id = "explain_instance",
    params(("id" = String, Path, description = "The instance.")), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "Points in words and in fields: what holds now, and the past in order. Of the past \
        the last thousand points, and in `past_total` how many there are: `/instances/{id}/history` tells everything, in pages.",
        body = Object)),
)]
pub(crate) async fn why(State(api): State<ApiState>, caller: Caller, Id(id): Id<String>) -> Result<Json<Why>, Problem> {
    let id = visible::instance(&api, &caller, &id).await?.identity.id;
    let _turn = api.begin_look(&caller).await;
    let mut explanation = api.engine().explain(id).await?;
    let past_total = explanation.past.len();
    explanation.past.drain(..past_total.saturating_sub(PAST_SHOWN_MAX));
    Ok(Json(Why { explanation, past_total }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_trace_context_is_kept() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for wrong in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }
}
