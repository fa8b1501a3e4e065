//! What every engine can be asked for, whatever store is behind it.

use async_trait::async_trait;
use semver::Version;
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::transition::Actor;
use stepcell_store::LIST_LEN_MAX;

use crate::alone::{Executed, execute_step};
use crate::context::WorkflowContext;
use crate::engine::WorkflowEngine;
use crate::error::EngineError;
use crate::start::StartRequest;
use crate::step::Step;

/// Starts, changes and finishes instances.
///
/// Whatever holds a [`WorkflowEngine`] and says so with [`AsRef`] is one, and behaves the same; [`WorkflowEngine`] itself has
/// more to ask for.
///
/// # Examples
/// ```
/// use stepcell_engine::{EngineError, ExecutionEngine};
/// use stepcell_model::id::InstanceId;
/// use stepcell_model::json::Json;
///
/// /// Starts the newest version of a workflow, on any engine.
/// async fn begin(engine: &dyn ExecutionEngine, data: Json) -> Result<InstanceId, EngineError> {
///     let name = "approval".parse().expect("letters are a name");
///     let instance = engine.start_workflow(&name, data, None).await?;
///     Ok(instance.identity.id)
/// }
/// ```
#[async_trait]
pub trait ExecutionEngine: Send + Sync {
    /// Starts an instance, of the latest active version if none is named. It is durable when this returns.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`], [`EngineError::WorkflowInactive`], [`EngineError::InvalidData`] if the data does not
    /// fit. Nothing is stored then.
    async fn start_workflow(
        &self,
        name: &WorkflowName,
        initial_data: Json,
        version: Option<&Version>,
    ) -> Result<InstanceSummary, EngineError>;

    /// Makes one attempt of a step with all its hooks, and stores nothing; what it wrote is in `context` afterwards.
    ///
    /// # Errors
    /// [`EngineError::StepExecution`] if the step failed.
    async fn execute_step(
        &self,
        step: &dyn Step,
        context: &mut WorkflowContext,
        previous_result: Option<Json>,
    ) -> Result<Executed, EngineError>;

    /// Completes the pending task of a human step; `user` is who does it, with the groups they are in.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`], [`EngineError::TaskNotFound`] if no task of that
    /// step is pending, [`EngineError::TaskUnauthorized`], [`EngineError::InvalidData`] with every wrong field.
    async fn complete_human_task(
        &self,
        instance: InstanceId,
        step: &StepName,
        user: Actor,
        data: Json,
    ) -> Result<(), EngineError>;

    /// Cancels an instance. What runs is interrupted; pending tasks go in the same transaction.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`].
    async fn cancel_workflow(&self, instance: InstanceId, reason: &str) -> Result<(), EngineError>;

    /// Lets a failed instance go on: where it failed, or at an earlier step and everything after it.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]; [`EngineError::AlreadyCompleted`] if it is completed or canceled;
    /// [`EngineError::InvalidTransition`] if it has not failed yet, or has no such step to go back to.
    async fn retry(&self, instance: InstanceId, from_step: Option<&StepName>) -> Result<(), EngineError>;

    /// An instance as it stands.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`].
    async fn get_instance(&self, instance: InstanceId) -> Result<InstanceSummary, EngineError>;

    /// The instances of which something can move by itself right now, in the order of their start.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    async fn get_running_instances(&self) -> Result<Vec<InstanceId>, EngineError>;
}

impl AsRef<Self> for WorkflowEngine {
    fn as_ref(&self) -> &Self {
        self
    }
}

#[async_trait]
impl<E: AsRef<WorkflowEngine> + Send + Sync> ExecutionEngine for E {
    async fn start_workflow(
        &self,
        name: &WorkflowName,
        initial_data: Json,
        version: Option<&Version>,
    ) -> Result<InstanceSummary, EngineError> {
        let request = StartRequest { version: version.cloned(), ..StartRequest::new(name.clone()) };
        WorkflowEngine::start_workflow(self.as_ref(), request.with_data(initial_data)).await
    }

    async fn execute_step(
        &self,
        step: &dyn Step,
        context: &mut WorkflowContext,
        previous_result: Option<Json>,
    ) -> Result<Executed, EngineError> {
        execute_step(step, context, previous_result).await
    }

    async fn complete_human_task(
        &self,
        instance: InstanceId,
        step: &StepName,
        user: Actor,
        data: Json,
    ) -> Result<(), EngineError> {
        WorkflowEngine::complete_human_task(self.as_ref(), instance, step, user, data).await
    }

    async fn cancel_workflow(&self, instance: InstanceId, reason: &str) -> Result<(), EngineError> {
        WorkflowEngine::cancel_workflow(self.as_ref(), instance, reason).await
    }

    async fn retry(&self, instance: InstanceId, from_step: Option<&StepName>) -> Result<(), EngineError> {
        WorkflowEngine::retry(self.as_ref(), instance, from_step, None).await
    }

    async fn get_instance(&self, instance: InstanceId) -> Result<InstanceSummary, EngineError> {
        WorkflowEngine::get_instance(self.as_ref(), instance).await
    }

    async fn get_running_instances(&self) -> Result<Vec<InstanceId>, EngineError> {
        let store = self.as_ref().store();
        let mut running = Vec::new();
        loop {
            let more = store.list_running(running.last().copied(), LIST_LEN_MAX).await?;
            if more.is_empty() {
                return Ok(running);
            }
            running.extend(more.into_iter().map(|(id, _)| id));
        }
    }
}
