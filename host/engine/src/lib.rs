//! Moves instances: registry, scheduler, executor, retries, recovery and events.
//!
//! The engine decides nothing about what a workflow means: [`stepcell_model::transition`] does. It knows no database
//! (a [`WorkflowStore`](stepcell_store::WorkflowStore) keeps what was decided) and no WebAssembly (a [`StepRunner`]
//! runs attempts). Reading order: [`engine`], then the driver of one instance, then the scheduler.

mod alone;
pub mod clock;
mod component_step;
pub mod context;
mod deadline;
mod driver;
pub mod engine;
pub mod error;
mod events;
mod execution;
mod gateway;
mod guard;
mod ids;
mod letters;
mod native;
mod operate;
pub mod registry;
mod repository;
mod room;
pub mod runner;
mod scheduler;
mod settle;
mod start;
pub mod step;
mod tasks;
mod waiters;
pub mod webhooks;
mod why;

pub use self::alone::{Executed, execute_step};
pub use self::clock::{Clock, SimulatedClock, Sleep, SystemClock};
pub use self::context::WorkflowContext;
pub use self::engine::{EngineOptions, WorkflowEngine};
pub use self::error::EngineError;
pub use self::events::{EventFeed, EventFilter, FeedStart, Listening};
pub use self::execution::ExecutionEngine;
pub use self::gateway::Gateway;
pub use self::ids::{IdSource, RandomIds};
pub use self::operate::CancelRequest;
pub use self::registry::{
    Acceptance, NewComponent, RegisteredComponent, RegisteredDefinition, Resolved, Versions, WorkflowRegistry,
};
pub use self::repository::{
    HumanTaskRepository, StepExecutionRepository, WorkflowDefinitionRepository, WorkflowInstanceRepository,
};
pub use self::runner::{ComponentFacts, ComponentRefused, StepRunner};
pub use self::scheduler::Driving;
pub use self::start::StartRequest;
pub use self::step::Step;
pub use self::webhooks::{CallbackAddress, Delivered, Delivery};
pub use stepcell_model::event_type::EventType;
