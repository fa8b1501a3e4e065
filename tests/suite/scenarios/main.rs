//! The whole host with real components: from a definition to rows, through cells.

mod besieged;
mod binary;
mod contained;
mod demo;
mod embedded;
mod examples;
mod exports;
mod first_step;
mod flow;
mod gateways;
mod hostile;
mod killed;
mod limits;
mod operator;
mod outbound;
mod parts;
mod refused;
mod restart;
mod secrets;
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests of outbound HTTP, which need more of it")]
#[path = "../../../host/outbound/tests/outbound/kit/server.rs"]
mod server;
mod service;
mod workers;
