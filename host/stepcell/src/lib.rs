//! Stepcell: every step in its own cell.
//!
//! The face of the engine for programs that embed it, and the place where everything is put together: [`Host`] opens
//! a store, a sandbox and an engine over both. The `stepcell` binary is the same for the command line.

pub mod host;
pub mod lock;
mod runner;

pub use stepcell_engine as engine;
pub use stepcell_model as model;
pub use stepcell_store as store;

pub use self::host::{Access, Host, HostBuilder, HostError};
pub use semver::Version;
pub use stepcell_engine::{EngineError, StartRequest, WorkflowEngine, WorkflowRegistry};
pub use stepcell_model::definition::{Edge, WorkflowDefinition};
pub use stepcell_model::status::{StepStatus, StepType, WorkflowStatus};
