//! The API as a router that a program mounts, or that the server of this crate serves.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode, Uri};
use serde::Serialize;
use stepcell_engine::WorkflowEngine;
use stepcell_model::name::{ActionName, TenantId};
use stepcell_webhooks::Webhooks;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::auth::{Answers, AuditLog, Caller, Guards, RateLimit, Rates, actions};
use crate::lines::{Lines, Place};
use crate::openapi;
use crate::problem::{Problem, ProblemCode};
use crate::routes;
use crate::turns::{Turn, Turns};
use crate::untaken::Untaken;

/// How many components are uploaded at once. Protects memory: each is held as a whole.
const UPLOADS_MAX: usize = 16;

/// How many of them may be one tenant's, so that slow ones of one keep nobody else waiting.
const UPLOADS_OF_TENANT_MAX: usize = 2;

/// How many streams of events may be open. Leaves connections for whoever asks for something else.
const STREAMS_MAX: usize = 20_000;

/// How many of them may be one user's. Protects everybody else's connections.
const STREAMS_EACH_MAX: usize = 500;

/// How many instances are read as a whole at once, to be shown, drawn or explained; others wait in line. Protects memory: one
/// of them is read with all that it did, up to 32 MiB.
const LOOKS_MAX: usize = 16;

/// How many of those may be for callers of one tenant. Keeps the others from waiting for them.
const LOOKS_OF_TENANT_MAX: usize = 4;

/// When to come back where there was no room for one more.
pub(crate) const TURN_RETRY: Duration = Duration::from_secs(2);

/// Where routes are unless told.
pub const PATH_PREFIX: &str = "/api/v1";

/// Which routes there are, and who is let in.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// What every path begins with: nothing, or `/` and names.
    pub path_prefix: String,
    /// Whether there are the routes of workflows, instances and tasks.
    pub enable_api: bool,
    /// Whether there is anything for the platform's administrators: their routes, and keys, secrets, changes of webhooks and the
    /// audit log beyond a single tenant's own administrators.
    pub enable_admin: bool,
    /// Whether there are pages for people: the documentation.
    pub enable_ui: bool,
    /// Who is let in; without a guard nobody is.
    pub guards: Guards,
    /// How many requests one caller may send; as many as they like without it.
    pub rate: Option<RateLimit>,
    /// How many requests all callers of one tenant may send together; as many as they like without it.
    pub tenant_rate: Option<RateLimit>,
    /// What keeps who did what, so that a program can wait for it when it stops; without it the router has one of its own.
    pub audit: Option<AuditLog>,
    /// What tells others what happens; without it subscriptions are kept, and sent by whoever does that, a second later.
    pub webhooks: Option<Webhooks>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            path_prefix: PATH_PREFIX.to_owned(),
            enable_api: true,
            enable_admin: true,
            enable_ui: true,
            guards: Guards::none(),
            rate: None,
            tenant_rate: None,
            audit: None,
            webhooks: None,
        }
    }
}

/// What every handler has: the engine, and who is let in.
#[derive(Clone)]
pub(crate) struct ApiState(Arc<Shared>);

struct Shared {
    engine: WorkflowEngine,
    options: ApiOptions,
    webhooks: Webhooks,
    uploads: Turns,
    streams: Turns,
    looks: Lines,
    untaken: Untaken,
    rates: Rates,
    audit: AuditLog,
    /// What the audit log can tell of; made when somebody asks for it.
    actions: OnceLock<BTreeSet<ActionName>>,
    answers: Answers,
}

impl ApiState {
    fn new(engine: WorkflowEngine, options: ApiOptions) -> Self {
        let webhooks = options.webhooks.clone().unwrap_or_else(|| Webhooks::new(engine.clone()));
        Self(Arc::new(Shared {
            uploads: Turns::new(UPLOADS_MAX, UPLOADS_OF_TENANT_MAX),
            streams: Turns::new(STREAMS_MAX, STREAMS_EACH_MAX),
            looks: Lines::new(LOOKS_MAX, LOOKS_OF_TENANT_MAX),
            untaken: Untaken::new(),
            rates: Rates::new(options.rate, options.tenant_rate),
            audit: options.audit.clone().unwrap_or_else(|| AuditLog::new(engine.clone())),
            actions: OnceLock::new(),
            answers: Answers::new(engine.clone()),
            webhooks,
            engine,
            options,
        }))
    }

    /// Room for one more upload of a tenant, for as long as the answer is kept.
    pub(crate) fn begin_upload(&self, tenant: Option<&TenantId>) -> Result<Turn, Problem> {
        self.0.uploads.take(tenant.map_or("", TenantId::as_str)).ok_or_else(|| {
            let detail = "too many components are being uploaded already; try again in a moment";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(TURN_RETRY)
        })
    }

