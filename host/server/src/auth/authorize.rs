//! Holds each request to what the document says of its operation.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::Method;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::caller::unauthenticated;
use super::scope::Scope;
use crate::api::ApiState;
use crate::observe::KnownCaller;
use crate::problem::Problem;

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
                let requirement = Requirement::of(operation);
                let requirement = requirement.unwrap_or_else(|| panic!("{method} {path} says whom it is for"));
                asked.insert(method.to_string(), requirement);
            }
        }
        let guarded = Guarded { state: state.clone(), asked };
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

#[derive(Clone)]
struct Guarded {
    state: ApiState,
    asked: BTreeMap<String, Requirement>,
}

impl Guarded {
    fn requirement(&self, method: &Method) -> Option<Requirement> {
        // A route that is read answers HEAD, too.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.asked.get(method.as_str()).copied()
    }
}

async fn authorize(State(guarded): State<Guarded>, request: Request, next: Next) -> Result<Response, Problem> {
    let requirement = guarded.requirement(request.method()).ok_or_else(unauthenticated)?;
    if requirement == Requirement::Public {
        return Ok(next.run(request).await);
    }
    let (mut head, body) = request.into_parts();
    let guards = guarded.state.guards();
    let caller = guards.authenticate(&head).await?.ok_or_else(unauthenticated)?;
    if let Some(log) = head.extensions.get::<KnownCaller>() {
        log.tell(&caller);
    }
    match requirement {
        Requirement::Public => {}
        Requirement::Scope(scope) => caller.check_scope(scope)?,
        Requirement::PlatformAdmin => guards.admin.admit(&caller)?,
    }
    head.extensions.insert(caller);
    Ok(next.run(Request::from_parts(head, body)).await)
}
