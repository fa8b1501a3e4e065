//! The command line as its users meet it: the built binary, its exit codes, and what it says.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics, in its fixtures too")]

mod access;
mod callbacks;
mod configuring;
mod damaged;
mod database;
mod definitions;
mod driving;
mod events;
mod explaining;
mod groups;
mod json;
mod operating;
mod owners;
mod people;
mod refusals;
mod remote;
mod serving;
mod tool;
mod tracing;
mod upkeep;
