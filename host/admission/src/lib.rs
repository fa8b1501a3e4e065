//! What may enter: a component is measured and held against the contract before anything of it is compiled.
//!
//! Whatever a tenant pushes is read here first, in the host's own process, and ends as [`ComponentFacts`] or as a
//! [`Refusal`]: never as a panic, and within bounds of time and memory that do not depend on what the bytes say of
//! themselves.
//!
//! Reading order: [`inspect`] (the whole check), `structure` (how much there is to read, compile and hold), `world`
//! (what is imported and exported), `contract` (what that is held against), `signature` (types as text, to compare),
//! `manifest` (what a component says of itself), `refusal`.
//!
//! Not here: compiling and linking, and whatever a grant decides. This crate knows no runtime.

mod contract;
mod inspect;
mod manifest;
mod refusal;
mod signature;
mod structure;
mod world;

pub use inspect::{ComponentFacts, ImportedInterface, inspect};
pub use refusal::{Refusal, excerpt};
pub use structure::Bound;

/// The text of the contract, which components are held against.
pub const CONTRACT: &str = include_str!("../../../wit/step.wit");
