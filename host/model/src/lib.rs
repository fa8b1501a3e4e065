//! What a workflow is and how it moves.
//!
//! This crate knows no runtime, no clock, no database and no WebAssembly: whoever calls it says what time it is and
//! keeps what it decides. Reading order: [`definition`] (what people write), [`plan`] (the same, checked and ready to
//! run), [`instance`] (one run of it), [`transition`] (the one function that moves a run), [`attempt`] (what crosses
//! the wall to a step and back).

pub mod access;
pub mod attempt;
pub mod audit;
pub mod chain;
pub mod component;
pub mod definition;
mod dot;
pub mod event_type;
pub mod expression;
pub mod failure;
pub mod grants;
pub mod graph;
pub mod guard;
mod hex;
pub mod history;
pub mod host_key;
pub mod id;
pub mod instance;
pub mod json;
pub mod letter;
pub mod limits;
pub mod mermaid;
pub mod name;
pub mod plan;
pub mod policy;
pub mod predicate;
pub mod problem;
pub mod record;
pub mod schema;
pub mod secret;
pub mod signature;
pub mod staged;
pub mod status;
pub mod time;
pub mod trace;
pub mod transition;
pub mod webhook;
pub mod why;
