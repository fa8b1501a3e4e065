//! Definitions: their versions, their graphs, and registering them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderMap, StatusCode};
use semver::Version;
use serde::Deserialize;
use stepcell_model::definition::{LocatedDefinition, WorkflowDefinition};
use stepcell_model::mermaid::GraphState;
use stepcell_model::name::WorkflowName;
use stepcell_model::record::DefinitionRecord;
use stepcell_store::{Activity, CatalogKey, DefinitionFilter, Inserted, Owners};
use utoipa::{IntoParams, ToSchema};

use super::instances::{drawn, is_known};
use super::visible;
use crate::api::ApiState;
use crate::auth::Caller;
use crate::extract::{Id, Query, TextBody, read_parameter};
use crate::page::{Page, PageLen, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::wire::{Definition, DefinitionDetail};

/// The name of the list in its cursors.
const LIST: &str = "definitions";

/// What bodies are read as definitions.
const MEDIA_TYPES: [&str; 5] =
    ["application/yaml", "application/x-yaml", "text/yaml", "application/json", "application/vnd.stepcell+json"];

/// What a graph is drawn as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GraphFormat {
    /// A Mermaid flowchart.
    #[default]
    Mermaid,
    /// A Graphviz digraph.
    Dot,
    /// Nodes and edges.
    Json,
}

impl GraphFormat {
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Mermaid => "text/vnd.mermaid; charset=utf-8",
            Self::Dot => "text/vnd.graphviz; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// Which definitions to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListDefinitions {
    /// Only versions of this workflow.
    name: Option<String>,
    /// Only versions on which new instances may start, or only those on which they may not.
    active: Option<bool>,
    /// What this tenant sees: its own and the shared ones; for callers of the platform, who see everybody's without it.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// Which part of the versions, and whose.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListVersions {
    /// The definition of this tenant, for callers of the platform.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// Which version is meant, and whose.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhichVersion {
    /// The version; the latest active release without it.
    version: Option<String>,
    /// The definition of this tenant, for callers of the platform.
    tenant_id: Option<String>,
}

/// Whose definition is meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// The definition of this tenant, for callers of the platform.
    pub(super) tenant_id: Option<String>,
}

/// How to draw a graph.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DrawDefinition {
    /// What to draw it as.
    #[serde(default)]
    #[param(inline)]
    format: GraphFormat,
    /// The version; the latest active release without it.
    version: Option<String>,
    /// The definition of this tenant, for callers of the platform.
    tenant_id: Option<String>,
}

/// List versions of definitions by name and version: the tenant's own, and shared ones of other names.
#[utoipa::path(
    get, path = "/definitions", tag = "definitions", operation_id = "list_definitions",
    params(ListDefinitions), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of definitions.", body = Page<Definition>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListDefinitions>,
) -> Result<Json<Page<Definition>>, Problem> {
    let limit = read_limit(asked.limit)?;
    let filter = DefinitionFilter {
        owners: visible::owners(&caller, asked.tenant_id.as_deref())?,
        name: read_parameter("name", asked.name.as_deref())?,
        activity: asked.active.map(|active| if active { Activity::Active } else { Activity::Inactive }),
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        limit: Some(limit.asked()),
    };
    page_of(&api, &filter, limit).await.map(Json)
}

async fn page_of(api: &ApiState, filter: &DefinitionFilter, limit: PageLen) -> Result<Page<Definition>, Problem> {
    let page = api.engine().store().list_definition_summaries(filter).await?;
    Ok(Page::of(LIST, &page, limit, CatalogKey::of_summary, Definition::from))
}

/// Register a version of a definition, from YAML or JSON in the published format.
///
/// The same content a second time has no effect, and answers with 200. A version never changes: other content under the same
/// version is refused.
#[utoipa::path(
    post, path = "/definitions", tag = "definitions", operation_id = "register_definition",
    params(Whose),
    request_body(description = "The definition.", content(
        (Object = "application/json", example = json!({
            "schema": "stepcell/v1", "name": "visit", "version": "1.0.0", "initial_step": "let-in",
            "steps": { "let-in": { "type": "human", "title": "Who is at the door?" } },
        })),
        (String = "application/yaml"),
    )),
    security(("bearer" = ["author"])),
    responses(
        (status = 201, description = "It is registered.", body = DefinitionDetail,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "The same was registered before.", body = DefinitionDetail),
        (status = 404, description = "There is no such tenant."),
        (status = 409, description = "The version is registered with other content, or the workflow has as many as it may have."),
        (status = 422, description = "It is not valid; `errors` names everything that is wrong, by pointer, line and column."),
    ),
)]
pub(crate) async fn register(
    State(api): State<ApiState>,
    caller: Caller,
    Query(whose): Query<Whose>,
    body: TextBody,
) -> Result<Response, Problem> {
    let named = read_parameter("tenant_id", whose.tenant_id.as_deref())?;
    let tenant = visible::tenant_to_serve(&api, &caller, named).await?;
    if !MEDIA_TYPES.contains(&body.media_type.as_str()) {
        let detail = format!("send a definition as one of {}", MEDIA_TYPES.join(", "));
        return Err(Problem::new(ProblemCode::MediaType, detail));
    }
    let located = LocatedDefinition::parse(&body.text).map_err(|problems| Problem::of_definition(&problems))?;
    let registry = api.engine().registry().view(tenant.as_ref());
    let registered = registry.register_or_find(located.definition.clone()).await?;
    let registered = registered.map_err(|findings| Problem::of_definition(&located.locate(findings)))?;
    let record = registered.record;
    let status = match registered.inserted {
        Inserted::New => StatusCode::CREATED,
        Inserted::AlreadyThere => StatusCode::OK,
    };
    let path = format!("/definitions/{}/versions/{}", visible::segment(record.name.as_str()), record.version);
    Ok(api.made(status, &path, DefinitionDetail::from(&record)))
}

