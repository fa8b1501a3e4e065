//! The executions of steps.

use stepcell_model::id::InstanceId;
use stepcell_model::name::StepName;
use stepcell_model::record::ExecutionRecord;

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// The executions of steps that are recorded.
///
/// # Examples
/// ```
/// # use stepcell_engine::{EngineError, StepExecutionRepository, WorkflowEngine};
/// # async fn example(engine: &WorkflowEngine) -> Result<(), EngineError> {
/// for (instance, execution) in StepExecutionRepository::new(engine).find_failed(None).await? {
///     println!("{instance}: step {} failed after {} attempts", execution.step, execution.attempts);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StepExecutionRepository(WorkflowEngine);

impl StepExecutionRepository {
    /// The executions of an engine's instances.
    #[must_use]
    pub fn new(engine: &WorkflowEngine) -> Self {
        Self(engine.clone())
    }

    /// The executions of an instance in the order of their start.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_by_instance(&self, instance: InstanceId) -> Result<Vec<ExecutionRecord>, EngineError> {
        let mut executions = self.0.store().list_executions(instance).await?;
        executions.sort_by_key(|execution| (execution.started_at, execution.number));
        Ok(executions)
    }

    /// The latest execution of a step in an instance.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_by_step_name(
        &self,
        instance: InstanceId,
        step: &StepName,
    ) -> Result<Option<ExecutionRecord>, EngineError> {
        let executions = self.0.store().list_executions(instance).await?;
        Ok(executions.into_iter().filter(|execution| execution.step == *step).max_by_key(|execution| execution.number))
    }

    /// The executions that failed for good, of one instance or of all, latest first; at most
    /// [`LIST_LEN_MAX`](stepcell_store::LIST_LEN_MAX).
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_failed(
        &self,
        instance: Option<InstanceId>,
    ) -> Result<Vec<(InstanceId, ExecutionRecord)>, EngineError> {
        Ok(self.0.store().list_failed_executions(instance).await?)
    }
}
