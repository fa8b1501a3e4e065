//! An API over an engine in memory, with callers that are known by name and steps that answer at once.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use stepcell_engine::{ComponentFacts, ComponentRefused, Driving, EngineOptions, StepRunner, WorkflowEngine};
use stepcell_model::access::TenantRecord;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, StepCall};
use stepcell_model::component::ComponentExports;
use stepcell_model::failure::Failure;
use stepcell_model::host_key::HostKey;
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, TenantId};
use stepcell_server::{ApiOptions, AuditLog, Caller, Guard, Guards, KeyGuard, Problem, ProblemCode, Scope, Scopes};
use stepcell_store::{MemoryStore, SqliteOptions, SqliteStore, WorkflowStore};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// The longest answer that a test reads.
const ANSWER_LEN_BYTES_MAX: usize = 16 << 20;

/// A component, as far as the runner of these tests looks.
pub(crate) const COMPONENT: &[u8] = b"\0asm a component";

/// An API and the engine behind it.
pub(crate) struct TestApi {
    pub(crate) engine: WorkflowEngine,
    pub(crate) audit: AuditLog,
    router: axum::Router,
    _driving: Driving,
    _folder: Option<TempDir>,
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) head: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of a refusal, which must be one in every respect.
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        assert_eq!(self.head["content-type"], "application/problem+json", "{body}");
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        body["code"].as_str().unwrap().to_owned()
    }
}

impl TestApi {
    pub(crate) async fn new() -> Self {
        Self::with(ApiOptions::default()).await
    }

    pub(crate) async fn with(options: ApiOptions) -> Self {
        Self::over(Arc::new(MemoryStore::new()), None, options).await
    }

    /// An API over an engine on a database.
    pub(crate) async fn on_sqlite() -> Self {
        Self::on_sqlite_with_store().await.0
    }

