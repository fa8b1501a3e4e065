//! The kit of the whole-host tests: built guests, the built binary, a host on a database of its own, and the worked
//! examples on such a host.

pub mod built;
pub mod example;
pub mod scenario;

pub use built::{component, stepcell_bin};
pub use example::Example;
pub use scenario::Scenario;
