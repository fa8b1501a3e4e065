//! Stores that lie: a simulation on one of them must notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use stepcell_model::history::Event;
use stepcell_model::id::InstanceId;
use stepcell_model::transition::Transition;
use stepcell_store::{Committed, MemoryStore, StoreError, WorkflowStore};

use crate::between::{Between, Way};

/// How a store lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It says that it stored a transition, and did not.
    Forgets,
    /// It keeps an event twice.
    Doubles,
    /// It leaves an event out.
    LeavesOut,
    /// It loses what instances have to tell each other.
    LosesLetters,
    /// It keeps an edge that was not taken.
    LeadsAstray,
    /// It forgets when an instance is to be looked at.
    Oversleeps,
    /// It keeps another end of an execution than the one that it was told.
    Miscounts,
}

/// Every so many commits it lies.
const EVERY: u64 = 9;

/// The way to a store that lies from time to time.
pub struct Liar {
    lie: Lie,
    commits: AtomicU64,
}

/// A store that lies.
pub fn lying(lie: Lie, store: Arc<MemoryStore>) -> Arc<dyn WorkflowStore> {
    Arc::new(Between { store, way: Arc::new(Liar { lie, commits: AtomicU64::new(0) }) })
}

fn twisted(lie: Lie, mut transition: Transition) -> Transition {
    match lie {
        Lie::Forgets => {}
        Lie::Doubles => transition.events.extend(transition.events.last().cloned()),
        Lie::LeavesOut => drop(transition.events.pop()),
        Lie::LosesLetters => transition.letters.clear(),
        Lie::LeadsAstray => transition.events.iter_mut().for_each(|event| {
            if let Event::StepActivated { edge: Some(edge), .. } = event {
                *edge += 1;
            }
        }),
        Lie::Oversleeps => transition.state.wake_at = None,
        Lie::Miscounts => transition.executions.iter_mut().for_each(|record| record.attempts += 1),
    }
    transition
}

#[async_trait]
impl Way for Liar {
    async fn there(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn back(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        let lies = self.commits.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY / 2;
        match lies {
            false => store.commit(transition).await,
            true if self.lie == Lie::Forgets => {
                Ok(Committed { position: store.last_position().await? + 1, chain: transition.chain })
            }
            true => store.commit(twisted(self.lie, transition)).await,
        }
    }

    fn nudges(&self) -> Vec<InstanceId> {
        Vec::new()
    }
}
