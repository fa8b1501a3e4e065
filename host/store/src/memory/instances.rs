//! Instances, tasks and history in memory, with the sets that keep scheduling queries from looking at all of them.

mod feed;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use stepcell_model::attempt::{ContextData, ContextWrites};
use stepcell_model::chain::ChainHash;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{DefinitionId, ExecutionNumber, InstanceId, TaskId};
use stepcell_model::instance::{InstanceState, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::name::TenantId;
use stepcell_model::record::{
    ExecutionRecord, InstanceIdentity, InstanceSummary, KeptMessage, MessageChange, TaskRecord,
};
use stepcell_model::status::{StepStatus, TaskStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;

use crate::access::StoreStats;
use crate::error::StoreError;
use crate::query::{Committed, InstanceFilter, LIST_LEN_MAX, Page, TaskFilter, TaskPlace};
use crate::results;

#[derive(Debug, Default)]
pub(super) struct Instances {
    rows: BTreeMap<InstanceId, Row>,
    starts: HashMap<(Option<TenantId>, String), InstanceId>,
    running: BTreeSet<InstanceId>,
    wakes: BTreeSet<(Timestamp, InstanceId)>,
    tasks: BTreeMap<TaskId, TaskRecord>,
    /// By position.
    history: BTreeMap<u64, Kept>,
    /// The newest position.
    last_position: u64,
}

/// A row of history with its link.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) entry: HistoryEntry,
    pub(super) chain: ChainHash,
}

#[derive(Debug)]
struct Row {
    identity: Arc<InstanceIdentity>,
    seq: u64,
    chain: ChainHash,
    /// What its transitions wrote.
    stored_bytes: u64,
    state: InstanceState,
    context: Arc<ContextData>,
    executions: BTreeMap<ExecutionNumber, ExecutionRecord>,
    tasks: BTreeSet<TaskId>,
    messages: BTreeMap<u32, KeptMessage>,
    /// Positions in the history of all.
    history: Vec<u64>,
}

impl Instances {
    /// Says whether the transition is the next one of its instance.
    pub(super) fn check(&self, transition: &Transition) -> Result<(), StoreError> {
        let instance = transition.identity.id;
        let found = self.rows.get(&instance).map_or(0, |row| row.seq);
        let expected = transition.seq.saturating_sub(1);
        if found != expected || transition.seq == 0 {
            return Err(StoreError::Stale { instance, expected, found });
        }
        match start_key(&transition.identity).filter(|_| found == 0).and_then(|key| self.starts.get(&key)) {
            Some(&existing) => Err(StoreError::DuplicateStart { existing }),
            None => Ok(()),
        }
    }

    /// Takes over a transition that was checked, but for its letters, which belong to no instance.
    pub(super) fn apply(&mut self, transition: Transition, chain: ChainHash, stored_bytes: u64) -> Committed {
        let Transition { identity, seq, chain: _, at, state, writes, executions, tasks, messages, letters: _, events } =
            transition;
        let instance = identity.id;
        if let Some(key) = start_key(&identity).filter(|_| seq == 1) {
            self.starts.insert(key, instance);
        }
        let row = self.rows.entry(instance).or_insert_with(|| Row::new(identity, state.clone()));
        if let Some(wake_at) = row.state.wake_at {
            self.wakes.remove(&(wake_at, instance));
        }
        let position = self.last_position + 1;
        self.last_position = position;
        row.seq = seq;
        row.chain = chain;
        row.stored_bytes += stored_bytes;
        row.state = state;
        row.write_context(writes);
        row.executions.extend(executions.into_iter().map(|execution| (execution.number, execution)));
        row.tasks.extend(tasks.iter().map(|task| task.id));
        row.change_messages(messages);
        row.history.push(position);
        if let Some(wake_at) = row.state.wake_at.filter(|_| may_be_due(row.state.status)) {
            self.wakes.insert((wake_at, instance));
        }
        if row.state.status == WorkflowStatus::Running {
            self.running.insert(instance);
        } else {
            self.running.remove(&instance);
        }
        self.tasks.extend(tasks.into_iter().map(|task| (task.id, task)));
        self.history.insert(position, Kept { entry: HistoryEntry { position, instance, seq, at, events }, chain });
        Committed { position, chain }
    }

    pub(super) fn count_of_definition(&self, definition: DefinitionId) -> u64 {
        self.rows.values().filter(|row| row.identity.definition == definition).count() as u64
    }

    /// Counts instances and tasks, of one tenant or of all.
    pub(super) fn add_to(&self, stats: &mut StoreStats, tenant: Option<&TenantId>, now: Timestamp) {
        let is_meant = |of: &Option<TenantId>| tenant.is_none() || of.as_ref() == tenant;
        for row in self.rows.values().filter(|row| is_meant(&row.identity.tenant)) {
            *stats.instances.entry(row.state.status).or_default() += 1;
            stats.stored_bytes += row.stored_bytes;
        }
        let pending = self.tasks.values().filter(|task| task.status == TaskStatus::Pending && is_meant(&task.tenant));
        for task in pending {
            stats.tasks_pending += 1;
            stats.tasks_overdue += u64::from(task.due_at.is_some_and(|due| due < now));
        }
    }

    pub(super) fn load(&self, id: InstanceId) -> Result<Option<WorkflowInstance>, StoreError> {
        let Some(row) = self.rows.get(&id) else { return Ok(None) };
        let tasks = row.tasks.iter().filter_map(|task| self.tasks.get(task));
        let pending = tasks.filter(|task| task.status == TaskStatus::Pending);
        Ok(Some(WorkflowInstance {
            identity: Arc::clone(&row.identity),
            seq: row.seq,
            chain: row.chain,
            state: row.state.clone(),
            context: Arc::clone(&row.context),
            results: row.referenced_results()?,
            tasks: pending.map(|task| (task.execution, task.clone())).collect(),
            messages: row.messages.clone(),
        }))
    }

    pub(super) fn find_started(&self, tenant: Option<&TenantId>, key: &str) -> Option<InstanceId> {
        self.starts.get(&(tenant.cloned(), key.to_owned())).copied()
    }

    pub(super) fn find(&self, id: InstanceId) -> Option<InstanceSummary> {
        self.rows.get(&id).map(Row::summary)
    }

    pub(super) fn list(&self, filter: &InstanceFilter) -> Page<InstanceSummary> {
        let matching = || self.rows.values().rev().filter(|row| row.matches(filter));
        let rest = matching().filter(|row| filter.after.is_none_or(|after| row.identity.id < after));
        let rows = rest.skip(to_len(filter.offset)).take(filter.limit.rows() as usize);
        Page { items: rows.map(Row::summary).collect(), total: matching().count() as u64 }
    }

    pub(super) fn context(&self, id: InstanceId) -> ContextData {
        self.rows.get(&id).map(|row| ContextData::clone(&row.context)).unwrap_or_default()
    }

    pub(super) fn executions(&self, id: InstanceId) -> Vec<ExecutionRecord> {
        let Some(row) = self.rows.get(&id) else { return Vec::new() };
        let mut executions = row.executions.values().cloned().collect::<Vec<_>>();
        executions.sort_by_key(|execution| (execution.ended_order.unwrap_or(u32::MAX), execution.number));
        executions
    }

    pub(super) fn failed_executions(&self, instance: Option<InstanceId>) -> Vec<(InstanceId, ExecutionRecord)> {
        let rows = self.rows.iter().filter(|(id, _)| instance.is_none_or(|instance| instance == **id));
        let mut failed = rows
            .flat_map(|(id, row)| row.executions.values().map(|execution| (*id, execution)))
            .filter(|(_, execution)| execution.status == StepStatus::Failed)
            .collect::<Vec<_>>();
        failed.sort_by_key(|(id, execution)| std::cmp::Reverse((execution.completed_at, *id, execution.number)));
        failed.truncate(LIST_LEN_MAX as usize);
        failed.into_iter().map(|(id, execution)| (id, execution.clone())).collect()
    }

    pub(super) fn history_of(&self, id: InstanceId, after_seq: u64, limit: u32) -> Vec<HistoryEntry> {
        let Some(row) = self.rows.get(&id) else { return Vec::new() };
        let positions = row.history.iter().skip(to_len(after_seq)).take(limit.min(LIST_LEN_MAX) as usize);
        positions.filter_map(|position| Some(self.history.get(position)?.entry.clone())).collect()
    }

    pub(super) fn history_after(&self, position: u64, limit: u32) -> Vec<HistoryEntry> {
        let after = self.history.range((Bound::Excluded(position), Bound::Unbounded));
        after.take(limit.min(LIST_LEN_MAX) as usize).map(|(_, kept)| kept.entry.clone()).collect()
    }

    pub(super) fn last_position(&self) -> u64 {
        self.last_position
    }

    pub(super) fn find_task(&self, id: TaskId) -> Option<TaskRecord> {
        self.tasks.get(&id).cloned()
    }

    pub(super) fn list_tasks(&self, filter: &TaskFilter) -> Page<TaskRecord> {
        let mut matching = self.tasks.values().filter(|task| is_wanted(task, filter)).collect::<Vec<_>>();
        matching.sort_by_key(|task| TaskPlace::of(task).order());
        let is_after = |task: &TaskRecord| filter.after.is_none_or(|after| TaskPlace::of(task).order() > after.order());
        let rest = matching.iter().filter(|task| is_after(task));
        let rows = rest.skip(to_len(filter.offset)).take(filter.limit.rows() as usize);
        Page { items: rows.map(|task| (*task).clone()).collect(), total: matching.len() as u64 }
    }

    pub(super) fn running(&self, after: Option<InstanceId>, limit: u32) -> Vec<(InstanceId, u64)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.running.range((from, Bound::Unbounded)).take(limit.min(LIST_LEN_MAX) as usize);
        ids.filter_map(|id| self.rows.get(id).map(|row| (*id, row.seq))).collect()
    }

    pub(super) fn due(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, InstanceId)>,
        limit: u32,
    ) -> Vec<(Timestamp, InstanceId)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let due = self.wakes.range((from, Bound::Unbounded)).take_while(|(wake_at, _)| *wake_at <= now);
        due.take(limit.min(LIST_LEN_MAX) as usize).copied().collect()
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(wake_at, _)| *wake_at)
    }
}

