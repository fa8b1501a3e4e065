//! Chains and pruning in SQL.

use async_trait::async_trait;
use rusqlite::{Connection, ToSql, named_params};
use stepcell_model::chain::{ChainHash, ChainHead, ChainLink};
use stepcell_model::id::InstanceId;
use stepcell_model::name::TenantId;
use stepcell_model::time::Timestamp;
use uuid::Uuid;

use super::rows::{self, Columns};
use super::statements::upkeep as statements;
use super::transition::{signed, text_of};
use super::{SqliteStore, letters};
use crate::error::StoreError;
use crate::query::LIST_LEN_MAX;
use crate::upkeep::{KeptLink, Prunable, PruneFilter, Pruned, UpkeepStore};

/// What belongs to an instance, and then its own row.
const DELETIONS: [&str; 8] = [
    statements::DELETE_STARTS_OF,
    statements::DELETE_CONTEXT_OF,
    statements::DELETE_EXECUTIONS_OF,
    statements::DELETE_TASKS_OF,
    statements::DELETE_MESSAGES_OF,
    statements::DELETE_NUDGES_OF,
    statements::DELETE_HISTORY_OF,
    statements::DELETE_INSTANCE,
];

#[async_trait]
impl UpkeepStore for SqliteStore {
    async fn list_links_of(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
        self.readers.run(move |connection| links_of(connection, id, after_seq, limit)).await
    }

    async fn list_links(&self, after: Option<(InstanceId, u64)>, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
        self.readers.run(move |connection| links(connection, after, limit)).await
    }

    async fn list_prunable(
        &self,
        filter: &PruneFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Prunable>, StoreError> {
        let filter = Filter::new(filter)?;
        self.readers.run(move |connection| filter.list(connection, after, limit)).await
    }

    async fn prune(&self, filter: &PruneFilter, instances: &[InstanceId]) -> Result<Pruned, StoreError> {
        let filter = Filter::new(filter)?;
        let instances = instances.iter().copied().take(LIST_LEN_MAX as usize).collect::<Vec<_>>();
        self.writer()?.run(move |connection| filter.prune(connection, &instances)).await
    }
}

fn links_of(connection: &Connection, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
    let params = rusqlite::params![id.as_uuid().as_bytes(), signed(after_seq), limit.min(LIST_LEN_MAX)];
    rows::list(connection, statements::LIST_LINKS_OF, params, link)
}

fn links(connection: &Connection, after: Option<(InstanceId, u64)>, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
    // Before the first instance there is none: no id is the empty blob.
    let id = after.map_or_else(Vec::new, |(id, _)| id.as_uuid().as_bytes().to_vec());
    let params = rusqlite::params![id, after.map_or(0, |(_, seq)| signed(seq)), limit.min(LIST_LEN_MAX)];
    rows::list(connection, statements::LIST_LINKS, params, link)
}

fn link(row: &Columns<'_>) -> Result<KeptLink, StoreError> {
    let instance = InstanceId::from_uuid(row.uuid("id")?);
    // Bytes of another length are no link; that is told as a break, with whatever else is wrong.
    let chain = |column| {
        let bytes = row.value::<Option<Vec<u8>>>(column)?;
        Ok::<_, StoreError>(bytes.and_then(|bytes| bytes.try_into().ok()).map(ChainHash::from_bytes))
    };
    let head = ChainHead { instance, seq: row.count("head_seq")?, chain: chain("head")? };
    let link = match row.value::<Option<String>>("events")? {
        Some(events) => {
            Some(ChainLink { instance, seq: row.count("seq")?, at: row.time("at")?, events, chain: chain("chain")? })
        }
        None => None,
    };
    Ok(KeptLink { head, link })
}

/// A filter in the words of the statements.
struct Filter {
    ended_before: Timestamp,
    ends: String,
    workflow: Option<String>,
    tenant: Option<TenantId>,
}

impl Filter {
    fn new(filter: &PruneFilter) -> Result<Self, StoreError> {
        let ends = filter.ends().iter().map(|status| status.as_str()).collect::<Vec<_>>();
        Ok(Self {
            ended_before: filter.ended_before,
            ends: text_of(&ends)?,
            workflow: filter.workflow.as_ref().map(ToString::to_string),
            tenant: filter.tenant.clone(),
        })
    }

