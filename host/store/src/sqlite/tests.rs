//! What SQLite promises beside the suite: durability, other processes, files that are not ours or older than we are, full disks.

mod backup;
mod durability;
mod faults;
mod files;
mod losses;
mod migrations;
mod plans;
mod processes;
mod readers;
mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Losses, Role, SqliteOptions, SqliteStore};
use crate::conformance::fixture;
use crate::{StoreError, WorkflowStore};

mod suite {
    use super::*;

    fn new_store() -> (Arc<dyn WorkflowStore>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (open(&folder.path().join("store.db")), folder)
    }

    crate::conformance_suite!(new_store);
}

/// Short enough that a test may wait for it.
const OPTIONS: SqliteOptions = SqliteOptions {
    readers_max: 4,
    busy_timeout: Duration::from_millis(500),
    role: Role::Driver,
    losses: Losses::Refuse,
    vfs: None,
};

fn open(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, OPTIONS).unwrap())
}

/// An open store on a new file with the definition that instances start on.
async fn registered() -> (Arc<SqliteStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db"));
    store.insert_definition(fixture::definition("expense", "1.0.0")).await.unwrap();
    (store, folder)
}

/// Runs one statement on the file with a connection of its own.
fn execute(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn refusal(path: &Path) -> StoreError {
    SqliteStore::open(path, OPTIONS).expect_err("the file must be refused")
}
