//! Moves instances: registry, scheduler, executor, retries, recovery and events.
//!
//! The engine decides nothing about what a workflow means: [`stepcell_model::transition`] does. It knows no database
//! (a [`WorkflowStore`](stepcell_store::WorkflowStore) keeps what was decided) and no WebAssembly (a [`StepRunner`]
//! runs attempts). Reading order: [`engine`], then the driver of one instance, then the scheduler.

/// Whether to go on after a place at which a test may let the engine fail or end: see `fail.rs`.
#[cfg(feature = "failpoints")]
macro_rules! fail_point {
    ($inner:expr, $point:ident) => {
        $inner.fails.reach($crate::fail::FailPoint::$point, None).await
    };
    ($inner:expr, $point:ident, $kind:expr) => {
        $inner.fails.reach($crate::fail::FailPoint::$point, Some($kind)).await
    };
}

/// Nothing: there are fail points in tests alone.
#[cfg(not(feature = "failpoints"))]
macro_rules! fail_point {
    ($inner:expr, $point:ident $(, $kind:expr)?) => {{
        let _ = &$inner;
        Ok::<(), stepcell_store::StoreError>(())
    }};
}

mod access;
mod alone;
pub mod clock;
mod component_step;
pub mod context;
mod counts;
mod deadline;
mod driver;
pub mod engine;
pub mod error;
mod events;
mod execution;
#[cfg(feature = "failpoints")]
pub mod fail;
mod finishing;
mod fresh;
mod gateway;
mod guard;
mod ids;
mod letters;
mod native;
mod operate;
mod quotas;
pub mod registry;
mod repository;
mod room;
pub mod runner;
mod scheduler;
mod sealing;
mod settle;
pub mod signing;
mod start;
pub mod step;
mod tasks;
mod waiters;
pub mod webhooks;
mod why;

pub use self::access::{KEY_GROUPS_LEN_MAX, KEY_ROOM, NewKey};
pub use self::alone::{Executed, execute_step};
pub use self::clock::{Clock, SimulatedClock, Sleep, SystemClock};
pub use self::context::WorkflowContext;
pub use self::counts::{AttemptClass, COMMIT_CLASSES_US, EngineCounts};
pub use self::engine::{EngineOptions, Tracing, WorkflowEngine};
pub use self::error::EngineError;
pub use self::events::{EventFeed, EventFilter, FeedStart, Listening};
pub use self::execution::ExecutionEngine;
pub use self::finishing::Finishing;
pub use self::fresh::Freshness;
pub use self::gateway::Gateway;
pub use self::guard::SECRETS_LEN_MAX;
pub use self::ids::{IdSource, RandomIds};
pub use self::operate::CancelRequest;
pub use self::registry::{
    Acceptance, NewComponent, RegisteredComponent, RegisteredDefinition, RegistryView, Resolved, Versions,
    WorkflowRegistry,
};
pub use self::repository::{
    HumanTaskRepository, StepExecutionRepository, WorkflowDefinitionRepository, WorkflowInstanceRepository,
};
pub use self::runner::{ComponentFacts, ComponentRefused, StepRunner};
pub use self::scheduler::Driving;
pub use self::sealing::{Sealer, Unsealable};
pub use self::start::{StartRequest, Started};
pub use self::step::Step;
pub use self::webhooks::{CallbackAddress, Delivered, Delivery};
pub use stepcell_model::event_type::EventType;
