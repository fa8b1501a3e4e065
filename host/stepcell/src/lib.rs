//! Stepcell: every step in its own cell.
//!
//! The face of the engine for programs that embed it. [`LocalExecutionEngine`] and [`PersistentExecutionEngine`] start,
//! drive and finish instances of a [`WorkflowDefinition`], whose steps are WebAssembly components, people, or a [`Step`] of
//! the program itself. [`Host`] is the same with everything to choose; the `stepcell` binary is one. Names follow the Python
//! library litestar-workflows where it has one; `docs/seed.md` says which is which.
//!
//! # Examples
//! ```
//! use serde_json::json;
//! use stepcell::{ExecutionEngine as _, LocalExecutionEngine, WorkflowDefinition, WorkflowStatus};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let engine = LocalExecutionEngine::open(|_| Ok(())).await?;
//! let definition = WorkflowDefinition::from_text(
//!     "
//! schema: stepcell/v1
//! name: approval
//! version: 1.0.0
//! initial_step: review
//! steps:
//!   review: { type: human, title: Look at it }
//! ",
//! )?;
//! engine.registry().register_definition(definition).await?;
//! let instance = engine.start_workflow(&"approval".parse()?, json!({}).into(), None).await?;
//! assert_eq!(instance.status, WorkflowStatus::Waiting);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod execution;
pub mod host;
mod host_key;
pub mod hostile;
pub mod lock;
mod runner;

pub use stepcell_engine as engine;
pub use stepcell_model as model;
pub use stepcell_server as server;
pub use stepcell_store as store;

pub use self::execution::{LocalExecutionEngine, PersistentExecutionEngine};
pub use self::host::{Access, Host, HostBuilder, HostError};
pub use self::host_key::{HostKeyError, host_key_made_in, host_key_of_file, host_key_of_text};
pub use semver::Version;
pub use stepcell_engine::{
    EngineError, Executed, ExecutionEngine, Gateway, HumanTaskRepository, StartRequest, Step, StepExecutionRepository,
    Versions, WorkflowContext, WorkflowDefinitionRepository, WorkflowEngine, WorkflowInstanceRepository,
    WorkflowRegistry, execute_step,
};
pub use stepcell_model::definition::{
    ComponentRef, ConditionalGroup, Edge, GatewayStep, HumanStep, MachineStep, ParallelGroup, SequentialGroup,
    SignalStep, StepDefinition, TimerStep, WebhookStep, WorkflowDefinition, WorkflowStep,
};
pub use stepcell_model::failure::Failure;
pub use stepcell_model::graph::WorkflowGraph;
pub use stepcell_model::id::InstanceId;
pub use stepcell_model::json::Json;
pub use stepcell_model::status::{StepStatus, StepType, WorkflowStatus};
pub use stepcell_model::transition::Actor;
pub use stepcell_sandbox::{ChildCommand, CompileLimits, Compiler, Isolation, be_child, child_main};
