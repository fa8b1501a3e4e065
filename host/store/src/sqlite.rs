//! The store on SQLite: one file, one writer thread that commits what has come, a few readers.
//!
//! Invariants: only the writer thread writes; a call that changes something answers after its commit is flushed
//! (`synchronous=FULL`); other processes may work on the same file, and the sequence numbers keep them apart.
//! What a row means is read in `rows`, and nowhere else; the SQL stands in `statements`.

mod access;
mod backup;
mod catalog;
mod checkpoint;
mod failure;
mod fate;
mod feed;
mod guard;
mod instances;
mod letters;
mod lists;
mod loss;
mod migrate;
mod open;
mod readers;
mod rows;
mod statements;
#[cfg(test)]
mod tests;
mod transition;
mod upkeep;
mod webhooks;
mod writer;

pub use self::backup::{BackedUp, BackupError, BackupProgress, Existing};
#[cfg(any(test, feature = "conformance"))]
pub use self::migrate::mark_as_newer;
#[cfg(any(test, feature = "conformance"))]
pub use self::upkeep::forge_history;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stepcell_model::attempt::ContextData;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ComponentDigest, DefinitionId, InstanceId, TaskId};
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{
    ComponentRecord, DefinitionRecord, DefinitionSummary, DefinitionVersion, ExecutionRecord, InstanceSummary,
    TaskRecord,
};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;

use self::fate::Fate;
use self::loss::Opened;
use self::readers::Readers;
use self::transition::EncodedTransition;
use self::writer::Writer;
use crate::error::StoreError;
use crate::query::{
    Activity, CatalogKey, Committed, ComponentFilter, DefinitionFilter, Deletion, Inserted, InstanceFilter, LetterKey,
    Owners, Page, TaskFilter,
};
use crate::store::WorkflowStore;

/// How a SQLite store is opened.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// How many reads run at once; more wait. Each holds one connection and one thread while it runs.
    pub readers_max: usize,
    /// How long to wait for another process that writes before giving up.
    pub busy_timeout: Duration,
    /// Whether this process moves the instances of the file.
    pub role: Role,
    /// What to do where something that was acknowledged is lost.
    pub losses: Losses,
    /// The SQLite VFS that stands between the store and its files, for tests; the usual one without it.
    #[doc(hidden)]
    #[cfg(any(test, feature = "conformance"))]
    pub vfs: Option<&'static str>,
}

/// What a process is to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It moves the instances; only one process may.
    Driver,
    /// It changes single instances while another process may move them, and leaves that one a nudge each time.
    Visitor,
}

/// What to do with a database that has lost something that was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Losses {
    /// Open it not.
    #[default]
    Refuse,
    /// Go on with what came before. The log is kept beside the database as `<database>-wal.lost`.
    Accept,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers_max: 4,
            busy_timeout: Duration::from_secs(5),
            role: Role::Driver,
            losses: Losses::Refuse,
            #[cfg(any(test, feature = "conformance"))]
            vfs: None,
        }
    }
}

impl SqliteOptions {
    /// The VFS under test, if there is one.
    #[cfg(any(test, feature = "conformance"))]
    const fn vfs(&self) -> Option<&'static str> {
        self.vfs
    }

    /// The usual one.
    #[cfg(not(any(test, feature = "conformance")))]
    const fn vfs(&self) -> Option<&'static str> {
        None
    }
}

/// Keeps everything in one SQLite database.
///
/// Dropping it waits until whatever was handed over is stored; [`SqliteStore::close`] does that without blocking.
#[derive(Debug)]
pub struct SqliteStore {
    /// None where the store was opened for reading only.
    writer: Option<Writer>,
    readers: Arc<Readers>,
    role: Role,
}

