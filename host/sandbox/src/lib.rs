//! The cell: the only crate that knows wasmtime. Checks, compiles, caches and runs components within limits.
//!
//! A tenant's component is trusted with nothing. Before compiling it is held against the contract; every attempt gets
//! a fresh memory, a fresh instance and budgets for whatever can be used up; and whatever happens inside comes back
//! as a report, never as an error or a panic of the host.
//!
//! Reading order: [`Sandbox`] (what there is to call), `attempt` (how one attempt goes), `cell` (what a component sees
//! of its host), `limits`, `meter` and `budget` (what holds it), `lanes` (where it computes), `wit` (one file per interface of the contract),
//! `config` (every setting of wasmtime). What may enter is `stepcell-admission`'s to say.

mod attempt;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bare;
mod blank;
mod budget;
mod cache;
mod cell;
mod child;
mod clock;
mod compile;
mod config;
mod denials;
mod entry;
mod epoch;
mod error;
mod http;
mod lanes;
mod limits;
mod log;
mod meter;
mod prepared;
mod random;
mod runtime_version;
mod sandbox;
mod stdio;
mod trap;
mod turns;
mod wit;
mod worker;

pub use cache::random_host_key;
pub use child::{ChildCommand, be_child, child_main};
pub use config::{CompileLimits, Compiler, Isolation, SandboxConfig};
#[doc(hidden)]
pub use config::{Wall, Walls};
pub use error::SandboxError;
pub use sandbox::Sandbox;
pub use stepcell_admission::{ComponentFacts, ImportedInterface, Refusal};