    /// Room for one more stream of events of a caller, for as long as the answer is kept.
    pub(crate) fn begin_stream(&self, caller: &Caller) -> Result<Turn, Problem> {
        let tenant = caller.tenant.as_ref().map_or("", TenantId::as_str);
        self.0.streams.take(&format!("{tenant}\n{}", caller.user)).ok_or_else(|| {
            let detail = format!(
                "too many streams of events are open; one user may have {STREAMS_EACH_MAX}: close some, or come back later"
            );
            Problem::new(ProblemCode::RateLimited, detail).retry_after(TURN_RETRY)
        })
    }

    /// Room to read one more instance as a whole, as soon as there is some for the caller's tenant.
    pub(crate) async fn begin_look(&self, caller: &Caller) -> Place {
        self.0.looks.take(caller.tenant.as_ref().map_or("", TenantId::as_str)).await
    }

    /// What answers hold that nobody has taken yet.
    pub(crate) fn untaken(&self) -> &Untaken {
        &self.0.untaken
    }

    pub(crate) fn engine(&self) -> &WorkflowEngine {
        &self.0.engine
    }

    /// Counts a request of a caller.
    pub(crate) fn check_rate(&self, caller: &Caller) -> Result<(), Problem> {
        self.0.rates.check(caller)
    }

    pub(crate) fn audit(&self) -> &AuditLog {
        &self.0.audit
    }

    /// Every action that the audit log can tell of, those of routes that are off among them: others may have been on.
    pub(crate) fn actions(&self) -> &BTreeSet<ActionName> {
        self.0.actions.get_or_init(|| actions(&openapi_document(self.engine().clone())))
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    pub(crate) fn webhooks(&self) -> &Webhooks {
        &self.0.webhooks
    }

    pub(crate) fn guards(&self) -> &Guards {
        &self.0.options.guards
    }

    /// Lets an administrator of the platform through, if there are any here and this is one.
    pub(crate) fn admit_admin(&self, caller: &Caller) -> Result<(), Problem> {
        if self.0.options.enable_admin {
            return self.0.options.guards.admit_admin(caller);
        }
        let detail = "this server does nothing for administrators of the platform: `enable_admin` is false; use another one, \
                      or credentials of the tenant";
        Err(Problem::new(ProblemCode::AdminOnly, detail))
    }

    /// An answer with what was made, or was there already, and where it is.
    pub(crate) fn made(&self, status: StatusCode, path: &str, body: impl Serialize) -> Response {
        let mut response = (status, Json(body)).into_response();
        if let Ok(location) = HeaderValue::from_str(&self.path(path)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    /// A path of this API as the document has it, of one as clients see it.
    pub(crate) fn without_prefix<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.0.options.path_prefix.trim_end_matches('/')).unwrap_or(path)
    }

    /// A path of this API as clients see it.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.0.options.path_prefix)
    }
}

/// Returns every route of an engine's API, under its prefix.
///
/// # Examples
/// Mounted beside a program's own routes, with layers of its own around it.
/// ```
/// use stepcell_server::{ApiOptions, router};
///
/// fn app(engine: stepcell_engine::WorkflowEngine) -> axum::Router {
///     let options = ApiOptions { path_prefix: "/workflows".to_owned(), ..ApiOptions::default() };
///     axum::Router::new().merge(router(engine, options))
/// }
/// ```
pub fn router(engine: WorkflowEngine, options: ApiOptions) -> Router {
    let state = ApiState::new(engine, options);
    let (routes, document) = routes_of(&state).split_for_parts();
    let mut router = routes.with_state(state.clone());
    let options = &state.0.options;
    if options.enable_api || options.enable_admin {
        let pages = openapi::pages(&document, options).layer(from_fn_with_state(state.clone(), hold_page));
        router = router.merge(pages);
    }
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()))
}

/// The OpenAPI document of everything that there can be, under the usual prefix.
#[must_use]
pub fn openapi_document(engine: WorkflowEngine) -> OpenApi {
    let state = ApiState::new(engine, ApiOptions::default());
    routes_of(&state).split_for_parts().1
}

fn routes_of(state: &ApiState) -> OpenApiRouter<ApiState> {
    let options = &state.0.options;
    let mut routes = OpenApiRouter::with_openapi(openapi::head());
    if options.enable_api {
        routes = routes.merge(routes::api(state));
    }
    if options.enable_admin {
        routes = routes.merge(routes::admin(state));
    }
    let prefix = options.path_prefix.trim_end_matches('/');
    let mut all = if prefix.is_empty() { routes } else { nested(prefix, routes) };
    openapi::complete(all.get_openapi_mut());
    all
}

fn nested(prefix: &str, routes: OpenApiRouter<ApiState>) -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::head()).nest(prefix, routes)
}

/// Answers with a page, which anybody may ask for.
async fn hold_page(State(state): State<ApiState>, request: Request, next: Next) -> Result<Response, Problem> {
    state.untaken().hold_of_strangers(next.run(request).await).await
}

async fn no_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(ProblemCode::RouteNotFound, format!("there is no route `{path}`; the OpenAPI document lists all"))
}

async fn no_method() -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed, "the route is there and does not take this method; `Allow` lists those")
}