impl SqliteStore {
    /// Opens the database at `path`, makes it if there is none, and brings its schema up to date. Blocks on I/O.
    ///
    /// # Errors
    /// [`StoreError::NotADatabase`] for any other file, which is left untouched; [`StoreError::Newer`] if a newer
    /// version wrote it; [`StoreError::Damaged`] if its migrations are not the ones that this version knows, or pages of
    /// it are missing; [`StoreError::Lost`] if its log does not hold any more what was acknowledged, unless that is accepted;
    /// [`StoreError::Unavailable`] or [`StoreError::Full`] if it can not be opened or brought up to date.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let opened = Opened::at(path, options.losses)?;
        let connection = open::for_writing(path, &options)?;
        let checkpoints = open::for_checkpoints(path, &options)?;
        let fate = Fate::default();
        let readers = open_readers(path, &options, fate.clone(), opened)?;
        Ok(Self { writer: Some(Writer::start(connection, checkpoints, fate)?), readers, role: options.role })
    }

    /// Opens the database at `path` for reading, beside a process that drives it. Blocks on I/O.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], and [`StoreError::Older`] if its schema is not up to date.
    pub fn open_read_only(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let opened = Opened::at(path.as_ref(), options.losses)?;
        let readers = open_readers(path.as_ref(), &options, Fate::default(), opened)?;
        Ok(Self { writer: None, readers, role: Role::Visitor })
    }

    /// How often the writer flushed to disk since the store was opened; a busy store flushes many transitions at once.
    #[must_use]
    pub fn physical_commits(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::physical_commits)
    }

    /// Stores what was handed over, empties the write-ahead log and ends the store. Later calls find it closed.
    pub async fn close(&self) {
        if let Some(threads) = self.writer.as_ref().and_then(Writer::stop) {
            let joined = tokio::task::spawn_blocking(move || threads.join()).await;
            joined.unwrap_or_else(|error| tracing::error!(%error, "the store's threads did not end in order"));
        }
        self.readers.close();
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or(StoreError::ReadOnly)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
        if let Some(threads) = self.writer.as_ref().and_then(Writer::stop) {
            threads.join();
        }
    }
}

/// The readers, once one of them has checked the schema.
fn open_readers(
    path: &Path,
    options: &SqliteOptions,
    fate: Fate,
    opened: Arc<Opened>,
) -> Result<Arc<Readers>, StoreError> {
    migrate::check(&open::for_reading(path, options)?)?;
    Ok(Arc::new(Readers::new(path, options, fate, opened)))
}

fn key_of<N: Clone>(tenant: Option<&TenantId>, name: &N, version: &semver::Version) -> CatalogKey<N> {
    CatalogKey { name: name.clone(), version: version.clone(), tenant: tenant.cloned() }
}

#[async_trait]
impl WorkflowStore for SqliteStore {
    async fn insert_component(&self, record: ComponentRecord, bytes: Arc<[u8]>) -> Result<Inserted, StoreError> {
        self.writer()?.run(move |connection| catalog::insert_component(connection, &record, &bytes)).await
    }

    async fn find_component(
        &self,
        tenant: Option<&TenantId>,
        name: &ComponentName,
        version: &semver::Version,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        let key = key_of(tenant, name, version);
        self.readers.run(move |connection| catalog::find_component(connection, &key)).await
    }

    async fn find_component_by_digest(
        &self,
        digest: &ComponentDigest,
        owners: &Owners,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        let (digest, owners) = (*digest, owners.clone());
        self.readers.run(move |connection| catalog::find_component_by_digest(connection, &digest, &owners)).await
    }

