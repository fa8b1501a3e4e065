//! The HTTP face of the engine: for now a health route.
//!
//! This crate translates between HTTP and the engine, and holds no rule of its own. It does not know SQL, WebAssembly,
//! or where the process listens: whoever embeds it binds the address and decides when to stop. Not here yet: the REST
//! API, the event stream, authentication and the web pages.

mod health;
mod serve;

pub use health::{Front, Phase};
pub use serve::{Drained, ServeLimits, Server, Tls, TlsError, Traffic, TrafficCounts, serve};
