//! The command line as its users meet it: the built binary, its exit codes, and what it says.

mod database;
mod definitions;
mod driving;
mod json;
mod people;
mod refusals;
mod tool;
