//! What happened, told from the history that the store keeps.
//!
//! A feed reads: it tells each entry once, in the order of the commits, whichever process made them, and whoever resumes
//! at the position of the last one misses nothing. Nobody waits for a feed: one that is slow, or never read, holds one
//! page and delays nothing. Commits of this process wake it; for those of others it looks from time to time.

mod listening;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stepcell_model::event_type::EventType;
use stepcell_model::history::{Event, HistoryEntry};
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_store::{StoreError, WorkflowStore};
use tokio::sync::watch;

pub use self::listening::Listening;
use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// How many entries a feed reads at once. Bounds the memory of each.
const PAGE_LEN_MAX: u32 = 100;

/// How often a feed looks for what other processes committed.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Of how many instances a feed remembers whether it tells of them. Bounds the memory of each.
const VERDICTS_LEN_MAX: usize = 10_000;

/// What a feed tells of; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only what happened to this instance.
    pub instance: Option<InstanceId>,
    /// Only what happened to instances of this workflow, of any version.
    pub workflow: Option<WorkflowName>,
    /// Only what happened to this tenant's instances.
    pub tenant: Option<TenantId>,
    /// Only events of these types; all if empty.
    pub types: Vec<EventType>,
}

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    /// With the first entry that the store has.
    Beginning,
    /// With the first entry that is committed after the feed was opened.
    Now,
    /// With the first entry after this position: where somebody left off.
    After(u64),
}

impl WorkflowEngine {
    /// Opens a feed of what happens, and of what has happened.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]; [`EngineError::PositionNotFound`] if it shall begin after a position that the
    /// store has not come to, as with one of another database; [`EngineError::Store`].
    ///
    /// # Examples
    /// Tells of every instance that ends from now on.
    /// ```
    /// use stepcell_engine::{EngineError, EventFilter, EventType, FeedStart, WorkflowEngine};
    ///
    /// async fn tell_ends(engine: &WorkflowEngine) -> Result<(), EngineError> {
    ///     let types = vec![EventType::WorkflowCompleted, EventType::WorkflowFailed, EventType::WorkflowCanceled];
    ///     let filter = EventFilter { types, ..EventFilter::default() };
    ///     let mut feed = engine.events(filter, FeedStart::Now).await?;
    ///     while let Some(entry) = feed.next().await? {
    ///         println!("{} at {}: {:?}", entry.instance, entry.at, entry.events);
    ///         // Kept somewhere, `FeedStart::After(entry.position)` goes on from here, in another process too.
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub async fn events(&self, filter: EventFilter, start: FeedStart) -> Result<EventFeed, EngineError> {
        // Before the position is asked for: what is committed from then on wakes the feed.
        let committed = self.inner.committed.subscribe();
        let store = Arc::clone(&self.inner.store);
        if let Some(id) = filter.instance {
            store.find_instance(id).await?.ok_or(EngineError::InstanceNotFound { id })?;
        }
        let last = store.last_position().await?;
        let position = match start {
            FeedStart::Beginning => 0,
            FeedStart::Now => last,
            FeedStart::After(position) if position > last => {
                return Err(EngineError::PositionNotFound { position, last });
            }
            FeedStart::After(position) => position,
        };
        let (page, verdicts) = (VecDeque::new(), HashMap::new());
        Ok(EventFeed { store, committed, filter, position, seq: 0, page, verdicts })
    }
}

/// What happened, entry by entry. Made by [`WorkflowEngine::events`].
///
/// An entry has those of its events that the filter asks for; one that has none is passed over.
#[must_use = "a feed tells nothing unless it is read"]
pub struct EventFeed {
    store: Arc<dyn WorkflowStore>,
    committed: watch::Receiver<()>,
    filter: EventFilter,
    position: u64,
    /// The number of the last transition that was read, where the feed is of one instance.
    seq: u64,
    page: VecDeque<HistoryEntry>,
    verdicts: HashMap<InstanceId, bool>,
}

impl fmt::Debug for EventFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFeed")
            .field("filter", &self.filter)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl EventFeed {
    /// Waits for the next entry. There is none once the engine is gone or its store was closed.
    ///
    /// A call that is dropped before it answers loses nothing: the next one begins where it stood.
    ///
    /// # Errors
    /// What the store says. The feed stays where it is, and can be asked again.
    pub async fn next(&mut self) -> Result<Option<HistoryEntry>, StoreError> {
        loop {
            // Before the look: what is committed after it ends the wait.
            self.committed.mark_unchanged();
            match self.find_next().await {
                Ok(None) => {}
                Err(StoreError::Closed) => return Ok(None),
                told => return told,
            }
            tokio::select! {
                biased;
                changed = self.committed.changed() => if changed.is_err() { return Ok(None) },
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// The next entry that is there already; none if the feed has come to the end of what there is.
    ///
    /// As with [`Self::next`], dropping the call loses nothing.
    ///
    /// # Errors
    /// What the store says. The feed stays where it is, and can be asked again.
    pub async fn find_next(&mut self) -> Result<Option<HistoryEntry>, StoreError> {
        loop {
            let Some(entry) = self.page.front() else {
                if self.turn_page().await? {
                    continue;
                }
                return Ok(None);
            };
            let (instance, has_events) = (entry.instance, entry.events.iter().any(|event| self.filter.wants(event)));
            // Asked while the entry is still in the page, which it leaves once nothing can come in between.
            let is_wanted = has_events && self.wants_instance(instance).await?;
            let Some(mut entry) = self.page.pop_front() else { continue };
            self.position = entry.position;
            if is_wanted {
                entry.events.retain(|event| self.filter.wants(event));
                return Ok(Some(entry));
            }
        }
    }

    /// The position of the last entry that was told or passed over; [`FeedStart::After`] it goes on here.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Reads on. Answers whether there was anything.
    async fn turn_page(&mut self) -> Result<bool, StoreError> {
        // A store in memory never waits; a long way through what nobody wants must not hold the thread.
        tokio::task::yield_now().await;
        let position = self.position;
        let page = match self.filter.instance {
            Some(id) => self.store.list_history(id, self.seq, PAGE_LEN_MAX).await?,
            None => self.store.list_history_after(position, PAGE_LEN_MAX).await?,
        };
        let Some(last) = page.last() else { return Ok(false) };
        self.seq = last.seq;
        self.page = page.into_iter().filter(|entry| entry.position > position).collect();
        Ok(true)
    }

    /// Whether the instance is one that the feed tells of; what that depends on never changes.
    async fn wants_instance(&mut self, id: InstanceId) -> Result<bool, StoreError> {
        if self.filter.workflow.is_none() && self.filter.tenant.is_none() {
            return Ok(true);
        }
        if let Some(verdict) = self.verdicts.get(&id) {
            return Ok(*verdict);
        }
        let instance = self.store.find_instance(id).await?;
        let verdict = instance.is_some_and(|instance| self.filter.fits(&instance));
        if self.verdicts.len() >= VERDICTS_LEN_MAX {
            self.verdicts.clear();
        }
        self.verdicts.insert(id, verdict);
        Ok(verdict)
    }
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        self.types.is_empty() || self.types.contains(&event.event_type())
    }

    fn fits(&self, instance: &InstanceSummary) -> bool {
        let identity = &instance.identity;
        self.workflow.as_ref().is_none_or(|workflow| identity.workflow_name == *workflow)
            && (self.tenant.is_none() || identity.tenant == self.tenant)
    }
}
