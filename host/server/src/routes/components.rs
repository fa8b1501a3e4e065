//! Components: uploading them, looking at them, and letting them run no more.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};
use semver::Version;
use serde::{Deserialize, Serialize};
use stepcell_engine::{Acceptance, NewComponent};
use stepcell_model::definition::ComponentRef;
use stepcell_model::guard::ComponentBlock;
use stepcell_model::name::{ComponentName, UserId};
use stepcell_model::record::ComponentRecord;
use stepcell_model::signature::ComponentSignature;
use stepcell_model::time::Timestamp;
use stepcell_store::{CatalogKey, ComponentFilter, Inserted, Owners};
use utoipa::{IntoParams, ToSchema};

use super::definitions::Whose;
use super::visible;
use crate::api::ApiState;
use crate::auth::{Caller, note_subject};
use crate::extract::{Id, JsonBody, Query, check_plain, read_bytes, read_parameter};
use crate::page::{Page, read_cursor, read_limit};
use crate::problem::{Problem, ProblemCode};
use crate::wire::Component;

/// The largest component that is read, in bytes: as large as any that is let in.
pub(crate) const UPLOAD_LEN_BYTES_MAX: usize = 32 << 20;

/// The head with somebody's word for a component.
const SIGNATURE: HeaderName = HeaderName::from_static("component-signature");

/// The longest signature that is read, in bytes. Protects the reader of JSON from whatever fits into a head.
const SIGNATURE_LEN_BYTES_MAX: usize = 1024;

/// The name of the list in its cursors.
const LIST: &str = "components";

/// What an upload is registered as.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadComponent {
    /// The name that definitions will call it by.
    #[param(example = "acme/validate")]
    name: String,
    /// Its version, which never changes.
    #[param(example = "1.0.3")]
    version: String,
    /// Take it even if it can do more than the version before it.
    #[serde(default)]
    accept_capabilities: bool,
    /// Whose it is, for callers of the platform.
    tenant_id: Option<String>,
}

/// Which components to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListComponents {
    /// Only versions of this component.
    name: Option<String>,
    /// What this tenant sees: its own and the shared ones; for callers of the platform, who see everybody's without it.
    tenant_id: Option<String>,
    /// How many rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Where to begin: the `next_cursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

/// A component, and whether it may run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ComponentDetail {
    #[serde(flatten)]
    component: Component,
    /// Why it may not run; null if it may.
    blocked: Option<Block>,
}

/// Why a component may not run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Block {
    /// `revoked` or `quarantined`.
    kind: String,
    /// Why, in words of whoever decided it.
    reason: String,
    /// Who decided it.
    #[schema(value_type = Option<String>)]
    by: Option<UserId>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Why a component shall run no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeComponent {
    /// Why, for whoever asks.
    #[schema(min_length = 1, max_length = 1024)]
    reason: String,
}

impl From<&ComponentBlock> for Block {
    fn from(block: &ComponentBlock) -> Self {
        Self { kind: block.kind.to_string(), reason: block.reason.clone(), by: block.by.clone(), at: block.at }
    }
}

/// List components by name and version.
#[utoipa::path(
    get, path = "/components", tag = "components", operation_id = "list_components",
    params(ListComponents), security(("bearer" = ["viewer"])),
    responses((status = 200, description = "A page of components.", body = Page<Component>)),
)]
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ListComponents>,
) -> Result<Json<Page<Component>>, Problem> {
    let limit = read_limit(asked.limit)?;
    let filter = ComponentFilter {
        owners: visible::owners(&caller, asked.tenant_id.as_deref())?,
        name: read_parameter("name", asked.name.as_deref())?,
        digest: None,
        after: read_cursor(LIST, asked.cursor.as_deref())?,
        limit: Some(limit.asked()),
    };
    let page = api.engine().store().list_components(&filter).await?;
    Ok(Json(Page::of(LIST, &page, limit, CatalogKey::of_component, Component::from)))
}

