//! The cell: the only crate that knows wasmtime. Checks, compiles, caches and runs components within limits.
//!
//! A tenant's component is trusted with nothing. Before compiling it is held against the contract; every attempt gets
//! a fresh memory, a fresh instance and budgets for whatever can be used up; and whatever happens inside comes back
//! as a report, never as an error or a panic of the host.
//!
//! Reading order: [`Sandbox`] (what there is to call), `contract` (what may enter), `attempt` (how one attempt goes),
//! `cell` (what a component sees of its host), `limits`, `meter` and `budget` (what holds it), `wit` (one file per
//! interface of the contract), `config` (every setting of wasmtime).

mod attempt;
mod budget;
mod cache;
mod cell;
mod clock;
mod compile;
mod config;
mod contract;
mod epoch;
mod error;
mod limits;
mod log;
mod manifest;
mod meter;
mod random;
mod sandbox;
mod signature;
mod stdio;
mod structure;
mod trap;
mod wit;

pub use config::SandboxConfig;
pub use contract::{ComponentFacts, ImportedInterface};
pub use error::{Refusal, SandboxError};
pub use sandbox::Sandbox;
