//! Whether a store still takes work: after a flush that failed it does not, for as long as the process lives.

use std::sync::{Arc, OnceLock};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::failure::{during, is_in_doubt};
use crate::error::StoreError;

/// Shared by everything of one store that writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<OnceLock<StoreError>>);

impl Fate {
    /// Why the store takes no more work, once it does not.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0.get().cloned().map_or(Ok(()), Err)
    }

    /// Takes note of an error of a connection that writes, and returns what callers are told.
    pub(super) fn take(&self, error: StoreError) -> StoreError {
        if !is_in_doubt(&error) {
            return error;
        }
        let StoreError::Unavailable { action, source } = error else { return error };
        let stopped = self.0.get_or_init(|| StoreError::Stopped { action, source });
        tracing::error!(error = %stopped, "the store stopped");
        stopped.clone()
    }

    /// As [`Self::take`], of what SQLite said while the store tried to do `action`.
    pub(super) fn during(&self, action: &str, error: rusqlite::Error) -> StoreError {
        self.take(during(action, error))
    }

    /// Sees to it that the end of a connection moves nothing any more, if the store has stopped.
    ///
    /// SQLite moves the write-ahead log with the last connection otherwise, and flushes.
    pub(super) fn settle(&self, connection: &Connection) {
        if self.0.get().is_some()
            && let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        {
            tracing::warn!(%error, "the write-ahead log may be moved although the store has stopped");
        }
    }
}
