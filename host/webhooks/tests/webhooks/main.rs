//! Outgoing webhooks against servers that take them, refuse them, never answer and lie.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;
mod refusing;
mod restarts;
mod subscriptions;
mod telling;
