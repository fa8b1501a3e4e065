//! Chains and pruning in memory.

use async_trait::async_trait;
use stepcell_model::id::InstanceId;

use super::MemoryStore;
use crate::error::StoreError;
use crate::query::LIST_LEN_MAX;
use crate::upkeep::{KeptLink, Prunable, PruneFilter, Pruned, UpkeepStore};

#[async_trait]
impl UpkeepStore for MemoryStore {
    async fn list_links_of(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
        self.state().instances.links_of(id, after_seq, limit)
    }

    async fn list_links(&self, after: Option<(InstanceId, u64)>, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
        self.state().instances.links(after, limit)
    }

    async fn list_prunable(
        &self,
        filter: &PruneFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Prunable>, StoreError> {
        Ok(self.state().instances.prunable(filter, after, limit))
    }

    async fn prune(&self, filter: &PruneFilter, instances: &[InstanceId]) -> Result<Pruned, StoreError> {
        let mut state = self.state();
        let named = state.letters.about();
        let instances = instances.iter().take(LIST_LEN_MAX as usize).filter(|id| !named.contains(id));
        let mut pruned = Pruned::default();
        for id in instances {
            if let Some(rows) = state.instances.prune(filter, *id) {
                pruned.instances.push(*id);
                pruned.rows += rows;
            }
        }
        Ok(pruned)
    }
}
