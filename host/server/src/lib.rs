//! The HTTP face of the engine: for now a health route.
//!
//! This crate translates between HTTP and the engine, and holds no rule of its own. It does not know SQL, WebAssembly,
//! or where the process listens: whoever embeds it binds the address and decides when to stop. Not here yet: the REST
//! API, the event stream, authentication and the web pages.

mod health;
mod serve;

use axum::Router;
use axum::routing::get;

pub use serve::{Drained, ServeLimits, Server, Tls, TlsError, Traffic, TrafficCounts, serve};

/// Returns every route there is.
///
/// | route | answers |
/// |---|---|
/// | `GET /healthz` | `200` with `{"status":"ok"}`: the process accepts and answers requests |
///
/// # Examples
/// ```
/// // Embedders mount the routes beside their own.
/// let app: axum::Router = axum::Router::new().nest("/workflows", stepcell_server::router());
/// ```
pub fn router() -> Router {
    Router::new().route("/healthz", get(health::show))
}