/// Upload a component: it is checked against the contract, compiled, and registered.
///
/// The same bytes a second time have no effect, and answer with 200. A version never changes.
#[utoipa::path(
    post, path = "/components", tag = "components", operation_id = "upload_component",
    params(UploadComponent, ("Component-Signature" = Option<String>, Header,
        description = "Somebody's word for it, as `stepcell component sign` writes it, in one line of at most 1024 bytes.")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component, at most 32 MiB."),
    security(("bearer" = ["author"])),
    responses(
        (status = 201, description = "It is registered.", body = Component,
            headers(("Location" = String, description = "Where it is."))),
        (status = 200, description = "The same was registered before.", body = Component),
        (status = 404, description = "There is no such tenant."),
        (status = 409, description = "The version has other bytes, or it wants more than the version before it."),
        (status = 422, description = "It does not fit the contract, is blocked, or lacks a signature."),
    ),
)]
pub(crate) async fn upload(
    State(api): State<ApiState>,
    caller: Caller,
    Query(asked): Query<UploadComponent>,
    head: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let named = read_parameter("tenant_id", asked.tenant_id.as_deref())?;
    let tenant = visible::tenant_to_serve(&api, &caller, named).await?;
    let name: ComponentName = visible::name("name", &asked.name)?;
    let version: Version = visible::name("version", &asked.version)?;
    check_wasm(&head)?;
    let signature = read_signature(&head)?;
    let _turn = api.begin_upload(tenant.as_ref())?;
    let bytes: Arc<[u8]> = Vec::from(read_bytes(body, UPLOAD_LEN_BYTES_MAX).await?).into();
    let acceptance = if asked.accept_capabilities { Acceptance::Anything } else { Acceptance::AsBefore };
    let new = NewComponent { name, version, bytes, tenant, signature, acceptance };
    let registered = api.engine().registry().register(new).await?;
    let status = match registered.inserted {
        Inserted::New => StatusCode::CREATED,
        Inserted::AlreadyThere => StatusCode::OK,
    };
    let path = format!("/components/{}", registered.record.digest);
    Ok(api.made(status, &path, Component::from(&registered.record)))
}

/// The signature that came along, if one did.
fn read_signature(head: &HeaderMap) -> Result<Option<ComponentSignature>, Problem> {
    let Some(sent) = head.get(SIGNATURE) else { return Ok(None) };
    let refused = |why: String| {
        let detail =
            format!("`Component-Signature` is no signature of a component: {why}; send the `.sig` file in one line");
        Problem::new(ProblemCode::RequestInvalid, detail)
    };
    if sent.len() > SIGNATURE_LEN_BYTES_MAX {
        return Err(refused(format!("it has {} bytes, and may have {SIGNATURE_LEN_BYTES_MAX}", sent.len())));
    }
    if head.get_all(SIGNATURE).iter().count() > 1 {
        return Err(refused("there are several".to_owned()));
    }
    serde_json::from_slice(sent.as_bytes()).map(Some).map_err(|error| refused(error.to_string()))
}

fn check_wasm(head: &HeaderMap) -> Result<(), Problem> {
    check_plain(head)?;
    let sent = head.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if ["application/wasm", "application/octet-stream"].contains(&sent) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::MediaType, "send a component as `Content-Type: application/wasm`"))
}

/// Inspect a component: what it exports, what it can make use of, and whether it may run.
#[utoipa::path(
    get, path = "/components/{digest}", tag = "components", operation_id = "get_component",
    params(("digest" = String, Path, description = "`sha256:` and 64 digits, or `name@version` with `%2F` for a `/`."), Whose),
    security(("bearer" = ["viewer"])),
    responses((status = 200, description = "The component.", body = ComponentDetail)),
)]
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    Id(digest): Id<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<ComponentDetail>, Problem> {
    let record = find(&api, &caller, &digest, whose.tenant_id.as_deref()).await?;
    detail(&api, &record).await.map(Json)
}

