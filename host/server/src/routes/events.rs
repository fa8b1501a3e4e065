//! Live events: what happens, as Server-Sent Events.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

mod stream;

use std::num::NonZeroU64;

use axum::extract::State;
use axum::response::Response;
use http::HeaderName;
use http::request::Parts;
use serde::Deserialize;
use stepcell_engine::{EventFilter, EventType, FeedStart};
use stepcell_model::id::InstanceId;
use utoipa::IntoParams;

use self::stream::{Bounds, LiveStream, Place};
use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, Query, read_parameter};
use crate::problem::Problem;

/// Where a browser says that it left off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What tasks' streams tell of.
const OF_TASKS: [EventType; 7] = [
    EventType::TaskCreated,
    EventType::TaskClaimed,
    EventType::TaskReassigned,
    EventType::TaskCompleted,
    EventType::TaskCanceled,
    EventType::TaskReminded,
    EventType::TaskOverdue,
];

/// Which events to tell of.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FollowEvents {
    /// Only events of these types, with commas between.
    #[param(example = "workflow_completed,workflow_failed")]
    types: Option<String>,
    /// Only events of this instance.
    instance_id: Option<String>,
    /// Only events of instances of this workflow, of any version.
    definition_name: Option<String>,
    /// Only events of this tenant's instances, for callers of the platform.
    tenant_id: Option<String>,
    /// Begin after the event of this `id`; `0` is the beginning. Without it, and without `Last-Event-ID`, only what
    /// happens from now on is told.
    #[param(example = "1042.0")]
    after: Option<String>,
    /// With `false` the stream ends, with an event `end`, once it has come to the end of what there is.
    #[param(default = true)]
    follow: Option<bool>,
    /// End, with an event `end`, after this many events; those of one transition stay together, so there may be a few more.
    #[param(value_type = Option<u64>, minimum = 1)]
    limit: Option<NonZeroU64>,
}

/// Which events of an instance to tell of.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FollowInstance {
    /// Only events of these types, with commas between.
    types: Option<String>,
    /// Begin after the event of this `id`; `0` is the beginning.
    #[param(example = "0")]
    after: Option<String>,
    /// With `false` the stream ends, with an event `end`, once it has come to the end of what there is.
    #[param(default = true)]
    follow: Option<bool>,
    /// End, with an event `end`, after this many events; those of one transition stay together, so there may be a few more.
    #[param(value_type = Option<u64>, minimum = 1)]
    limit: Option<NonZeroU64>,
}

/// Which events of tasks to tell of.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FollowTasks {
    /// Only tasks of instances of this workflow, of any version.
    definition_name: Option<String>,
    /// Only this tenant's tasks, for callers of the platform.
    tenant_id: Option<String>,
    /// Begin after the event of this `id`; `0` is the beginning.
    after: Option<String>,
    /// With `false` the stream ends, with an event `end`, once it has come to the end of what there is.
    #[param(default = true)]
    follow: Option<bool>,
    /// End, with an event `end`, after this many events; those of one transition stay together, so there may be a few more.
    #[param(value_type = Option<u64>, minimum = 1)]
    limit: Option<NonZeroU64>,
}

/// Follow what happens: a stream of Server-Sent Events.
///
/// `id` is the place of the event, `event` its type, `data` the event as in an instance's history. Whoever comes back with
/// `Last-Event-ID` misses nothing and is told nothing twice: a stream that tells what happens from now on says at once, by
/// an `id` without an event, where that is. A comment every 15 seconds shows that the stream is there. It ends when the
/// credentials do not hold any more, and when the server stops. Where it ends because that was asked for, an event `end`
/// says so last, whose `data` is `{"position": ...}`: all that was asked for up to there has been told.
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "follow_events",
    params(FollowEvents, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was told.")),
    security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "Events, until one side ends it.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such tenant or instance."),
    ),
)]
pub(crate) async fn follow(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<FollowEvents>,
    head: Parts,
) -> Result<Response, Problem> {
    let instance = match asked.instance_id.as_deref() {
        Some(id) => Some(visible::instance(&api, &caller, id).await?.identity.id),
        None => None,
    };
    let filter = EventFilter {
        instance,
        workflow: read_parameter("definition_name", asked.definition_name.as_deref())?,
        tenant: caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?,
        types: types(asked.types.as_deref())?,
    };
    let bounds = Bounds::new(asked.follow, asked.limit);
    open(&api, (caller, head), filter, asked.after.as_deref(), bounds).await
}

/// Follow what happens to an instance: a stream as that of all events.
#[utoipa::path(
    get, path = "/instances/{id}/events", tag = "events", operation_id = "follow_instance",
    params(("id" = String, Path, description = "The instance."), FollowInstance,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was told.")),
    security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "Events, until one side ends it.", body = String, content_type = "text/event-stream"),
    ),
)]
pub(crate) async fn follow_instance(
    State(api): State<ApiState>,
    caller: Caller,
    Id(id): Id<String>,
    Query(asked): Query<FollowInstance>,
    head: Parts,
) -> Result<Response, Problem> {
    let id: InstanceId = visible::instance(&api, &caller, &id).await?.identity.id;
    let filter = EventFilter { instance: Some(id), types: types(asked.types.as_deref())?, ..EventFilter::default() };
    let bounds = Bounds::new(asked.follow, asked.limit);
    open(&api, (caller, head), filter, asked.after.as_deref(), bounds).await
}

/// Follow what becomes of tasks: a stream as that of all events.
#[utoipa::path(
    get, path = "/tasks/events", tag = "events", operation_id = "follow_tasks",
    params(FollowTasks, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was told.")),
    security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "Events, until one side ends it.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such tenant."),
    ),
)]
pub(crate) async fn follow_tasks(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<FollowTasks>,
    head: Parts,
) -> Result<Response, Problem> {
    let filter = EventFilter {
        instance: None,
        workflow: read_parameter("definition_name", asked.definition_name.as_deref())?,
        tenant: caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?,
        types: OF_TASKS.to_vec(),
    };
    open(&api, (caller, head), filter, asked.after.as_deref(), Bounds::new(asked.follow, asked.limit)).await
}

fn types(words: Option<&str>) -> Result<Vec<EventType>, Problem> {
    let words = words.map(|words| words.split(',').map(|word| visible::name("types", word.trim())).collect());
    Ok(words.transpose()?.unwrap_or_default())
}

async fn open(
    api: &ApiState,
    (caller, head): (Caller, Parts),
    filter: EventFilter,
    after: Option<&str>,
    bounds: Bounds,
) -> Result<Response, Problem> {
    // The head is what a client sends that comes back; its query is still that of its first request.
    let place = match head.headers.get(LAST_EVENT_ID) {
        Some(id) => Some(Place::read("Last-Event-ID", id.to_str().unwrap_or_default())?),
        None => after.map(|id| Place::read("after", id)).transpose()?,
    };
    let types = filter.types.clone();
    let start = place.map_or(FeedStart::Now, Place::start);
    if let Some(place) = place {
        place.check(api.engine().store().last_position().await?)?;
    }
    let turn = api.begin_stream(&caller)?;
    let feed = api.engine().events(filter, start).await?;
    Ok(LiveStream::new(feed, types, (place, bounds), (api.clone(), caller, head, turn)).into_response())
}
