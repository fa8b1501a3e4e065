//! Outbound HTTP of steps: grants, addresses and budgets are checked before a packet leaves.
//!
//! The caller is a hostile tenant's code, and so is, perhaps, the server. A request is put into one spelling, held
//! against what the step is granted, and sent to an address that was checked: what was looked up once is what is
//! connected to, so that a name that changes its address in between gains nothing. Redirects come back as they are,
//! and whoever follows one makes a new request. Nothing here is kept between requests: no connection, no cookie, no
//! cache, no TLS session; proxies of the environment are not used, and nothing is decompressed.
//!
//! What is not here: who granted what (`stepcell-model` says), the WIT interface that steps call (the sandbox has it),
//! HTTP/2, and WebSockets.
//!
//! Reading order: [`Outbound`] (what there is to call), `request` (what is sent and what comes back), [`OutboundRules`]
//! (what one attempt may), `host` and `address` (what is refused), `check` (how a request is held against the rules),
//! `client`, `resolve`, `connect`, `tls` and `exchange` (how it is sent), [`OutboundError`] (what may be in the way).

mod address;
mod check;
mod client;
mod connect;
mod error;
mod exchange;
mod host;
mod request;
mod resolve;
mod rules;
mod tls;

pub use address::{AddressKind, check_address};
pub use check::is_own_header;
pub use client::{HttpOutbound, Outbound};
pub use connect::{Connection, Connector, TcpConnector};
pub use error::{Denial, OutboundError, Part};
pub use host::HostSpelling;
pub use request::{Header, OutboundRequest, OutboundResponse, Timeouts};
pub use resolve::{Resolver, SystemResolver};
pub use rules::{OutboundLimits, OutboundRules};
pub use tls::MalformedRoots;
