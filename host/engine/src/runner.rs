//! The wall to whoever runs steps.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::attempt::{AttemptReport, HookReport, StepCall};
use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::failure::Failure;
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, TenantId};

/// Runs attempts of steps. What goes wrong inside a step is a value of its report, never an error or a panic.
///
/// Dropping a future that one of the calls returned stops the attempt.
#[async_trait]
pub trait StepRunner: Send + Sync + 'static {
    /// Reads what a component is without running anything of it.
    ///
    /// # Errors
    /// [`ComponentRefused`] if it does not fit the contract.
    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused>;

    /// Makes a component ready to be run, in the turn of the tenant who supplied it.
    ///
    /// # Errors
    /// [`ComponentRefused`] if it can not be compiled or linked.
    async fn prepare(
        &self,
        tenant: Option<&TenantId>,
        digest: ComponentDigest,
        bytes: Arc<[u8]>,
    ) -> Result<(), ComponentRefused>;

    /// Whether a component is ready to be run.
    fn is_prepared(&self, digest: &ComponentDigest) -> bool;

    /// Runs one attempt: `can-execute`, `execute`, `on-success`.
    async fn run(&self, call: StepCall) -> AttemptReport;

    /// Asks a gateway which of `targets` to follow: `evaluate`. What succeeds holds a JSON array of the names that it
    /// gave, as they came; whether they are targets is for the model to say.
    async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport;

    /// Runs `on-failure`.
    async fn run_failure_hook(&self, call: StepCall, failure: Failure) -> HookReport;
}

/// What a component is.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentFacts {
    /// What it can be used as.
    pub exports: ComponentExports,
    /// What it can make use of, if it is granted.
    pub capabilities: Vec<Capability>,
    /// What it says of itself.
    pub manifest: Option<Json>,
}

/// A component that does not fit; says what was found, what is needed and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ComponentRefused {
    /// The whole story in one line.
    pub reason: String,
}
