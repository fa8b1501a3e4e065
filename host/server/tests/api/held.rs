//! A store that does one kind of call only once it is told to.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::id::InstanceId;
use stepcell_model::transition::Transition;
use stepcell_store::{Committed, StoreError, WorkflowStore};
use tokio::sync::Semaphore;

use crate::between::Way;

/// Holds calls of one name back.
pub(crate) struct Held {
    call: &'static str,
    asked: Semaphore,
    let_in: Semaphore,
}

impl Held {
    /// Holds back calls of that name.
    pub(crate) fn at(call: &'static str) -> Arc<Self> {
        Arc::new(Self { call, asked: Semaphore::new(0), let_in: Semaphore::new(0) })
    }

    /// Waits until one more such call has come.
    pub(crate) async fn until_asked(&self) {
        self.asked.acquire().await.unwrap().forget();
    }

    /// Lets so many of them do what they say.
    pub(crate) fn let_in(&self, count: usize) {
        self.let_in.add_permits(count);
    }
}

#[async_trait]
impl Way for Held {
    async fn there(&self, call: &'static str) -> Result<(), StoreError> {
        if call == self.call {
            self.asked.add_permits(1);
            self.let_in.acquire().await.unwrap().forget();
        }
        Ok(())
    }

    async fn back(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        store.commit(transition).await
    }

    fn nudges(&self) -> Vec<InstanceId> {
        Vec::new()
    }
}
