//! The runs of workflows.

use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, UserId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::WorkflowStatus;
use stepcell_store::{InstanceFilter, Page, PageLimit};

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// The instances there are, newest first.
///
/// # Examples
/// ```
/// # use stepcell_engine::{EngineError, WorkflowEngine, WorkflowInstanceRepository};
/// # use stepcell_model::status::WorkflowStatus;
/// # use stepcell_store::PageLimit;
/// # async fn example(engine: &WorkflowEngine) -> Result<(), EngineError> {
/// let instances = WorkflowInstanceRepository::new(engine);
/// let name = "approval".parse().expect("letters are a name");
/// let waiting = instances.find_by_workflow(&name, Some(WorkflowStatus::Waiting), PageLimit::default(), 0).await?;
/// println!("{} of {} instances that wait", waiting.items.len(), waiting.total);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WorkflowInstanceRepository(WorkflowEngine);

impl WorkflowInstanceRepository {
    /// The instances of an engine.
    #[must_use]
    pub fn new(engine: &WorkflowEngine) -> Self {
        Self(engine.clone())
    }

    /// The instances of a workflow, of any version, with one status or any.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_by_workflow(
        &self,
        workflow: &WorkflowName,
        status: Option<WorkflowStatus>,
        limit: PageLimit,
        offset: u64,
    ) -> Result<Page<InstanceSummary>, EngineError> {
        let filter = InstanceFilter { workflow: Some(workflow.clone()), ..with(status) };
        self.list(InstanceFilter { limit, offset, ..filter }).await
    }

    /// The instances that a user started, with one status or any; the newest where there are more than a page holds.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_by_user(
        &self,
        user: &UserId,
        status: Option<WorkflowStatus>,
    ) -> Result<Page<InstanceSummary>, EngineError> {
        self.list(InstanceFilter { created_by: Some(user.clone()), ..with(status) }).await
    }

    /// The instances of a tenant, with one status or any.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_by_tenant(
        &self,
        tenant: &TenantId,
        status: Option<WorkflowStatus>,
        limit: PageLimit,
        offset: u64,
    ) -> Result<Page<InstanceSummary>, EngineError> {
        let filter = InstanceFilter { tenant: Some(tenant.clone()), ..with(status) };
        self.list(InstanceFilter { limit, offset, ..filter }).await
    }

    /// The instances that run or wait; the newest where there are more than a page holds.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_running(&self) -> Result<Page<InstanceSummary>, EngineError> {
        self.list(InstanceFilter { statuses: vec![WorkflowStatus::Running, WorkflowStatus::Waiting], ..with(None) })
            .await
    }

    /// Brings an instance to a status that somebody may bring it to, and says how it stands then; none if there is no
    /// such instance.
    ///
    /// Only the engine moves instances: `canceled` cancels one with `reason`, `paused` holds it, `running` lets one go on
    /// that was held. The rest is refused.
    ///
    /// # Errors
    /// [`EngineError::InvalidTransition`] with what to call instead, for a status that only its steps bring an instance to,
    /// or if it is held already or not held; [`EngineError::AlreadyCompleted`] if it is finished.
    pub async fn update_status(
        &self,
        id: InstanceId,
        status: WorkflowStatus,
        reason: Option<&str>,
    ) -> Result<Option<InstanceSummary>, EngineError> {
        let Some(instance) = self.0.store().find_instance(id).await? else { return Ok(None) };
        match status {
            WorkflowStatus::Canceled => self.0.cancel_workflow(id, reason.unwrap_or("canceled")).await?,
            WorkflowStatus::Paused => self.0.pause(id, None).await?,
            WorkflowStatus::Running if instance.status == WorkflowStatus::Paused => self.0.resume(id, None).await?,
            WorkflowStatus::Running
            | WorkflowStatus::Pending
            | WorkflowStatus::Waiting
            | WorkflowStatus::Completed
            | WorkflowStatus::Failed => return Err(only_by_steps(&instance, status)),
        }
        self.0.get_instance(id).await.map(Some)
    }

    async fn list(&self, filter: InstanceFilter) -> Result<Page<InstanceSummary>, EngineError> {
        Ok(self.0.store().list_instances(&filter).await?)
    }
}

/// The longest page of those with one status, or with any.
fn with(status: Option<WorkflowStatus>) -> InstanceFilter {
    InstanceFilter { statuses: status.into_iter().collect(), limit: PageLimit::MAX, ..InstanceFilter::default() }
}

/// Says why nobody brings an instance to a status, and what to call instead.
fn only_by_steps(instance: &InstanceSummary, to: WorkflowStatus) -> EngineError {
    let why = match to {
        WorkflowStatus::Running if instance.status == WorkflowStatus::Failed => "try it again with `retry`",
        WorkflowStatus::Running => "an instance runs by itself as soon as something of it can move",
        WorkflowStatus::Pending => "an instance is never pending again; start another one with `start_workflow`",
        WorkflowStatus::Waiting => "an instance waits by itself when every branch of it does",
        WorkflowStatus::Failed => "an instance fails with a step of it; end it with `cancel_workflow`",
        WorkflowStatus::Completed | WorkflowStatus::Paused | WorkflowStatus::Canceled => {
            "an instance completes with its last branch; complete its tasks with `complete_task`"
        }
    };
    EngineError::InvalidTransition {
        what: format!("instance {}", instance.identity.id),
        from: instance.status.to_string(),
        to: to.to_string(),
        why: why.to_owned(),
    }
}
