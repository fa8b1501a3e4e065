//! What happened, told from the history that the store keeps.
//!
//! A feed reads: it tells each entry once, in the order of the commits, whichever process made them, and whoever resumes
//! at the position of the last one misses nothing. Nobody waits for a feed: one that is slow, or never read, holds one
//! page and delays nothing. Feeds that wait let one task read for all of them, which commits of this process wake; for
//! those of others it looks from time to time.

mod listening;
pub(crate) mod live;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stepcell_model::event_type::EventType;
use stepcell_model::history::{Event, HistoryEntry};
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_store::{HistoryFilter, HistoryRow, StoreError, WorkflowStore};
use tokio::sync::watch;

pub use self::listening::Listening;
use self::live::{Following, Found, Live, Topic};
use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// How many entries a feed reads at once. Bounds the memory of each.
const PAGE_LEN_MAX: u32 = 100;

/// How often is looked for what other processes committed.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

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
    pub async fn events(&self, mut filter: EventFilter, start: FeedStart) -> Result<EventFeed, EngineError> {
        let store = &self.inner.store;
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
        Ok(EventFeed {
            store: Arc::clone(store),
            live: Arc::clone(&self.inner.live),
            committed: self.inner.committed.subscribe(),
            types: std::mem::take(&mut filter.types).into(),
            rows: filter.rows().into(),
            position,
            up_to: position,
            page: VecDeque::new(),
            following: None,
        })
    }
}

/// What happened, entry by entry. Made by [`WorkflowEngine::events`].
///
/// An entry has those of its events that the filter asks for; one that has none is passed over. While it waits it holds
/// nothing but its filter and its place.
#[must_use = "a feed tells nothing unless it is read"]
pub struct EventFeed {
    store: Arc<dyn WorkflowStore>,
    live: Arc<Live>,
    /// Ends with the engine.
    committed: watch::Receiver<()>,
    rows: Box<HistoryFilter>,
    types: Box<[EventType]>,
    /// The last entry that was told or passed over.
    position: u64,
    /// How far the store was read.
    up_to: u64,
    page: VecDeque<HistoryRow>,
    /// Where it waits, since it first had to.
    following: Option<Following>,
}

impl fmt::Debug for EventFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFeed")
            .field("rows", &self.rows)
            .field("types", &self.types)
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
        Ok(self.next_row().await?.map(|row| row.entry))
    }

    /// As [`Self::next`], with whose the entry is.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_row(&mut self) -> Result<Option<HistoryRow>, StoreError> {
        Ok(self.next_shared().await?.map(|row| self.wanted(row)))
    }

    /// As [`Self::next_row`], with all events of an entry, of which at least one is wanted: what many feeds are told of is
    /// there once.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_shared(&mut self) -> Result<Option<Arc<HistoryRow>>, StoreError> {
        loop {
            // Before the look: what is put on the board after it ends the wait.
            if let Some(following) = &mut self.following {
                following.mark();
            }
            if let Some(row) = self.take_next() {
                return Ok(Some(row));
            }
            if self.is_up_to_date() {
                self.wait().await;
                continue;
            }
            let has_engine = self.committed.has_changed().is_ok();
            match self.turn_page().await {
                Ok(true) => {}
                Ok(false) if has_engine => self.follow(),
                Ok(false) | Err(StoreError::Closed) => return Ok(None),
                Err(error) => return Err(error),
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
        Ok(self.find_next_row().await?.map(|row| row.entry))
    }

    /// As [`Self::find_next`], with whose the entry is.
    ///
    /// # Errors
    /// As [`Self::find_next`].
    pub async fn find_next_row(&mut self) -> Result<Option<HistoryRow>, StoreError> {
        Ok(self.find_next_shared().await?.map(|row| self.wanted(row)))
    }

    /// As [`Self::find_next_row`], with all events of an entry, of which at least one is wanted.
    ///
    /// # Errors
    /// As [`Self::find_next`].
    pub async fn find_next_shared(&mut self) -> Result<Option<Arc<HistoryRow>>, StoreError> {
        loop {
            if let Some(row) = self.take_next() {
                return Ok(Some(row));
            }
            if !self.turn_page().await? {
                return Ok(None);
            }
        }
    }

    /// The position of the last entry that was told or passed over; [`FeedStart::After`] it goes on here.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The next row that is wanted, of those at hand: of the page that was read, then of the board.
    fn take_next(&mut self) -> Option<Arc<HistoryRow>> {
        while let Some(row) = self.page.pop_front() {
            self.position = row.entry.position;
            if self.wants_some(&row) {
                return Some(Arc::new(row));
            }
        }
        // A page as long as it was would be held for as long as nothing happens.
        self.page = VecDeque::new();
        self.position = self.position.max(self.up_to);
        while let Some(Found::Row(row)) = self.following.as_ref().map(|following| following.find_after(self.position)) {
            self.position = row.entry.position;
            if self.rows.fits(&row) && self.wants_some(&row) {
                return Some(row);
            }
        }
        None
    }

    fn wants_some(&self, row: &HistoryRow) -> bool {
        row.entry.events.iter().any(|event| self.wants(event))
    }

    /// The row with those of its events that are wanted.
    fn wanted(&self, row: Arc<HistoryRow>) -> HistoryRow {
        let mut row = Arc::unwrap_or_clone(row);
        row.entry.events.retain(|event| self.wants(event));
        row
    }

    fn wants(&self, event: &Event) -> bool {
        self.types.is_empty() || self.types.contains(&event.event_type())
    }

    /// Whether its board has what comes next.
    fn is_up_to_date(&self) -> bool {
        let found = self.following.as_ref().map(|following| following.find_after(self.position));
        matches!(found, Some(Found::Nothing | Found::Row(_)))
    }

    async fn wait(&mut self) {
        if let Some(following) = &mut self.following
            && !following.wait().await
        {
            // Nobody reads for it any more; what the store says about that, it asks itself.
            self.following = None;
        }
    }

    fn follow(&mut self) {
        if self.following.is_none() {
            self.following = Some(self.live.follow(Topic::of(&self.rows), self.position, &self.committed));
        }
    }

    /// Reads on in the store. Answers whether there may be more.
    async fn turn_page(&mut self) -> Result<bool, StoreError> {
        // A store in memory never waits; a long way through what nobody wants must not hold the thread.
        tokio::task::yield_now().await;
        let position = self.position;
        let window = self.store.list_window(&self.rows, position, PAGE_LEN_MAX).await?;
        self.up_to = window.up_to;
        self.page = window.rows.into();
        Ok(self.up_to > position)
    }
}

impl EventFilter {
    /// What the store and the boards look at; types are left to the feed.
    fn rows(self) -> HistoryFilter {
        HistoryFilter { instance: self.instance, tenant: self.tenant, workflow: self.workflow }
    }
}
