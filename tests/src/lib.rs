//! The kit of the whole-host tests: built guests, the built binary, and a host on a database of its own.

pub mod built;
pub mod scenario;

pub use built::{component, stepcell_bin};
pub use scenario::Scenario;
