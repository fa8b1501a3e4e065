//! History for whoever follows it.

use std::ops::Bound;

use super::Instances;
use crate::feed::{HistoryFilter, HistoryRow, HistoryWindow, WINDOW_LEN_MAX};
use crate::query::LIST_LEN_MAX;

impl Instances {
    pub(in crate::memory) fn window(&self, filter: &HistoryFilter, position: u64, limit: u32) -> HistoryWindow {
        let last = self.last_position.max(position);
        let limit = limit.clamp(1, LIST_LEN_MAX) as usize;
        let (positions, end): (Box<dyn Iterator<Item = u64>>, u64) = match filter.instance {
            Some(id) => {
                let of_instance = self.rows.get(&id).map_or(&[][..], |row| &row.history);
                let from = of_instance.partition_point(|at| *at <= position);
                (Box::new(of_instance[from..].iter().copied()), last)
            }
            None => {
                let end = last.min(position.saturating_add(WINDOW_LEN_MAX));
                let range = (Bound::Excluded(position), Bound::Included(end));
                (Box::new(self.history.range(range).map(|(at, _)| *at)), end)
            }
        };
        let matching = positions.filter_map(|at| self.history_row(at, filter));
        let rows: Vec<_> = matching.take(limit).collect();
        let up_to = rows.last().filter(|_| rows.len() == limit).map_or(end, |row| row.entry.position);
        HistoryWindow { rows, up_to }
    }

    fn history_row(&self, position: u64, filter: &HistoryFilter) -> Option<HistoryRow> {
        let entry = &self.history.get(&position)?.entry;
        let identity = &self.rows.get(&entry.instance)?.identity;
        let is_wanted = (filter.tenant.is_none() || identity.tenant == filter.tenant)
            && filter.workflow.as_ref().is_none_or(|workflow| identity.workflow_name == *workflow);
        let row = || HistoryRow {
            entry: entry.clone(),
            tenant: identity.tenant.clone(),
            workflow: identity.workflow_name.clone(),
        };
        is_wanted.then(row)
    }
}
