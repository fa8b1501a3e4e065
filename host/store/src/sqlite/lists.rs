//! Lists over many instances: by filter, by history position, by what the scheduler looks for.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::InstanceId;
use stepcell_model::record::{InstanceSummary, TaskRecord};
use stepcell_model::time::Timestamp;

use super::rows::{self, Columns};
use super::statements;
use super::transition::signed;
use crate::error::StoreError;
use crate::query::{InstanceFilter, LIST_LEN_MAX, Page, PageLimit, TaskFilter};

pub(super) fn instances(connection: &Connection, filter: &InstanceFilter) -> Result<Page<InstanceSummary>, StoreError> {
    let mut wanted = Conditions::default();
    wanted.and(statements::INSTANCES_OF_WORKFLOW, text(filter.workflow.as_ref()));
    // Of what a correlation id or a parent leaves, a tenant's are soon found; of a tenant's, those of an id are not.
    let leaves_few = filter.correlation_id.is_some() || filter.parent.is_some();
    let of_tenant = if leaves_few { statements::INSTANCES_OF_TENANT_TOO } else { statements::INSTANCES_OF_TENANT };
    wanted.and(of_tenant, text(filter.tenant.as_ref()));
    wanted.and(statements::INSTANCES_OF_USER, text(filter.created_by.as_ref()));
    wanted.and(statements::INSTANCES_OF_CORRELATION_ID, text(filter.correlation_id.as_ref()));
    wanted.and(statements::INSTANCES_OF_PARENT, filter.parent.map(id_value));
    if !filter.statuses.is_empty() {
        let words = filter.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>();
        wanted.and(statements::INSTANCES_WITH_STATUS, Some(serde_json::json!(words).to_string().into()));
    }
    let total = wanted.count(connection, statements::COUNT_INSTANCES)?;
    wanted.and(statements::INSTANCES_AFTER, filter.after.map(id_value));
    let order = statements::INSTANCES_NEWEST_FIRST;
    let items =
        wanted.page(connection, [statements::SELECT_INSTANCES, order], filter.limit, filter.offset, rows::summary)?;
    Ok(Page { items, total })
}

pub(super) fn tasks(connection: &Connection, filter: &TaskFilter) -> Result<Page<TaskRecord>, StoreError> {
    let mut wanted = Conditions::default();
    wanted.and(statements::TASKS_OF_INSTANCE, filter.instance.map(id_value));
    wanted.and(statements::TASKS_FOR_ASSIGNEE, text(filter.assignee.as_ref()));
    wanted.and(statements::TASKS_FOR_GROUP, text(filter.group.as_ref()));
    wanted.and(statements::TASKS_WITH_STATUS, filter.status.map(|status| status.as_str().to_owned().into()));
    wanted.and(statements::TASKS_OVERDUE, filter.overdue_at.map(|at| at.unix_ms().into()));
    wanted.and(statements::TASKS_OF_TENANT, text(filter.tenant.as_ref()));
    let total = wanted.count(connection, statements::COUNT_TASKS)?;
    if let Some(place) = &filter.after {
        let made: [Value; 2] = [place.created_at.unix_ms().into(), place.id.as_uuid().as_bytes().to_vec().into()];
        match place.due_at {
            Some(due) => {
                let values = [due.unix_ms().into()].into_iter().chain(made);
                wanted.and_all(statements::TASKS_AFTER_ONE_WITH_DUE_TIME, values);
            }
            None => wanted.and_all(statements::TASKS_AFTER_ONE_WITHOUT_DUE_TIME, made),
        }
    }
    let order = statements::TASKS_BY_DUE_TIME;
    let items = wanted.page(connection, [statements::SELECT_TASKS, order], filter.limit, filter.offset, rows::task)?;
    Ok(Page { items, total })
}

pub(super) fn history_of(
    connection: &Connection,
    id: InstanceId,
    after_seq: u64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let params = params![id.as_uuid().as_bytes(), signed(after_seq), limit.min(LIST_LEN_MAX)];
    rows::list(connection, statements::LIST_HISTORY_OF, params, rows::history)
}

