//! Outbound HTTP from outside: what is refused before a packet leaves, and what a server can do with an answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod budgets;
mod forgery;
mod kit;
mod rebinding;
mod requests;
mod tls;