/// Get a definition with its document: its latest active release, or the version that is asked for.
#[utoipa::path(
    get, path = "/definitions/{name}", tag = "definitions", operation_id = "get_definition",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."), WhichVersion,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.")),
    security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "The definition.", body = DefinitionDetail, headers(("ETag" = String))),
        (status = 304, description = "It has not changed since."),
    ),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    head: HeaderMap,
    Id(name): Id<String>,
    Query(asked): Query<WhichVersion>,
) -> Result<Response, Problem> {
    let version = read_parameter("version", asked.version.as_deref())?;
    let record = find(&api, &caller, &name, version.as_ref(), asked.tenant_id.as_deref()).await?;
    Ok(shown(&head, &record))
}

/// Get one version of a definition with its document. It never changes, but for whether it is active.
#[utoipa::path(
    get, path = "/definitions/{name}/versions/{version}", tag = "definitions", operation_id = "get_definition_version",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."),
        ("version" = String, Path, description = "The version."), Whose,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.")),
    security(("bearer" = ["viewer"])),
    responses(
        (status = 200, description = "The definition.", body = DefinitionDetail, headers(("ETag" = String))),
        (status = 304, description = "It has not changed since."),
    ),
)]
pub(crate) async fn get_version(
    State(api): State<ApiState>,
    caller: Caller,
    head: HeaderMap,
    Id((name, version)): Id<(String, String)>,
    Query(whose): Query<Whose>,
) -> Result<Response, Problem> {
    let version = read_version(&name, &version)?;
    Ok(shown(&head, &find(&api, &caller, &name, Some(&version), whose.tenant_id.as_deref()).await?))
}

fn shown(head: &HeaderMap, record: &DefinitionRecord) -> Response {
    let activity = if record.is_active { "a" } else { "i" };
    let tag = format!("\"{}-{activity}\"", record.id);
    if is_known(head, &tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    ([(ETAG, tag), (CACHE_CONTROL, "no-cache".to_owned())], Json(DefinitionDetail::from(record))).into_response()
}

/// List the versions of a workflow, those that are deactivated too, in the order of versions.
#[utoipa::path(
    get, path = "/definitions/{name}/versions", tag = "definitions", operation_id = "list_definition_versions",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."), ListVersions),
    security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of versions.", body = Page<Definition>)),
)]
pub(crate) async fn versions(
    State(api): State<ApiState>,
    caller: Caller,
    Id(name): Id<String>,
    Query(asked): Query<ListVersions>,
) -> Result<Json<Page<Definition>>, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", asked.tenant_id.as_deref())?)?;
    let limit = read_limit(asked.limit)?;
    let filter = DefinitionFilter {
        owners: Owners::seen_by(tenant.as_ref()),
        name: Some(visible::read(&name).ok_or_else(|| missing(&name))?),
        activity: None,
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        limit: Some(limit.asked()),
    };
    let page = page_of(&api, &filter, limit).await?;
    if page.total == 0 { Err(missing(&name)) } else { Ok(Json(page)) }
}

/// Draw a workflow.
#[utoipa::path(
    get, path = "/definitions/{name}/graph", tag = "definitions", operation_id = "get_definition_graph",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."), DrawDefinition),
    security(("bearer" = ["viewer"])),
    responses((status = 200, description = "The graph.", content(
        (String = "text/vnd.mermaid"), (String = "text/vnd.graphviz"), (serde_json::Value = "application/json"),
    ))),
)]
pub(crate) async fn graph(
    State(api): State<ApiState>,
    caller: Caller,
    Id(name): Id<String>,
    Query(asked): Query<DrawDefinition>,
) -> Result<Response, Problem> {
    let version = read_parameter("version", asked.version.as_deref())?;
    let record = find(&api, &caller, &name, version.as_ref(), asked.tenant_id.as_deref()).await?;
    let definition = definition_of(&record)?;
    Ok(match asked.format {
        GraphFormat::Mermaid => drawn(asked.format, definition.to_mermaid()),
        GraphFormat::Dot => drawn(asked.format, definition.to_dot_with(&GraphState::default())),
        GraphFormat::Json => Json(definition.graph()).into_response(),
    })
}