    async fn list_components(&self, filter: &ComponentFilter) -> Result<Page<ComponentRecord>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| catalog::list_components(connection, &filter)).await
    }

    async fn load_component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        let digest = *digest;
        self.readers.run(move |connection| catalog::load_component_bytes(connection, &digest)).await
    }

    async fn insert_definition(&self, record: DefinitionRecord) -> Result<Inserted, StoreError> {
        self.writer()?.run(move |connection| catalog::insert_definition(connection, &record)).await
    }

    async fn find_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Option<DefinitionRecord>, StoreError> {
        let key = key_of(tenant, name, version);
        self.readers.run(move |connection| catalog::find_definition(connection, &key)).await
    }

    async fn find_definition_by_id(&self, id: DefinitionId) -> Result<Option<DefinitionRecord>, StoreError> {
        self.readers.run(move |connection| catalog::find_definition_by_id(connection, id)).await
    }

    async fn list_definitions(&self, filter: &DefinitionFilter) -> Result<Page<DefinitionRecord>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| catalog::list_definitions(connection, &filter)).await
    }

    async fn list_definition_summaries(
        &self,
        filter: &DefinitionFilter,
    ) -> Result<Page<DefinitionSummary>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| catalog::list_definition_summaries(connection, &filter)).await
    }

    async fn list_versions(
        &self,
        owners: &Owners,
        name: Option<&WorkflowName>,
    ) -> Result<Vec<DefinitionVersion>, StoreError> {
        let filter = DefinitionFilter { owners: owners.clone(), name: name.cloned(), ..DefinitionFilter::default() };
        self.readers.run(move |connection| catalog::list_versions(connection, &filter)).await
    }

    async fn set_definition_active(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
        activity: Activity,
    ) -> Result<bool, StoreError> {
        let key = key_of(tenant, name, version);
        self.writer()?.run(move |connection| catalog::set_definition_active(connection, &key, activity)).await
    }

    async fn delete_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Deletion, StoreError> {
        let key = key_of(tenant, name, version);
        self.writer()?.run(move |connection| catalog::delete_definition(connection, &key)).await
    }

    async fn commit(&self, transition: Transition) -> Result<Committed, StoreError> {
        let writer = self.writer()?;
        let encoded = EncodedTransition::new(transition, self.role)?;
        writer.run(move |connection| encoded.write(connection)).await
    }

    async fn load_instance(&self, id: InstanceId) -> Result<Option<WorkflowInstance>, StoreError> {
        self.readers.run(move |connection| instances::load(connection, id)).await
    }

    async fn find_instance(&self, id: InstanceId) -> Result<Option<InstanceSummary>, StoreError> {
        self.readers.run(move |connection| instances::find(connection, id)).await
    }

    async fn list_instances(&self, filter: &InstanceFilter) -> Result<Page<InstanceSummary>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| lists::instances(connection, &filter)).await
    }

    async fn load_context(&self, id: InstanceId) -> Result<ContextData, StoreError> {
        self.readers.run(move |connection| instances::load_context(connection, id)).await
    }

    async fn list_executions(&self, id: InstanceId) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.readers.run(move |connection| instances::list_executions(connection, id)).await
    }

    async fn list_failed_executions(
        &self,
        instance: Option<InstanceId>,
    ) -> Result<Vec<(InstanceId, ExecutionRecord)>, StoreError> {
        self.readers.run(move |connection| instances::list_failed_executions(connection, instance)).await
    }

    async fn list_history(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        self.readers.run(move |connection| lists::history_of(connection, id, after_seq, limit)).await
    }

    async fn list_history_after(&self, position: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        self.readers.run(move |connection| lists::history_after(connection, position, limit)).await
    }

    async fn last_position(&self) -> Result<u64, StoreError> {
        self.readers.run(lists::last_position).await
    }

    async fn find_task(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        self.readers.run(move |connection| instances::find_task(connection, id)).await
    }

    async fn list_tasks(&self, filter: &TaskFilter) -> Result<Page<TaskRecord>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| lists::tasks(connection, &filter)).await
    }

    async fn list_running(&self, after: Option<InstanceId>, limit: u32) -> Result<Vec<(InstanceId, u64)>, StoreError> {
        self.readers.run(move |connection| lists::running(connection, after, limit)).await
    }

    async fn list_due(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, InstanceId)>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, InstanceId)>, StoreError> {
        self.readers.run(move |connection| lists::due(connection, now, after, limit)).await
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.run(lists::next_wake).await
    }

    async fn list_letters(&self, limit: u32) -> Result<Vec<(LetterKey, Letter)>, StoreError> {
        self.readers.run(move |connection| letters::list(connection, limit)).await
    }

    async fn remove_letters(&self, keys: &[LetterKey]) -> Result<(), StoreError> {
        let writer = self.writer()?;
        if keys.is_empty() {
            return Ok(());
        }
        let keys = letters::encode(keys)?;
        writer.run(move |connection| letters::remove(connection, &keys)).await
    }

    async fn take_nudges(&self) -> Result<Vec<InstanceId>, StoreError> {
        if self.readers.run(instances::has_nudges).await? {
            return self.writer()?.run(instances::take_nudges).await;
        }
        Ok(Vec::new())
    }
}
