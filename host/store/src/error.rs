//! What can go wrong with a store, and what to do about it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use stepcell_model::id::{DefinitionId, InstanceId};
use stepcell_model::name::WorkflowName;

/// Why a store did not do what it was asked to. Nothing of the refused request is stored.
///
/// Cloneable, because one failing flush is told to everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else moved the instance first. Load it again and decide again.
    #[error(
        "instance {instance} is at transition {found}, not {expected}: somebody else moved it first; load it again and \
         decide again"
    )]
    Stale {
        /// The instance.
        instance: InstanceId,
        /// The number of the transition that the refused one builds on; 0 for a start.
        expected: u64,
        /// The number of the instance's last transition; 0 if there is no such instance.
        found: u64,
    },
    /// The tenant has started an instance with this idempotency key before. Answer with that one.
    #[error("an instance with this idempotency key exists: {existing}; use that one, or start with another key")]
    DuplicateStart {
        /// The instance that was started first.
        existing: InstanceId,
    },
    /// An instance was to start on a definition that is not, or no longer, in the store.
    #[error("definition {definition} is not in the store; register it again, or start on a version that is there")]
    UnknownDefinition {
        /// The definition.
        definition: DefinitionId,
    },
    /// A name and version are taken by something else.
    #[error("{what} is registered with other content; versions are immutable, so register the change as a new version")]
    Conflict {
        /// What is there already, such as `workflow expense@1.2.0`.
        what: String,
    },
    /// A workflow of one owner has as many versions as it may have.
    #[error("workflow {name} has {max} versions, the most there may be; remove old ones before you register another")]
    TooManyVersions {
        /// The workflow.
        name: WorkflowName,
        /// How many there may be.
        max: usize,
    },
    /// A row does not read back.
    #[error("stored data is damaged: {what}; stop writing to the database and restore it from a backup")]
    Damaged {
        /// Which row, and what is wrong with it.
        what: String,
    },
    /// The database was written by a newer version.
    #[error("the database has schema {found}, this version knows {known}; run the newer version that wrote it")]
    Newer {
        /// The database's schema.
        found: u32,
        /// The newest schema that this version knows.
        known: u32,
    },
    /// The database needs a migration, and it was opened for reading.
    #[error("the database has schema {found}, this version reads {known}; open it once for writing to migrate it")]
    Older {
        /// The database's schema.
        found: u32,
        /// The schema that this version reads.
        known: u32,
    },
    /// There is no room left. Nothing is lost: the request can be repeated once there is.
    #[error("the disk that holds the database is full; make room and try again, nothing that was acknowledged is lost")]
    Full,
    /// The database can not be reached right now: I/O failed, or another process held it for too long.
    #[error("can not {action}: {source}; check the disk and other processes on the database, then try again")]
    Unavailable {
        /// What was tried.
        action: String,
        /// What stood in the way.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Writing failed in a way that leaves open how much of it reached the disk. The store takes no more work: whoever
    /// opens it anew reads what is on disk. Whatever was acknowledged is kept; what was refused is there whole, or not.
    #[error(
        "the store takes no more work, because it could not {action}: {source}; how much of that reached the disk is not \
         known, so check the disk and start this process again: what was acknowledged is kept, and is read anew"
    )]
    Stopped {
        /// What was tried.
        action: String,
        /// What stood in the way.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Something that was acknowledged is not in the database's log any more. Nothing was touched.
    #[error(
        "`{}` has lost what was acknowledged: {what}; nothing was touched: restore a backup, or open it in a way that \
         accepts the loss",
        path.display()
    )]
    Lost {
        /// The database.
        path: PathBuf,
        /// How that is known.
        what: String,
    },
    /// The file is no database of this engine. It was left untouched.
    #[error("`{}` is not a stepcell database ({reason}); the file was left untouched, name another one", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store was opened for reading only.
    #[error("the store was opened for reading only; open it for writing to change something")]
    ReadOnly,
    /// The store was closed.
    #[error("the store is closed; open it again")]
    Closed,
}

impl StoreError {
    /// Whether the request was refused by what is stored, so that repeating it as it is can not help.
    ///
    /// Everything else is the store's own trouble: the same request may succeed later.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Stale { .. }
                | Self::DuplicateStart { .. }
                | Self::UnknownDefinition { .. }
                | Self::Conflict { .. }
                | Self::TooManyVersions { .. }
                | Self::ReadOnly
        )
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
