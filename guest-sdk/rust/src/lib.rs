//! Write a Stepcell step or gateway in Rust: a type, typed input and output, one export line.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use stepcell_sdk::{Context, Failure, Schema, Step};
//!
//! #[derive(Deserialize, Schema)]
//! struct Input {
//!     /// Whom to greet.
//!     name: String,
//! }
//!
//! #[derive(Serialize, Schema)]
//! struct Output {
//!     greeting: String,
//! }
//!
//! struct Greet;
//!
//! impl Step for Greet {
//!     type Input = Input;
//!     type Output = Output;
//!
//!     fn execute(input: Input, ctx: &mut Context) -> Result<Output, Failure> {
//!         ctx.set("greeted", &input.name)?;
//!         Ok(Output { greeting: format!("Hello, {}!", input.name) })
//!     }
//! }
//!
//! stepcell_sdk::export!(Greet);
//! # fn main() {}
//! ```
//!
//! Make the crate a `cdylib` and build it with `cargo build --target wasm32-wasip2 --release`: the file that comes out
//! is the step. Steps also build natively, so that `cargo test` runs them against a [`MockContext`].
//!
//! Reading order: [`Step`] and [`Gateway`] (what an author writes), [`Context`] (what a step may do), [`http`] (how it reaches others), [`Failure`] (how it says no),
//! [`Schema`] (how its types become part of the component), [`MockContext`] (how it is tested).

// Doc tests, and the derives used in this crate's own tests, name the crate as authors do.
extern crate self as stepcell_sdk;

mod access;
#[doc(hidden)]
pub mod bindings;
mod context;
mod export;
mod failure;
mod gateway;
#[doc(hidden)]
pub mod glue;
pub mod http;
mod mock;
pub mod schema;
mod source;
mod step;
mod text;

pub use access::AccessError;
pub use bindings::stepcell::step::log::Level;
pub use bindings::stepcell::step::types::{ExecutionInfo, StepStatus};
pub use context::{Context, ReadContext, StepExecution};
pub use failure::Failure;
pub use gateway::Gateway;
pub use mock::{LogLine, MockContext};
pub use schema::Schema;
pub use serde;
pub use serde_json;
pub use serde_json::{Value, json};
pub use step::Step;
pub use stepcell_sdk_macros::Schema;
pub use text::Text;
