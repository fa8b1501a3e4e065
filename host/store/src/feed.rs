//! History for whoever follows it: the rows of some instances, each with whose it is, window by window.

use async_trait::async_trait;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};

use crate::error::StoreError;

/// How many rows of history one call passes over at most while it looks for those that match. Protects the readers' time
/// from a tenant who follows what next to nothing happens to, beside others to whom much does.
pub const WINDOW_LEN_MAX: u64 = 2_000;

/// Which rows of history to read; every part that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only rows of this instance.
    pub instance: Option<InstanceId>,
    /// Only rows of this tenant's instances.
    pub tenant: Option<TenantId>,
    /// Only rows of instances of this workflow, of any version.
    pub workflow: Option<WorkflowName>,
}

/// A row of history, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    /// The row.
    pub entry: HistoryEntry,
    /// The tenant of its instance.
    pub tenant: Option<TenantId>,
    /// The workflow of its instance.
    pub workflow: WorkflowName,
}

impl HistoryFilter {
    /// Whether it matches a row.
    #[must_use]
    pub fn fits(&self, row: &HistoryRow) -> bool {
        self.instance.is_none_or(|instance| row.entry.instance == instance)
            && (self.tenant.is_none() || row.tenant == self.tenant)
            && self.workflow.as_ref().is_none_or(|workflow| row.workflow == *workflow)
    }
}

/// Some rows of history, and how far they were looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryWindow {
    /// The rows that match, in order.
    pub rows: Vec<HistoryRow>,
    /// Up to this position there are no others: go on after it.
    pub up_to: u64,
}

/// Reads history for those who follow it.
#[async_trait]
pub trait FeedStore: Send + Sync + 'static {
    /// The rows of history after `position` that match, in order; at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    ///
    /// Passes over no more than [`WINDOW_LEN_MAX`] others, so that it may find nothing though there is more: the end is
    /// where `up_to` does not grow. A row never appears before one that was passed over: whoever goes on at `up_to` misses
    /// nothing. What it takes to find the rows of one instance does not depend on how much happened to others.
    async fn list_window(&self, filter: &HistoryFilter, position: u64, limit: u32)
    -> Result<HistoryWindow, StoreError>;
}
