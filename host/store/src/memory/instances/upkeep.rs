//! Rows with their links, and letting go of what is finished.

use std::ops::Bound;

use stepcell_model::chain::{ChainHead, ChainLink};
use stepcell_model::id::InstanceId;

use super::{Instances, Row, start_key};
use crate::error::StoreError;
use crate::query::LIST_LEN_MAX;
use crate::text::text_of;
use crate::upkeep::{KeptLink, Prunable, PruneFilter};

impl Instances {
    pub(in crate::memory) fn links_of(
        &self,
        id: InstanceId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<KeptLink>, StoreError> {
        let Some(row) = self.rows.get(&id) else { return Ok(Vec::new()) };
        let mut links = self.links_after(row, after_seq, limit.min(LIST_LEN_MAX) as usize)?;
        if links.is_empty() {
            links.push(KeptLink { head: row.head(), link: None });
        }
        Ok(links)
    }

    pub(in crate::memory) fn links(
        &self,
        after: Option<(InstanceId, u64)>,
        limit: u32,
    ) -> Result<Vec<KeptLink>, StoreError> {
        let limit = limit.min(LIST_LEN_MAX) as usize;
        let first = after.map_or(Bound::Unbounded, |(id, _)| Bound::Included(id));
        let mut links = Vec::new();
        for (id, row) in self.rows.range((first, Bound::Unbounded)) {
            if links.len() >= limit {
                break;
            }
            let after_seq = after.filter(|(after, _)| after == id).map_or(0, |(_, seq)| seq);
            links.extend(self.links_after(row, after_seq, limit - links.len())?);
        }
        Ok(links)
    }

    fn links_after(&self, row: &Row, after_seq: u64, limit: usize) -> Result<Vec<KeptLink>, StoreError> {
        let rows = row.history.iter().filter_map(|position| self.history.get(position));
        let wanted = rows.filter(|kept| kept.entry.seq > after_seq).take(limit);
        let link = |kept: &super::Kept| {
            let entry = &kept.entry;
            let (instance, seq, at) = (entry.instance, entry.seq, entry.at);
            let events = text_of(&entry.events)?;
            let link = ChainLink { instance, seq, at, events, chain: Some(kept.chain) };
            Ok(KeptLink { head: row.head(), link: Some(link) })
        };
        wanted.map(link).collect()
    }

    pub(in crate::memory) fn prunable(
        &self,
        filter: &PruneFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Vec<Prunable> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range((from, Bound::Unbounded)).map(|(_, row)| row);
        rows.filter_map(|row| self.may_go(row, filter)).take(limit.min(LIST_LEN_MAX) as usize).collect()
    }

    /// Deletes an instance, if it may go. Answers with how many rows that were.
    pub(in crate::memory) fn prune(&mut self, filter: &PruneFilter, id: InstanceId) -> Option<u64> {
        self.may_go(self.rows.get(&id)?, filter)?;
        let row = self.rows.remove(&id)?;
        let parts = [row.context.len(), row.executions.len(), row.tasks.len(), row.messages.len(), row.history.len()];
        for position in &row.history {
            self.history.remove(position);
        }
        for task in &row.tasks {
            self.tasks.remove(task);
        }
        if let Some(key) = start_key(&row.identity) {
            self.starts.remove(&key);
        }
        if let Some(wake_at) = row.state.wake_at {
            self.wakes.remove(&(wake_at, id));
        }
        // The instance, and what it was started with.
        Some(parts.iter().sum::<usize>() as u64 + 2)
    }

    fn may_go(&self, row: &Row, filter: &PruneFilter) -> Option<Prunable> {
        let (identity, status) = (&row.identity, row.state.status);
        let completed_at = row.state.completed_at.filter(|at| *at < filter.ended_before)?;
        let is_wanted = filter.ends().contains(&status)
            && filter.workflow.as_ref().is_none_or(|workflow| identity.workflow_name == *workflow)
            && (filter.tenant.is_none() || identity.tenant == filter.tenant);
        let is_newest = row.history.last() == Some(&self.last_position);
        if !is_wanted || is_newest || !self.has_finished_family(row) {
            return None;
        }
        Some(Prunable { id: identity.id, workflow: identity.workflow_name.clone(), status, completed_at })
    }

    fn has_finished_family(&self, row: &Row) -> bool {
        let is_finished = |row: &Row| row.state.status.is_finished();
        let parent = row.identity.parent.and_then(|parent| self.rows.get(&parent.instance));
        let mut children =
            self.rows.values().filter(|child| child.identity.parent.is_some_and(|of| of.instance == row.identity.id));
        parent.is_none_or(is_finished) && children.all(is_finished)
    }
}

impl Row {
    fn head(&self) -> ChainHead {
        ChainHead { instance: self.identity.id, seq: self.seq, chain: Some(self.chain) }
    }
}