async fn detail(api: &ApiState, record: &ComponentRecord) -> Result<ComponentDetail, Problem> {
    let blocked = api.engine().find_block(&record.digest).await?.as_ref().map(Block::from);
    Ok(ComponentDetail { component: Component::from(record), blocked })
}

/// Let a component run no more: what runs is stopped, what is queued is held back, and no definition can name it.
///
/// Bytes may belong to several tenants, and are revoked for all of them, so this is for administrators of the platform.
#[utoipa::path(
    post, path = "/components/{digest}/revoke", tag = "components", operation_id = "revoke_component",
    params(("digest" = String, Path, description = "`sha256:` and 64 digits, or `name@version` with `%2F` for a `/`."), Whose),
    request_body = RevokeComponent, security(("bearer" = ["platform-admin"])),
    responses(
        (status = 200, description = "The component as it is then.", body = ComponentDetail),
        (status = 422, description = "The reason is empty or too long."),
    ),
)]
pub(crate) async fn revoke(
    State(api): State<ApiState>,
    caller: Caller,
    Id(digest): Id<String>,
    Query(whose): Query<Whose>,
    JsonBody(asked): JsonBody<RevokeComponent>,
) -> Result<Json<ComponentDetail>, Problem> {
    let record = find(&api, &caller, &digest, whose.tenant_id.as_deref()).await?;
    // It holds for the bytes, whoever has them.
    note_subject(None);
    let revoked = api.engine().revoke_component(record.digest, &asked.reason, Some(caller.user.clone())).await;
    revoked.map_err(|error| Problem::from(error).within("/reason"))?;
    detail(&api, &record).await.map(Json)
}

/// Let a component run again that was revoked or put in quarantine; what was held back goes on.
///
/// One that may run already stays as it is. For administrators of the platform, as revoking is.
#[utoipa::path(
    post, path = "/components/{digest}/restore", tag = "components", operation_id = "restore_component",
    params(("digest" = String, Path, description = "`sha256:` and 64 digits, or `name@version` with `%2F` for a `/`."), Whose),
    security(("bearer" = ["platform-admin"])),
    responses((status = 200, description = "The component as it is then.", body = ComponentDetail)),
)]
pub(crate) async fn restore(
    State(api): State<ApiState>,
    caller: Caller,
    Id(digest): Id<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<ComponentDetail>, Problem> {
    let record = find(&api, &caller, &digest, whose.tenant_id.as_deref()).await?;
    // It holds for the bytes, whoever has them.
    note_subject(None);
    api.engine().restore_component(&record.digest).await?;
    detail(&api, &record).await.map(Json)
}

/// A component that the caller may see.
async fn find(api: &ApiState, caller: &Caller, text: &str, tenant: Option<&str>) -> Result<ComponentRecord, Problem> {
    let tenant = caller.tenant_for(read_parameter("tenant_id", tenant)?)?;
    let missing = || {
        let detail = format!("there is no component `{}`; list those there are", visible::told(text));
        Problem::new(ProblemCode::ComponentNotFound, detail)
    };
    let wanted: ComponentRef = visible::read(text).ok_or_else(missing)?;
    match wanted {
        ComponentRef::Digest(_) | ComponentRef::Registered { .. } => {}
        ComponentRef::Host(_) | ComponentRef::File(_) => return Err(missing()),
    }
    if let (ComponentRef::Digest(digest), None) = (&wanted, &tenant) {
        // A digest means the same to everybody: for callers of the platform, whoever has it.
        let found = api.engine().store().find_component_by_digest(digest, &Owners::All).await?;
        return found.ok_or_else(missing);
    }
    let found = api.engine().registry().view(tenant.as_ref()).get_component(&wanted).await;
    found.map_err(|error| match error {
        stepcell_engine::EngineError::Store(error) => error.into(),
        _ => missing(),
    })
}
