//! The HTTP face of the engine: REST, events, authentication, and the error table.
//!
//! This crate translates between HTTP and the engine, and holds no rule of its own. It does not know SQL, WebAssembly,
//! or where the process listens: whoever embeds it binds the address and decides when to stop.
//!
//! Reading order: [`router`] and [`ApiOptions`] (what there is), [`wire`] (what is sent), [`Problem`] (what requests are
//! refused with), `auth` (who calls and how far they reach), `extract` (how requests are read), `routes` (one file a noun),
//! `openapi` (the document that all of it makes).

mod api;
mod auth;
mod extract;
mod health;
mod lines;
mod observe;
mod openapi;
mod page;
mod problem;
mod routes;
mod serve;
mod turns;
mod untaken;
pub mod wire;

pub use self::api::{ApiOptions, PATH_PREFIX, openapi_document, router};
pub use self::auth::{
    AUDIT_LEFT_OUT_TOTAL, AUDIT_LOST_TOTAL, AdminGuard, AuditLog, Caller, Guard, Guards, KeyGuard, RateLimit, Scope,
    Scopes, TokenError, TokenGuard, TokenKeys, TokenSettings, WithoutTenant, audit_actions,
};
pub use self::health::{Front, Phase};
pub use self::observe::{PROBLEMS_TOTAL, REQUEST_DURATION, REQUEST_ID, REQUESTS_TOTAL, RequestId, observed};
pub use self::openapi::{operations_of, problem_codes};
pub use self::page::{PAGE_LEN_DEFAULT, PAGE_LEN_MAX, Page, PageQuery};
pub use self::problem::{FieldProblem, PROBLEM_JSON, Problem, ProblemBody, ProblemCode};
pub use self::serve::{Drained, ServeLimits, Server, Tls, TlsError, Traffic, TrafficCounts, serve};
pub use http::request::Parts as RequestHead;
