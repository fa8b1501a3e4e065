//! History for whoever follows it.

use async_trait::async_trait;

use super::MemoryStore;
use crate::error::StoreError;
use crate::feed::{FeedStore, HistoryFilter, HistoryWindow};

#[async_trait]
impl FeedStore for MemoryStore {
    async fn list_window(
        &self,
        filter: &HistoryFilter,
        position: u64,
        limit: u32,
    ) -> Result<HistoryWindow, StoreError> {
        Ok(self.state().instances.window(filter, position, limit))
    }
}