pub(super) fn history_after(
    connection: &Connection,
    position: u64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let params = params![signed(position), limit.min(LIST_LEN_MAX)];
    rows::list(connection, statements::LIST_HISTORY_AFTER, params, rows::history)
}

pub(super) fn last_position(connection: &Connection) -> Result<u64, StoreError> {
    let last = rows::find(connection, statements::LAST_POSITION, [], |row| row.count("position"))?;
    Ok(last.unwrap_or_default())
}

pub(super) fn running(
    connection: &Connection,
    after: Option<InstanceId>,
    limit: u32,
) -> Result<Vec<(InstanceId, u64)>, StoreError> {
    let after = after.map_or_else(Vec::new, |id| id.as_uuid().as_bytes().to_vec());
    let read = |row: &Columns<'_>| Ok((InstanceId::from_uuid(row.uuid("id")?), row.count("seq")?));
    rows::list(connection, statements::LIST_RUNNING, params![after, limit.min(LIST_LEN_MAX)], read)
}

pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    after: Option<(Timestamp, InstanceId)>,
    limit: u32,
) -> Result<Vec<(Timestamp, InstanceId)>, StoreError> {
    let read = |row: &Columns<'_>| Ok((row.time("wake_at")?, InstanceId::from_uuid(row.uuid("id")?)));
    let (after_ms, after_id) = match &after {
        Some((at, id)) => (at.unix_ms(), id.as_uuid().as_bytes().as_slice()),
        None => (i64::MIN, [].as_slice()),
    };
    let given = params![now.unix_ms(), limit.min(LIST_LEN_MAX), after_ms, after_id];
    rows::list(connection, statements::LIST_DUE, given, read)
}

pub(super) fn next_wake(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    Ok(rows::find(connection, statements::NEXT_WAKE, [], |row| row.time_maybe("wake_at"))?.flatten())
}

/// The conditions of a filter that were given, and what they compare with.
#[derive(Default)]
pub(super) struct Conditions {
    texts: Vec<&'static str>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition with one `?`, if there is a value for it.
    pub(super) fn and(&mut self, condition: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.and_all(condition, [value]);
        }
    }

    /// Adds a condition with a `?` for each value.
    pub(super) fn and_all(&mut self, condition: &'static str, values: impl IntoIterator<Item = Value>) {
        self.texts.push(condition);
        self.values.extend(values);
    }

    /// Every row that is left.
    pub(super) fn list<T>(
        &self,
        connection: &Connection,
        select: &str,
        read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        rows::list(connection, &format!("{select} {}", self.clause()), params_from_iter(&self.values), read)
    }

    fn clause(&self) -> String {
        if self.texts.is_empty() { String::new() } else { format!("WHERE {}", self.texts.join(" AND ")) }
    }

    pub(super) fn count(&self, connection: &Connection, select: &str) -> Result<u64, StoreError> {
        let mut statement = connection.prepare_cached(&format!("{select} {}", self.clause()))?;
        let count: i64 = statement.query_row(params_from_iter(&self.values), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The first rows that match.
    pub(super) fn first<T>(
        &self,
        connection: &Connection,
        [select, order]: [&str; 2],
        limit: PageLimit,
        read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let limit = [Value::from(i64::from(limit.rows()))];
        let values = self.values.iter().chain(&limit);
        rows::list(connection, &format!("{select} {} {order}", self.clause()), params_from_iter(values), read)
    }

    fn page<T>(
        &self,
        connection: &Connection,
        [select, order]: [&str; 2],
        limit: PageLimit,
        offset: u64,
        read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let bounds = [Value::from(i64::from(limit.rows())), Value::from(signed(offset))];
        let values = self.values.iter().chain(&bounds);
        rows::list(connection, &format!("{select} {} {order}", self.clause()), params_from_iter(values), read)
    }
}

fn id_value(id: InstanceId) -> Value {
    id.as_uuid().as_bytes().to_vec().into()
}

pub(super) fn text<T: ToString>(name: Option<&T>) -> Option<Value> {
    name.map(|name| name.to_string().into())
}
