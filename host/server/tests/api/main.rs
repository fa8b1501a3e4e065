//! The API against an engine in memory: each route by what it promises, and the document that all of it makes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod audit;
#[path = "../../../engine/tests/kit/between.rs"]
mod between;
mod callbacks;
mod components;
mod definitions;
mod document;
mod events;
mod forms;
mod held;
mod hostile;
mod instances;
mod kit;
mod long;
mod matrix;
mod repeating;
mod requests;
mod tasks;
mod webhooks;