    fn list(
        &self,
        connection: &Connection,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Prunable>, StoreError> {
        let sql = format!("{} {}", statements::SELECT_PRUNABLE, statements::PRUNABLE_AFTER);
        let after = after.map_or_else(Vec::new, |id| id.as_uuid().as_bytes().to_vec());
        let more: [(&str, &dyn ToSql); 2] = [(":after", &after), (":limit", &limit.min(LIST_LEN_MAX))];
        let read = |row: &Columns<'_>| {
            Ok(Prunable {
                id: InstanceId::from_uuid(row.uuid("id")?),
                workflow: row.word("workflow_name")?,
                status: row.word("status")?,
                completed_at: row.time("completed_at")?,
            })
        };
        self.select(connection, &sql, &more, read)
    }

    /// Looks again at each instance, now that nobody else writes, and deletes what still may go.
    fn prune(&self, connection: &Connection, instances: &[InstanceId]) -> Result<Pruned, StoreError> {
        let sql = format!("{} {}", statements::SELECT_PRUNABLE, statements::PRUNABLE_BY_ID);
        let named = letters::named(connection)?;
        let mut pruned = Pruned::default();
        for id in instances.iter().filter(|id| !named.contains(id)) {
            let by_id: [(&str, &dyn ToSql); 1] = [(":id", &id.as_uuid().as_bytes())];
            let keys = self.select(connection, &sql, &by_id, |row| row.value::<i64>("key"))?;
            for key in keys {
                for deletion in DELETIONS {
                    pruned.rows += connection.prepare_cached(deletion)?.execute([key])? as u64;
                }
                pruned.instances.push(*id);
            }
        }
        Ok(pruned)
    }

    fn select<T>(
        &self,
        connection: &Connection,
        sql: &str,
        more: &[(&str, &dyn ToSql)],
        read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let ended_before = self.ended_before.unix_ms();
        let tenant = self.tenant.as_ref().map(TenantId::as_str);
        let params = named_params! {
            ":ended_before": ended_before, ":ends": self.ends, ":workflow": self.workflow, ":tenant": tenant,
        };
        rows::list(connection, sql, [params, more].concat().as_slice(), read)
    }
}

/// Changes a text in every history behind the engine, as somebody would who can write to the file, for tests of what is
/// told then. Answers with how many rows were changed.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file can not be written to.
#[cfg(any(test, feature = "conformance"))]
pub fn forge_history(path: impl AsRef<std::path::Path>, from: &str, to: &str) -> Result<usize, StoreError> {
    Ok(Connection::open(path)?.execute(statements::FORGE_HISTORY, [from, to])?)
}

/// Links every row that was written before there were chains.
pub(super) fn link_all(connection: &Connection) -> Result<(), StoreError> {
    let mut instances = connection.prepare(statements::LIST_INSTANCE_KEYS)?;
    let mut history = connection.prepare(statements::LIST_HISTORY_TO_LINK)?;
    let mut link_row = connection.prepare(statements::LINK_HISTORY)?;
    let mut link_instance = connection.prepare(statements::LINK_INSTANCE)?;
    let instances = instances.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?)))?;
    for (key, id) in instances.collect::<Result<Vec<_>, _>>()? {
        let instance = InstanceId::from_uuid(Uuid::from_bytes(id));
        let mut last = ChainHash::START;
        let mut rows = history.query([key])?;
        let mut links = Vec::new();
        while let Some(row) = rows.next()? {
            let columns = Columns::of(row);
            let (seq, at, events) = (columns.count("seq")?, columns.time("at")?, columns.value("events")?);
            last = ChainLink { instance, seq, at, events, chain: None }.after(last);
            links.push((columns.value::<i64>("position")?, last));
        }
        for (position, link) in &links {
            link_row.execute(rusqlite::params![position, link.as_bytes()])?;
        }
        link_instance.execute(rusqlite::params![key, last.as_bytes()])?;
    }
    Ok(())
}