impl Row {
    fn new(identity: Arc<InstanceIdentity>, state: InstanceState) -> Self {
        Self {
            identity,
            seq: 0,
            chain: ChainHash::START,
            stored_bytes: 0,
            state,
            context: Arc::default(),
            executions: BTreeMap::new(),
            tasks: BTreeSet::new(),
            messages: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    fn write_context(&mut self, writes: ContextWrites) {
        if writes.is_empty() {
            return;
        }
        let context = Arc::make_mut(&mut self.context);
        for (key, value) in writes {
            match value {
                Some(value) => context.insert(key, value),
                None => context.remove(&key),
            };
        }
    }

    fn change_messages(&mut self, changes: Vec<MessageChange>) {
        for change in changes {
            match change {
                MessageChange::Kept(message) => self.messages.insert(message.number, message),
                MessageChange::Removed(number) => self.messages.remove(&number),
            };
        }
    }

    fn referenced_results(&self) -> Result<BTreeMap<ExecutionNumber, Json>, StoreError> {
        let result_of = |number| {
            let execution = self.executions.get(&number)?;
            let given = execution.input.as_ref().filter(|_| execution.ended_order.is_none());
            execution.output.as_ref().or(given).cloned()
        };
        results::referenced(self.identity.id, &self.identity.input, &self.state.control, result_of)
    }

    fn summary(&self) -> InstanceSummary {
        self.state.summary(&self.identity, self.seq)
    }

    fn matches(&self, filter: &InstanceFilter) -> bool {
        let identity = &self.identity;
        filter.workflow.as_ref().is_none_or(|workflow| identity.workflow_name == *workflow)
            && (filter.statuses.is_empty() || filter.statuses.contains(&self.state.status))
            && (filter.tenant.is_none() || identity.tenant == filter.tenant)
            && (filter.created_by.is_none() || identity.created_by == filter.created_by)
            && (filter.correlation_id.is_none() || identity.correlation_id == filter.correlation_id)
            && (filter.parent.is_none() || identity.parent.map(|parent| parent.instance) == filter.parent)
    }
}

fn may_be_due(status: WorkflowStatus) -> bool {
    !status.is_finished() && status != WorkflowStatus::Paused
}

fn is_wanted(task: &TaskRecord, filter: &TaskFilter) -> bool {
    filter.instance.is_none_or(|instance| task.instance == instance)
        && (filter.assignee.is_none() || task.assignee.is_none() || task.assignee == filter.assignee)
        && (filter.group.is_none() || task.group.is_none() || task.group == filter.group)
        && filter.status.is_none_or(|status| task.status == status)
        && filter
            .overdue_at
            .is_none_or(|at| task.status == TaskStatus::Pending && task.due_at.is_some_and(|due| due < at))
        && (filter.tenant.is_none() || task.tenant == filter.tenant)
}

fn start_key(identity: &InstanceIdentity) -> Option<(Option<TenantId>, String)> {
    identity.idempotency_key.clone().map(|key| (identity.tenant.clone(), key))
}

fn to_len(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
