//! Holds each request to what the document says of its operation.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::Method;
use stepcell_engine::{EngineError, Finishing};
use stepcell_model::name::ActionName;
use stepcell_model::name::TenantId;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::Scope;
use super::audit::{Asked, action_of_operation};
use super::caller::{Caller, Subject, unauthenticated};
use super::repeat::keeps_answers;
use crate::api::ApiState;
use crate::observe::{KnownCaller, RequestId};
use crate::problem::{Problem, ProblemCode};

/// The role in `security` of operations for administrators of the platform.
const PLATFORM_ADMIN: &str = "platform-admin";

/// The name of the security scheme.
pub(crate) const SCHEME: &str = "bearer";

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Nothing.
    Public,
    /// Credentials that reach that far.
    Scope(Scope),
    /// Credentials of an administrator of the platform.
    PlatformAdmin,
}

impl Requirement {
    /// What the document says of an operation; nothing if it says nothing that is understood.
    pub(crate) fn of(operation: &Operation) -> Option<Self> {
        let security = serde_json::to_value(operation.security.as_ref()?).ok()?;
        match security.as_array()?.as_slice() {
            [] => Some(Self::Public),
            [one] if one.as_object()?.is_empty() => Some(Self::Public),
            [one] => match one.get(SCHEME)?.as_array()?.as_slice() {
                [role] if role == PLATFORM_ADMIN => Some(Self::PlatformAdmin),
                [role] => role.as_str()?.parse().ok().map(Self::Scope),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Adds routes together with the guard that their documentation asks for.
pub(crate) trait Secured {
    /// Adds the operations of one path.
    ///
    /// # Panics
    /// If an operation does not say what it asks of its caller.
    fn secured(self, state: &ApiState, routes: UtoipaMethodRouter<ApiState>) -> Self;
}

impl Secured for OpenApiRouter<ApiState> {
    fn secured(self, state: &ApiState, (schemas, paths, methods): UtoipaMethodRouter<ApiState>) -> Self {
        let mut asked = BTreeMap::new();
        for (path, item) in &paths.paths {
            for (method, operation) in operations(item) {
                let wants = Wants::of(&method, operation);
                let wants = wants.unwrap_or_else(|| panic!("{method} {path} says whom it is for"));
                asked.insert(method.to_string(), Arc::new(wants));
            }
        }
        let guarded = Guarded { state: state.clone(), asked: Arc::new(asked) };
        self.routes((schemas, paths, methods.route_layer(from_fn_with_state(guarded, authorize))))
    }
}

/// The operations of a path, by method.
pub(crate) fn operations(item: &utoipa::openapi::PathItem) -> Vec<(Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?))).collect()
}

/// Cloned for each request.
#[derive(Clone)]
struct Guarded {
    state: ApiState,
    asked: Arc<BTreeMap<String, Arc<Wants>>>,
}

/// What is seen to for an operation, as its document has it.
struct Wants {
    requirement: Requirement,
    /// What the audit log calls it, if it changes something.
    action: Option<ActionName>,
    /// Whether its answers are kept for whoever asks again.
    keeps_answers: bool,
}

impl Wants {
    fn of(method: &Method, operation: &Operation) -> Option<Self> {
        let action = action_of_operation(method, operation.operation_id.as_deref());
        Some(Self { requirement: Requirement::of(operation)?, action, keeps_answers: keeps_answers(method, operation) })
    }
}

impl Guarded {
    fn wants(&self, method: &Method) -> Option<&Arc<Wants>> {
        // A route that is read answers HEAD, too.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.asked.get(method.as_str())
    }
}

async fn authorize(State(guarded): State<Guarded>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let wants = guarded.wants(request.method()).ok_or_else(unauthenticated)?;
    if wants.requirement == Requirement::Public {
        return Ok(next.run(request).await);
    }
    let state = &guarded.state;
    let (head, body) = request.into_parts();
    let caller = state.guards().authenticate(&head).await?.ok_or_else(unauthenticated)?;
    request = Request::from_parts(head, body);
    if let Some(log) = request.extensions().get::<KnownCaller>() {
        log.tell(&caller);
    }
    state.check_rate(&caller)?;
    if let Some(tenant) = &caller.tenant {
        check_tenant(state, tenant).await?;
    }
    let asked = wants.action.clone().map(|action| Asked {
        action,
        path: request.uri().path().to_owned(),
        request_id: request.extensions().get::<RequestId>().cloned(),
        subject: Subject::default(),
        ticket: state.audit().begin(),
    });
    let Some(asked) = asked else {
        let answer = answer(state, wants, &caller, request, next).await?;
        return state.untaken().hold(&caller, answer).await;
    };
    let (state, wants) = (state.clone(), Arc::clone(wants));
    // What is changed is recorded, whoever goes away meanwhile.
    let work = Finishing::of(async move {
        let answer = asked.subject.noted_in(answer(&state, &wants, &caller, request, next)).await;
        let answer = answer.unwrap_or_else(IntoResponse::into_response);
        state.audit().record(&state, &caller, asked, &answer);
        answer
    });
    Ok(work.await)
}

/// Refuses callers of a tenant that is suspended, or that nobody has made: it has no quotas, and could not be suspended.
async fn check_tenant(state: &ApiState, tenant: &TenantId) -> Result<(), Problem> {
    state.engine().check_known_tenant(tenant).await.map_err(|error| match error {
        EngineError::TenantNotFound { .. } => {
            let detail = format!("there is no tenant `{tenant}`; an administrator of the platform makes it");
            Problem::new(ProblemCode::TenantUnknown, detail)
        }
        other => other.into(),
    })
}

/// Answers a caller who is known, if they reach that far.
async fn answer(
    state: &ApiState,
    wants: &Wants,
    caller: &Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    match wants.requirement {
        Requirement::Public => {}
        Requirement::Scope(scope) => {
            caller.check_scope(scope)?;
            // What administrators do of a tenant, administrators of the platform do of all.
            if scope == Scope::Admin && caller.tenant.is_none() {
                state.admit_admin(caller)?;
            }
        }
        Requirement::PlatformAdmin => state.admit_admin(caller)?,
    }
    request.extensions_mut().insert(caller.clone());
    if wants.keeps_answers { state.answers().once(caller, request, next).await } else { Ok(next.run(request).await) }
}
