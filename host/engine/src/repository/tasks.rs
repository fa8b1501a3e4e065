//! The tasks of people.

use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::instance::{Active, Phase, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::name::{GroupId, UserId};
use stepcell_model::record::TaskRecord;
use stepcell_model::status::TaskStatus;
use stepcell_model::transition::{Actor, Cause, Compensation};
use stepcell_store::{Page, PageLimit, TaskFilter};

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// The tasks there are, by due time, those without one last.
///
/// # Examples
/// ```
/// # use stepcell_engine::{EngineError, HumanTaskRepository, WorkflowEngine};
/// # use stepcell_model::name::UserId;
/// # use stepcell_model::transition::Actor;
/// # async fn example(engine: &WorkflowEngine, ada: UserId) -> Result<(), EngineError> {
/// let tasks = HumanTaskRepository::new(engine);
/// for task in tasks.find_pending(Some(&ada), None).await?.items {
///     let answer = serde_json::json!({ "approved": true });
///     tasks.complete_task(task.id, Actor::user(ada.clone()), answer.into()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HumanTaskRepository(WorkflowEngine);

impl HumanTaskRepository {
    /// The tasks of an engine's instances.
    #[must_use]
    pub fn new(engine: &WorkflowEngine) -> Self {
        Self(engine.clone())
    }

    /// The pending tasks; with a user only theirs and those of nobody, with a group only its and those of none.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_pending(
        &self,
        assignee: Option<&UserId>,
        group: Option<&GroupId>,
    ) -> Result<Page<TaskRecord>, EngineError> {
        let (assignee, group) = (assignee.cloned(), group.cloned());
        self.list(TaskFilter { assignee, group, status: Some(TaskStatus::Pending), ..longest_page() }).await
    }

    /// All tasks of an instance, finished ones too.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_by_instance(&self, instance: InstanceId) -> Result<Page<TaskRecord>, EngineError> {
        self.list(TaskFilter { instance: Some(instance), ..longest_page() }).await
    }

    /// The pending tasks that were due before now.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_overdue(&self) -> Result<Page<TaskRecord>, EngineError> {
        self.list(TaskFilter { overdue_at: Some(self.0.inner.clock.now()), ..longest_page() }).await
    }

    /// Completes a pending task with what its form asks for, and says how it stands then; none if there is no such task.
    ///
    /// # Errors
    /// [`EngineError::TaskAlreadyCompleted`] if somebody was first, [`EngineError::TaskUnauthorized`],
    /// [`EngineError::InvalidData`] with every wrong field.
    pub async fn complete_task(
        &self,
        id: TaskId,
        completed_by: Actor,
        data: Json,
    ) -> Result<Option<TaskRecord>, EngineError> {
        if self.find(id).await?.is_none() {
            return Ok(None);
        }
        self.0.complete_task(id, completed_by, data, None).await?;
        self.find(id).await
    }

    /// Cancels a pending task together with its instance, and says how it stands then; none if there is no such task.
    ///
    /// A task that went alone would leave its instance waiting for nobody. Where the instance waits for this task alone, it
    /// is canceled as a whole; where other branches would go with it, nothing is, and the caller is told so.
    ///
    /// # Errors
    /// [`EngineError::InvalidTransition`] if the instance has other active branches;
    /// [`EngineError::TaskAlreadyCompleted`] if the task is not pending any more.
    pub async fn cancel_task(&self, id: TaskId) -> Result<Option<TaskRecord>, EngineError> {
        let Some(task) = self.find(id).await? else { return Ok(None) };
        let canceled = self.0.inner.change(task.instance, |instance| cancels(instance, &task)).await;
        match canceled {
            Ok(()) => self.find(id).await,
            // It is finished, or somebody was first between our look and our commit: say what became of the task.
            Err(EngineError::TaskNotFound { .. } | EngineError::AlreadyCompleted { .. }) => {
                let status = self.0.get_task(id).await?.status;
                Err(EngineError::TaskAlreadyCompleted { task: id, status })
            }
            Err(error) => Err(error),
        }
    }

    async fn find(&self, id: TaskId) -> Result<Option<TaskRecord>, EngineError> {
        Ok(self.0.store().find_task(id).await?)
    }

    async fn list(&self, filter: TaskFilter) -> Result<Page<TaskRecord>, EngineError> {
        Ok(self.0.store().list_tasks(&filter).await?)
    }
}

/// What cancels an instance that waits for a task and for nothing else.
fn cancels(instance: &WorkflowInstance, task: &TaskRecord) -> Result<Cause, EngineError> {
    let active = &instance.state.control.active;
    if !active
        .iter()
        .any(|active| matches!(active.phase, Phase::AwaitingTask { task: awaited, .. } if awaited == task.id))
    {
        return Err(EngineError::TaskNotFound { what: format!("pending task {}", task.id) });
    }
    // The groups that the task is a part of wait for it and for nothing else.
    let is_beside =
        |other: &&Active| other.step != task.step && !task.step.as_str().starts_with(&format!("{}/", other.step));
    let waits_twice = active.iter().filter(|active| active.step == task.step).count() > 1;
    if waits_twice || active.iter().any(|other| is_beside(&other)) {
        return Err(EngineError::InvalidTransition {
            what: format!("task {}", task.id),
            from: TaskStatus::Pending.to_string(),
            to: TaskStatus::Canceled.to_string(),
            why: format!(
                "a task goes with its instance, and other branches of {} are active; cancel the instance with \
                 `cancel_workflow`, or give the task to somebody else with `reassign_task`",
                task.instance
            ),
        });
    }
    let reason = format!("the task of step `{}` was canceled", task.step);
    Ok(Cause::Canceled { reason, by: None, compensation: Compensation::None })
}

fn longest_page() -> TaskFilter {
    TaskFilter { limit: PageLimit::MAX, ..TaskFilter::default() }
}
