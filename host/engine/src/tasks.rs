//! What people do with their tasks.

use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::instance::{Phase, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, UserId};
use stepcell_model::record::TaskRecord;
use stepcell_model::status::TaskStatus;
use stepcell_model::transition::{Actor, Cause};

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

impl WorkflowEngine {
    /// Completes the pending task of a human step.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`], [`EngineError::TaskNotFound`] if no task
    /// of that step is pending, [`EngineError::TaskUnauthorized`], [`EngineError::InvalidData`] with every wrong field.
    pub async fn complete_human_task(
        &self,
        instance: InstanceId,
        step: &StepName,
        actor: Actor,
        data: Json,
    ) -> Result<(), EngineError> {
        let cause_for = |loaded: &mut WorkflowInstance| {
            let task = pending_task(loaded, step)?;
            Ok(Cause::TaskCompleted { task, actor: actor.clone(), data: data.clone(), comment: None })
        };
        self.inner.change(instance, cause_for).await
    }

    /// Completes a task by its id, with a comment.
    ///
    /// # Errors
    /// As [`Self::complete_human_task`], and [`EngineError::TaskAlreadyCompleted`] if somebody was first.
    pub async fn complete_task(
        &self,
        task: TaskId,
        actor: Actor,
        data: Json,
        comment: Option<String>,
    ) -> Result<(), EngineError> {
        let cause = Cause::TaskCompleted { task, actor, data, comment };
        self.change_task(task, cause).await
    }

    /// Takes an unassigned task.
    ///
    /// # Errors
    /// As [`Self::complete_task`]; [`EngineError::TaskUnauthorized`] if it is somebody's already.
    pub async fn claim_task(&self, task: TaskId, actor: Actor) -> Result<(), EngineError> {
        self.change_task(task, Cause::TaskClaimed { task, actor }).await
    }

    /// Gives a task to somebody else.
    ///
    /// # Errors
    /// [`EngineError::TaskNotFound`], [`EngineError::TaskAlreadyCompleted`].
    pub async fn reassign_task(
        &self,
        task: TaskId,
        to: UserId,
        reason: &str,
        by: Option<UserId>,
    ) -> Result<(), EngineError> {
        self.change_task(task, Cause::TaskReassigned { task, to, reason: reason.to_owned(), by }).await
    }

    /// A task as it stands.
    ///
    /// # Errors
    /// [`EngineError::TaskNotFound`].
    pub async fn get_task(&self, task: TaskId) -> Result<TaskRecord, EngineError> {
        let found = self.inner.store.find_task(task).await?;
        found.ok_or_else(|| EngineError::TaskNotFound { what: format!("task {task}") })
    }

    async fn change_task(&self, task: TaskId, cause: Cause) -> Result<(), EngineError> {
        let record = self.get_task(task).await?;
        let result = match record.status {
            TaskStatus::Pending => self.inner.change(record.instance, |_| Ok(cause.clone())).await,
            TaskStatus::Completed | TaskStatus::Canceled => {
                return Err(EngineError::TaskAlreadyCompleted { task, status: record.status });
            }
        };
        match result {
            // Somebody was first between our look and our commit: say what became of the task instead.
            Err(EngineError::TaskNotFound { .. } | EngineError::AlreadyCompleted { .. }) => {
                let status = self.get_task(task).await?.status;
                Err(EngineError::TaskAlreadyCompleted { task, status })
            }
            other => other,
        }
    }
}

fn pending_task(instance: &WorkflowInstance, step: &StepName) -> Result<TaskId, EngineError> {
    let id = instance.identity.id;
    if instance.state.status.is_finished() {
        return Err(EngineError::AlreadyCompleted { id, status: instance.state.status });
    }
    let waiting = instance.state.control.active.iter().find_map(|active| match &active.phase {
        Phase::AwaitingTask { task, .. } if active.step == *step => Some(*task),
        _ => None,
    });
    waiting.ok_or_else(|| EngineError::TaskNotFound { what: format!("pending task of step `{step}` in instance {id}") })
}
