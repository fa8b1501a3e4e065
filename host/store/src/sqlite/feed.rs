//! History for whoever follows it.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use stepcell_model::name::{TenantId, WorkflowName};

use super::rows::{self, Columns};
use super::statements::feed as statements;
use super::transition::signed;
use super::{SqliteStore, lists};
use crate::error::StoreError;
use crate::feed::{FeedStore, HistoryFilter, HistoryRow, HistoryWindow, WINDOW_LEN_MAX};
use crate::query::LIST_LEN_MAX;

fn window(
    connection: &Connection,
    filter: &HistoryFilter,
    position: u64,
    limit: u32,
) -> Result<HistoryWindow, StoreError> {
    let last = lists::last_position(connection)?.max(position);
    let limit = limit.clamp(1, LIST_LEN_MAX);
    let (tenant, workflow) =
        (filter.tenant.as_ref().map(TenantId::as_str), filter.workflow.as_ref().map(WorkflowName::as_str));
    let (rows, end) = if let Some(instance) = filter.instance {
        let params = params![signed(position), limit, tenant, workflow, instance.as_uuid().as_bytes()];
        (rows::list(connection, statements::LIST_OF_INSTANCE, params, history_row)?, last)
    } else {
        let end = last.min(position.saturating_add(WINDOW_LEN_MAX));
        let params = params![signed(position), limit, tenant, workflow, signed(end)];
        (rows::list(connection, statements::LIST_WINDOW, params, history_row)?, end)
    };
    let is_full = rows.len() == limit as usize;
    let up_to = rows.last().filter(|_| is_full).map_or(end, |row| row.entry.position);
    Ok(HistoryWindow { rows, up_to })
}

fn history_row(row: &Columns<'_>) -> Result<HistoryRow, StoreError> {
    Ok(HistoryRow { entry: rows::history(row)?, tenant: row.word_maybe("tenant")?, workflow: row.word("workflow")? })
}

#[async_trait]
impl FeedStore for SqliteStore {
    async fn list_window(
        &self,
        filter: &HistoryFilter,
        position: u64,
        limit: u32,
    ) -> Result<HistoryWindow, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| window(connection, &filter, position, limit)).await
    }
}