    /// The same, with the database to close.
    pub(crate) async fn on_sqlite_with_store() -> (Self, Arc<SqliteStore>) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("api.db"), SqliteOptions::default()).unwrap();
        let store = Arc::new(store);
        let api = Self::over(Arc::clone(&store) as Arc<dyn WorkflowStore>, Some(folder), ApiOptions::default()).await;
        (api, store)
    }

    /// Another API over the same engine, with the same callers.
    pub(crate) fn same_with(&self, options: ApiOptions) -> axum::Router {
        let options = ApiOptions { guards: guards(&self.engine), audit: Some(self.audit.clone()), ..options };
        stepcell_server::router(self.engine.clone(), options)
    }

    pub(crate) async fn over(store: Arc<dyn WorkflowStore>, folder: Option<TempDir>, options: ApiOptions) -> Self {
        let settings = EngineOptions { host_key: Some(HostKey::take(&mut [7; 32])), ..EngineOptions::default() };
        let engine = WorkflowEngine::new(store, Arc::new(Echo), settings);
        let driving = engine.drive().await.unwrap();
        let audit = AuditLog::new(engine.clone());
        let options = ApiOptions { guards: guards(&engine), audit: Some(audit.clone()), ..options };
        let router = stepcell_server::router(engine.clone(), options);
        Self { engine, audit, router, _driving: driving, _folder: folder }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        // A stream of events has no end of its own.
        let is_stream = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { Body::empty() } else { body };
        let bytes = to_bytes(body, ANSWER_LEN_BYTES_MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, head: parts.headers, text }
    }

    pub(crate) const fn router(&self) -> &axum::Router {
        &self.router
    }

    pub(crate) async fn get(&self, who: &str, path: &str) -> Answer {
        self.send(request("GET", who, path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let request = request("POST", who, path).header("content-type", "application/json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// Sends JSON by any method.
    pub(crate) async fn send_json(&self, method: &str, who: &str, path: &str, body: &Value) -> Answer {
        let request = request(method, who, path).header("content-type", "application/json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// Registers a definition for everybody.
    pub(crate) async fn define(&self, definition: &Value) {
        self.engine
            .registry()
            .register_component("acme/echo".parse().unwrap(), "1.0.0".parse().unwrap(), COMPONENT.into())
            .await
            .unwrap();
        let answer = self.post("platform", "/api/v1/definitions", definition).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    }

    /// Starts an instance, and answers with its id once it has settled.
    pub(crate) async fn start(&self, who: &str, name: &str) -> String {
        let answer = self.post(who, "/api/v1/instances", &json!({ "definition_name": name })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        self.engine.wait_until_settled(id.parse().unwrap()).await.unwrap();
        id
    }
}

/// Lets in whoever has a key or a name.
fn guards(engine: &WorkflowEngine) -> Guards {
    Guards::none().with(Arc::new(KeyGuard::new(engine.clone()))).with(Arc::new(ByName(engine.clone())))
}

/// A request of somebody; of nobody where that is empty.
pub(crate) fn request(method: &str, who: &str, path: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    if who.is_empty() { request } else { request.header("authorization", format!("Bearer {who}")) }
}

/// A workflow of one step that returns what it is given.
pub(crate) fn echo() -> Value {
    json!({
        "schema": "stepcell/v1", "name": "echo", "version": "1.0.0", "initial_step": "say",
        "steps": { "say": { "type": "machine", "component": "acme/echo@1" } },
    })
}

/// A workflow that waits for somebody to approve.
pub(crate) fn approval() -> Value {
    json!({
        "schema": "stepcell/v1", "name": "approval", "version": "1.0.0", "initial_step": "review",
        "steps": {
            "review": {
                "type": "human", "title": "Approve it",
                "form_schema": {
                    "type": "object", "required": ["approved"], "properties": { "approved": { "type": "boolean" } },
                },
            },
            "say": { "type": "machine", "component": "acme/echo@1" },
        },
        "edges": [{ "source": "review", "target": "say" }],
    })
}

/// Knows callers by name: `platform`, or a tenant (or the platform) and a scope as in `acme-viewer`. Makes their tenants, all but `ghost`.
struct ByName(WorkflowEngine);

#[async_trait]
impl Guard for ByName {
    async fn authenticate(&self, head: &axum::http::request::Parts) -> Result<Option<Caller>, Problem> {
        let Some(sent) = head.headers.get("authorization") else { return Ok(None) };
        let refused = || Problem::new(ProblemCode::KeyRefused, "the key is not known");
        let name = sent.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(refused)?;
        let user = name.parse().map_err(|_| refused())?;
        if name == "platform" {
            return Ok(Some(Caller::of_platform(user, Scopes::all())));
        }
        if name.ends_with("-revoked") {
            return Err(refused());
        }
        let (tenant, scope) = name.split_once('-').ok_or_else(refused)?;
        let scope: Scope = scope.parse().map_err(|_| refused())?;
        if tenant == "platform" {
            return Ok(Some(Caller::of_platform(user, Scopes::of(&[scope]))));
        }
        if tenant != "ghost" {
            let record =
                TenantRecord::new(tenant.parse().map_err(|_| refused())?, self.0.now()).map_err(|_| refused())?;
            self.0.add_tenant(record).await?;
        }
        Ok(Some(Caller::of_tenant(tenant.parse().map_err(|_| refused())?, user, [scope].into_iter().collect())))
    }
}

/// Takes what begins like a component, and returns what it is given.
struct Echo;

#[async_trait]
impl StepRunner for Echo {
    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        if !bytes.starts_with(b"\0asm") {
            return Err(ComponentRefused { reason: "it is no component: its first bytes are others".to_owned() });
        }
        Ok(ComponentFacts { exports: ComponentExports::Step, capabilities: Vec::new(), manifest: None })
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        Ok(())
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        true
    }

    async fn run(&self, call: StepCall) -> AttemptReport {
        let outcome = match call.input.tree().get("fail") {
            Some(_) => AttemptOutcome::Failed(Failure::from_guest("broken", "it broke".to_owned(), false)),
            None => AttemptOutcome::Succeeded(call.input),
        };
        AttemptReport { outcome, writes: ContextWrites::new(), hook_failure: None, trace: AttemptTrace::default() }
    }

    async fn run_gateway(&self, _: StepCall, targets: Vec<StepName>) -> AttemptReport {
        let outcome = AttemptOutcome::Succeeded(Json::from(json!(targets)));
        AttemptReport { outcome, writes: ContextWrites::new(), hook_failure: None, trace: AttemptTrace::default() }
    }

    async fn run_failure_hook(&self, _: StepCall, _: Failure) -> HookReport {
        HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() }
    }
}
