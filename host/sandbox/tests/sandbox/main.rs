//! The sandbox from outside, with real components in real cells.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics, in its fixtures too")]

#[allow(dead_code, reason = "shared with the tests of admission, which need more of it")]
#[path = "../../../admission/tests/admission/assembly.rs"]
mod assembly;
mod attempts;
mod cache;
mod calls;
mod children;
mod gateways;
#[path = "../../../admission/tests/admission/guests.rs"]
mod guests;
mod http;
mod lanes;
mod limits;
mod preparing;
#[allow(dead_code, reason = "shared with the tests of outbound HTTP, which need more of it")]
#[path = "../../../outbound/tests/outbound/kit/server.rs"]
mod server;
mod workers;
