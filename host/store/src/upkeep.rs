//! What operators do with what is kept: hold it against its chains, and let go of what is old.

use async_trait::async_trait;
use stepcell_model::chain::{ChainHead, ChainLink};
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;

use crate::error::StoreError;

/// A row of history with its link, and where its instance's chain ended at the moment when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLink {
    /// What the instance's own row says.
    pub head: ChainHead,
    /// The row; none if there is none of the instance after the one that was asked for.
    pub link: Option<ChainLink>,
}

/// Which finished instances may go; every part that is given must hold.
#[derive(Clone, Debug)]
pub struct PruneFilter {
    /// Only those that finished before this time.
    pub ended_before: Timestamp,
    /// Only those that finished so; however, if empty. A status that is no end matches nothing.
    pub statuses: Vec<WorkflowStatus>,
    /// Only instances of this workflow, of any version.
    pub workflow: Option<WorkflowName>,
    /// Only this tenant's instances.
    pub tenant: Option<TenantId>,
}

impl PruneFilter {
    /// The ends that it matches.
    #[must_use]
    pub fn ends(&self) -> Vec<WorkflowStatus> {
        let is_wanted = |status: &WorkflowStatus| self.statuses.is_empty() || self.statuses.contains(status);
        WorkflowStatus::ALL.iter().copied().filter(|status| status.is_finished() && is_wanted(status)).collect()
    }
}

/// A finished instance that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prunable {
    /// The instance.
    pub id: InstanceId,
    /// Its workflow.
    pub workflow: WorkflowName,
    /// How it finished.
    pub status: WorkflowStatus,
    /// When.
    pub completed_at: Timestamp,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The instances.
    pub instances: Vec<InstanceId>,
    /// How many rows they were, over all tables.
    pub rows: u64,
}

/// Reads rows as they are kept, and deletes what nobody needs any more.
///
/// # Errors
/// As those of [`WorkflowStore`](crate::WorkflowStore).
#[async_trait]
pub trait UpkeepStore: Send + Sync + 'static {
    /// The rows of history of one instance after transition `after_seq`, in order, with their links; at most
    /// [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    ///
    /// Where there is no such row, one [`KeptLink`] without it tells how the chain ends; nothing if there is no instance.
    async fn list_links_of(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<KeptLink>, StoreError>;

    /// The rows of history of all instances after one of them, by instance and number, with their links; at most
    /// [`LIST_LEN_MAX`](crate::LIST_LEN_MAX). An instance that has none is told once, without a row.
    async fn list_links(&self, after: Option<(InstanceId, u64)>, limit: u32) -> Result<Vec<KeptLink>, StoreError>;

    /// Finished instances after `after` that match, by id, at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    ///
    /// Not among them: those whose parent or one of whose children is not finished, and that of the newest row of history.
    /// So a position is never given twice, and whoever resumes at one goes on.
    async fn list_prunable(
        &self,
        filter: &PruneFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Prunable>, StoreError>;

    /// Deletes those of the instances that [`Self::list_prunable`] would still name and no letter is about, with all their
    /// rows; of the first [`LIST_LEN_MAX`](crate::LIST_LEN_MAX), and in one transaction.
    ///
    /// Their idempotency keys are free from then on. What their tenants used stays.
    async fn prune(&self, filter: &PruneFilter, instances: &[InstanceId]) -> Result<Pruned, StoreError>;
}
