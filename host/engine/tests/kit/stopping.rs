//! A store that a host dies on: after a commit that a test chooses, nothing that the host writes is stored any more.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::id::InstanceId;
use stepcell_model::transition::Transition;
use stepcell_store::{Committed, StoreError, WorkflowStore};
use tokio::sync::{Mutex, watch};

use crate::between::{Between, Way};

/// Where a host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Not here.
    None,
    /// Before this is stored.
    Before,
    /// Once this is stored, before anybody is told.
    After,
}

type Choose = Box<dyn FnMut(&Transition) -> Death + Send>;

/// One host's way to a store, which ends with the host.
pub(crate) struct Stopping {
    /// Held through each commit, so that nothing is under way when the host dies.
    choose: Mutex<Choose>,
    dead: watch::Sender<bool>,
}

/// A store that a host dies on.
pub(crate) type StoppingStore = Between<Stopping>;

impl StoppingStore {
    /// A way to `store` that ends where `choose` says.
    pub(crate) fn new(
        store: Arc<dyn WorkflowStore>,
        choose: impl FnMut(&Transition) -> Death + Send + 'static,
    ) -> Arc<Self> {
        let choose: Choose = Box::new(choose);
        let way = Stopping { choose: Mutex::new(choose), dead: watch::Sender::new(false) };
        Arc::new(Self { store, way: Arc::new(way) })
    }

    /// Waits until the host is dead.
    pub(crate) async fn died(&self) {
        self.way.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }
}

impl Stopping {
    /// Answers as long as the host is alive; never afterwards.
    async fn alive(&self) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }

    async fn die(&self) -> ! {
        self.dead.send_replace(true);
        std::future::pending().await
    }
}

#[async_trait]
impl Way for Stopping {
    async fn there(&self, call: &'static str) -> Result<(), StoreError> {
        if ["remove_letters", "take_nudges", "prune"].contains(&call) {
            self.alive().await;
        }
        Ok(())
    }

    async fn back(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        let mut choose = self.choose.lock().await;
        self.alive().await;
        match choose(&transition) {
            Death::None => store.commit(transition).await,
            Death::Before => self.die().await,
            Death::After => {
                // Where somebody else was first, nothing is stored: that is a death between two commits.
                let _ = store.commit(transition).await;
                self.die().await
            }
        }
    }

    fn nudges(&self) -> Vec<InstanceId> {
        Vec::new()
    }
}
