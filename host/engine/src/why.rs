//! Why an instance is where it is.

use stepcell_model::history::HistoryEntry;
use stepcell_model::id::InstanceId;
use stepcell_model::why::{Explanation, explain};
use stepcell_store::LIST_LEN_MAX;

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

impl WorkflowEngine {
    /// Tells what each branch of an instance waits for, and how it came to that; of one moment.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`].
    pub async fn explain(&self, id: InstanceId) -> Result<Explanation, EngineError> {
        let instance = self.inner.load(id).await?;
        let plan = self.inner.registry.plan(instance.identity.definition).await?;
        let mut history: Vec<HistoryEntry> = Vec::new();
        loop {
            let after = history.last().map_or(0, |entry| entry.seq);
            let page = self.inner.store.list_history(id, after, LIST_LEN_MAX).await?;
            // What was committed since the instance was loaded is not told: it would not fit.
            let fitting = page.iter().take_while(|entry| entry.seq <= instance.seq).count();
            let is_all = fitting < page.len() || page.is_empty();
            history.extend(page.into_iter().take(fitting));
            if is_all {
                return Ok(explain(&plan, &instance, &history));
            }
        }
    }
}