/// Let a version start nothing new. What runs on it goes on.
#[utoipa::path(
    post, path = "/definitions/{name}/versions/{version}/deactivate", tag = "definitions",
    operation_id = "deactivate_definition",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."),
        ("version" = String, Path, description = "The version."), Whose),
    security(("bearer" = ["author"])),
    responses((status = 200, description = "The definition as it is then.", body = Definition)),
)]
pub(crate) async fn deactivate(
    State(api): State<ApiState>,
    caller: Caller,
    Id((name, version)): Id<(String, String)>,
    Query(whose): Query<Whose>,
) -> Result<Json<Definition>, Problem> {
    let version = read_version(&name, &version)?;
    let record = find(&api, &caller, &name, Some(&version), whose.tenant_id.as_deref()).await?;
    let owner = visible::own(&caller, record.tenant.as_ref(), "definition")?;
    api.engine().registry().view(owner).deactivate(&record.name, &record.version).await?;
    Ok(Json(Definition { is_active: false, ..Definition::from(&record) }))
}

/// Let a version that was deactivated start instances again.
#[utoipa::path(
    post, path = "/definitions/{name}/versions/{version}/activate", tag = "definitions",
    operation_id = "activate_definition",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."),
        ("version" = String, Path, description = "The version."), Whose),
    security(("bearer" = ["author"])),
    responses((status = 200, description = "The definition as it is then.", body = Definition)),
)]
pub(crate) async fn activate(
    State(api): State<ApiState>,
    caller: Caller,
    Id((name, version)): Id<(String, String)>,
    Query(whose): Query<Whose>,
) -> Result<Json<Definition>, Problem> {
    let version = read_version(&name, &version)?;
    let record = find(&api, &caller, &name, Some(&version), whose.tenant_id.as_deref()).await?;
    let owner = visible::own(&caller, record.tenant.as_ref(), "definition")?;
    api.engine().registry().view(owner).activate(&record.name, &record.version).await?;
    Ok(Json(Definition { is_active: true, ..Definition::from(&record) }))
}

/// Remove a version that nothing runs or ran on.
#[utoipa::path(
    delete, path = "/definitions/{name}/versions/{version}", tag = "definitions", operation_id = "unregister_definition",
    params(("name" = String, Path, description = "The workflow; a `/` in it is written `%2F`."),
        ("version" = String, Path, description = "The version."), Whose),
    security(("bearer" = ["author"])),
    responses(
        (status = 204, description = "It is gone."),
        (status = 409, description = "Instances refer to it; deactivate it instead."),
    ),
)]
pub(crate) async fn unregister(
    State(api): State<ApiState>,
    caller: Caller,
    Id((name, version)): Id<(String, String)>,
    Query(whose): Query<Whose>,
) -> Result<StatusCode, Problem> {
    let version = read_version(&name, &version)?;
    let record = find(&api, &caller, &name, Some(&version), whose.tenant_id.as_deref()).await?;
    let owner = visible::own(&caller, record.tenant.as_ref(), "definition")?;
    api.engine().registry().view(owner).unregister(&record.name, &record.version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A definition that the caller may see.
async fn find(
    api: &ApiState,
    caller: &Caller,
    name: &str,
    version: Option<&Version>,
    tenant: Option<&str>,
) -> Result<DefinitionRecord, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", tenant)?)?;
    let read: WorkflowName = visible::read(name).ok_or_else(|| missing(name))?;
    Ok(api.engine().registry().view(tenant.as_ref()).get_definition(&read, version).await?)
}

fn read_version(name: &str, version: &str) -> Result<Version, Problem> {
    visible::read(version).ok_or_else(|| {
        let detail =
            format!("there is no workflow `{}` `{}`; list its versions", visible::told(name), visible::told(version));
        Problem::new(ProblemCode::DefinitionNotFound, detail)
    })
}

fn missing(name: &str) -> Problem {
    let detail = format!("there is no workflow `{}`; list those there are", visible::told(name));
    Problem::new(ProblemCode::DefinitionNotFound, detail)
}

/// The definition of a record.
pub(super) fn definition_of(record: &DefinitionRecord) -> Result<WorkflowDefinition, Problem> {
    serde_json::from_str(record.document.text()).map_err(|error| {
        tracing::error!(%error, name = %record.name, version = %record.version, "a stored definition does not read");
        Problem::new(ProblemCode::StoreUnavailable, "a stored definition does not read; its operator has to look")
    })
}
