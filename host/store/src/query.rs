//! What callers ask for and what they are told: filters, pages, outcomes.

mod catalog;

pub use self::catalog::{CatalogKey, ComponentFilter, DefinitionFilter, Owners};

use serde::{Deserialize, Serialize};
use stepcell_model::chain::ChainHash;
use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::name::{GroupId, TenantId, UserId, WorkflowName};
use stepcell_model::record::TaskRecord;
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;

/// The most rows that one call returns where it takes a limit. Protects memory and the readers' time.
pub const LIST_LEN_MAX: u32 = 1_000;

/// What inserting something immutable came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It was not there before.
    New,
    /// The same was there already; nothing changed.
    AlreadyThere,
}

/// What inserting something came to of which one owner may have only so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It was not there before.
    New,
    /// The same was there already; nothing changed.
    AlreadyThere,
    /// The owner has as many as it may have; nothing changed.
    Full,
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The place of the transition's history row among all rows of the store, from 1.
    pub position: u64,
    /// The link of the transition in its instance's chain; the next one goes on from it.
    pub chain: ChainHash,
}

/// The place of a letter among all letters of the store, in the order of their commits; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterKey(pub u64);

/// What deleting a definition came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It was there and is gone.
    Deleted,
    /// It was not there.
    NotThere,
    /// Instances refer to it; it stays.
    InUse {
        /// How many, finished ones included.
        instances: u64,
    },
}

/// Whether new instances may start on a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// They may.
    Active,
    /// They may not; what runs goes on.
    Inactive,
}

impl Activity {
    /// The activity as the record's field has it.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Active)
    }
}

/// How many rows a page holds at most: 1 to [`LIST_LEN_MAX`], 100 unless told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u32);

impl PageLimit {
    /// The longest page.
    pub const MAX: Self = Self(LIST_LEN_MAX);

    /// The limit nearest to `rows` that a page may have.
    #[must_use]
    pub const fn clamped(rows: u32) -> Self {
        match rows {
            0 => Self(1),
            rows if rows > LIST_LEN_MAX => Self(LIST_LEN_MAX),
            rows => Self(rows),
        }
    }

    /// The number of rows.
    #[must_use]
    pub const fn rows(self) -> u32 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(100)
    }
}

/// Some rows of a longer list.
///
/// The next page is had by the filter's `after`, the place of the last row: rows that come or go meanwhile make it neither
/// skip one nor tell one twice, as they would with an `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows the filter matches in all, whatever page.
    pub total: u64,
}

/// Which instances to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct InstanceFilter {
    /// Only instances of this workflow, of any version.
    pub workflow: Option<WorkflowName>,
    /// Only instances with one of these statuses; all if empty.
    pub statuses: Vec<WorkflowStatus>,
    /// Only this tenant's instances.
    pub tenant: Option<TenantId>,
    /// Only instances that this user started.
    pub created_by: Option<UserId>,
    /// Only instances that were started with this correlation id, by any tenant.
    pub correlation_id: Option<String>,
    /// Only instances that steps of this instance started.
    pub parent: Option<InstanceId>,
    /// Only what comes after this instance in the list: what is older.
    pub after: Option<InstanceId>,
    /// The length of the page.
    pub limit: PageLimit,
    /// How many matching instances to pass over first.
    pub offset: u64,
}

/// Which tasks to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only tasks of this instance.
    pub instance: Option<InstanceId>,
    /// Only tasks that are assigned to this user, or to nobody.
    pub assignee: Option<UserId>,
    /// Only tasks of this group, or of none.
    pub group: Option<GroupId>,
    /// Only tasks with this status.
    pub status: Option<TaskStatus>,
    /// Only pending tasks that were due before this time.
    pub overdue_at: Option<Timestamp>,
    /// Only this tenant's tasks.
    pub tenant: Option<TenantId>,
    /// Only what comes after this place in the list.
    pub after: Option<TaskPlace>,
    /// The length of the page.
    pub limit: PageLimit,
    /// How many matching tasks to pass over first.
    pub offset: u64,
}

/// The place of a task in lists: by due time, those without one last, then by time of creation, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlace {
    /// Until when it is to be done.
    pub due_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The task.
    pub id: TaskId,
}

impl TaskPlace {
    /// The place of a task.
    #[must_use]
    pub const fn of(task: &TaskRecord) -> Self {
        Self { due_at: task.due_at, created_at: task.created_at, id: task.id }
    }

    /// What the order goes by.
    pub(crate) const fn order(&self) -> (bool, Option<Timestamp>, Timestamp, TaskId) {
        (self.due_at.is_none(), self.due_at, self.created_at, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_at_least_one_row_and_at_most_the_longest_pages() {
        for (asked, given) in [(0, 1), (1, 1), (50, 50), (LIST_LEN_MAX, LIST_LEN_MAX), (u32::MAX, LIST_LEN_MAX)] {
            assert_eq!(PageLimit::clamped(asked).rows(), given, "{asked}");
        }
    }
}
