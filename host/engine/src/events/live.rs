//! One reader for everybody who follows what happens.
//!
//! Feeds that have come to the end of what there is wait at a *board*: one for each instance and each tenant that somebody
//! follows, and one for those who follow everybody. A single task reads what is new and puts each row on the boards that it
//! belongs on, so that neither the store nor a feed is bothered with what nobody there asked for.
//!
//! Invariants: a board has every row of its topic after its floor that was read; rows are on it in the order of their
//! positions; all boards together hold no more than a bounded number of rows and bytes, and the oldest go first. A feed
//! whose position is before the floor reads the store until it has caught up. The task begins with the first feed that
//! waits and ends with the last, with the engine, and when the store fails: then feeds ask the store themselves, and the
//! first that finds it well again begins a new one.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::id::InstanceId;
use stepcell_model::name::TenantId;
use stepcell_store::{HistoryFilter, HistoryRow, StoreError, WorkflowStore};
use tokio::sync::{Notify, watch};

use super::{LOOK_INTERVAL, PAGE_LEN_MAX};

/// How many rows all boards hold. Bounds their memory, and how far a feed may fall behind before it reads the store.
const ROWS_LEN_MAX: usize = 4_096;

/// How many bytes the events on all boards have as JSON. Bounds their memory where steps log much.
const ROWS_LEN_BYTES_MAX: usize = 8 << 20;

/// What a feed follows at least; the rest of its filter it looks at by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    All,
    Tenant(TenantId),
    Instance(InstanceId),
}

impl Topic {
    pub(super) fn of(filter: &HistoryFilter) -> Self {
        match (&filter.instance, &filter.tenant) {
            (Some(instance), _) => Self::Instance(*instance),
            (None, Some(tenant)) => Self::Tenant(tenant.clone()),
            (None, None) => Self::All,
        }
    }

    /// Every topic that a row belongs to.
    fn all_of(row: &HistoryRow) -> impl Iterator<Item = Self> {
        let tenant = row.tenant.clone().map(Self::Tenant);
        [Self::All, Self::Instance(row.entry.instance)].into_iter().chain(tenant)
    }
}

/// The boards of an engine, and the task that fills them.
pub(crate) struct Live {
    store: Arc<dyn WorkflowStore>,
    state: Mutex<State>,
    /// Wakes the task where nobody follows any more.
    left: Notify,
    rows_len_max: usize,
}

#[derive(Default)]
struct State {
    /// The number of the task that reads, if there is one.
    reading: Option<u64>,
    /// How many tasks there were.
    tasks: u64,
    /// What was read: every row up to here is on the boards, or on none that was there.
    position: u64,
    boards: HashMap<Topic, Held>,
    /// What is on the boards, oldest first, with its size.
    rows: VecDeque<(Arc<HistoryRow>, usize)>,
    len_bytes: usize,
}

/// A board, and how many feeds follow it.
struct Held {
    board: Arc<Board>,
    feeds: usize,
}

/// What happened lately of one topic.
struct Board {
    rows: Mutex<Rows>,
    /// Changes with every row that is put on; true once nothing will be put on any more.
    news: watch::Sender<bool>,
}

struct Rows {
    rows: VecDeque<Arc<HistoryRow>>,
    /// Every row of the topic after it is here.
    floor: u64,
}

/// What a feed finds on its board.
pub(super) enum Found {
    Row(Arc<HistoryRow>),
    /// Nothing yet.
    Nothing,
    /// The board does not go back so far: the store has what comes next.
    Behind,
}

impl Live {
    pub(crate) fn new(store: Arc<dyn WorkflowStore>) -> Self {
        Self { store, state: Mutex::default(), left: Notify::new(), rows_len_max: ROWS_LEN_MAX }
    }

    /// Follows a topic from now on; begins to read after `position` if nobody reads yet.
    pub(super) fn follow(self: &Arc<Self>, topic: Topic, position: u64, committed: &watch::Receiver<()>) -> Following {
        let mut state = self.state();
        if state.reading.is_none() {
            let number = state.tasks + 1;
            *state = State { reading: Some(number), tasks: number, position, ..State::default() };
            let (reading, committed) = (Reading { live: Arc::clone(self), number }, committed.clone());
            tokio::spawn(async move { reading.run(committed).await });
        }
        let floor = state.position;
        let held = state.boards.entry(topic.clone()).or_insert_with(|| Held::new(floor));
        held.feeds += 1;
        let board = Arc::clone(&held.board);
        let news = board.news.subscribe();
        Following { live: Arc::clone(self), topic, board, news }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a row on the boards that it belongs on, if there are any.
    fn put(&mut self, row: HistoryRow) {
        let row = Arc::new(row);
        let mut is_wanted = false;
        for topic in Topic::all_of(&row) {
            if let Some(held) = self.boards.get(&topic) {
                held.board.rows().rows.push_back(Arc::clone(&row));
                held.board.news.send_replace(false);
                is_wanted = true;
            }
        }
        if is_wanted {
            let len_bytes = len_bytes_of(&row);
            self.len_bytes += len_bytes;
            self.rows.push_back((row, len_bytes));
        }
    }

    /// Lets the oldest rows go until there is room again.
    fn keep_within(&mut self, rows_len_max: usize) {
        while self.rows.len() > rows_len_max || self.len_bytes > ROWS_LEN_BYTES_MAX {
            self.take_down_oldest();
        }
    }

    fn take_down_oldest(&mut self) {
        let Some((row, len_bytes)) = self.rows.pop_front() else { return };
        self.len_bytes -= len_bytes;
        for topic in Topic::all_of(&row) {
            if let Some(held) = self.boards.get(&topic) {
                held.board.rows().take_down(row.entry.position);
            }
        }
    }

    fn leave(&mut self, topic: &Topic, board: &Arc<Board>) {
        // One that a reader before this one filled is not there any more.
        let Some(held) = self.boards.get_mut(topic).filter(|held| Arc::ptr_eq(&held.board, board)) else { return };
        held.feeds -= 1;
        if held.feeds == 0 {
            self.boards.remove(topic);
        }
    }
}

impl Held {
    fn new(floor: u64) -> Self {
        let rows = Mutex::new(Rows { rows: VecDeque::new(), floor });
        Self { board: Arc::new(Board { rows, news: watch::Sender::new(false) }), feeds: 0 }
    }
}

impl Board {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Takes the row at `position` down. It is not here if the board was made after it came.
    fn take_down(&mut self, position: u64) {
        if self.rows.front().is_some_and(|first| first.entry.position == position) {
            self.rows.pop_front();
            self.floor = position;
        }
    }
}

/// A feed's place at a board. Dropping it leaves the board.
pub(super) struct Following {
    live: Arc<Live>,
    topic: Topic,
    board: Arc<Board>,
    news: watch::Receiver<bool>,
}

impl Following {
    /// The first row after `position`.
    pub(super) fn find_after(&self, position: u64) -> Found {
        let rows = self.board.rows();
        if position < rows.floor {
            return Found::Behind;
        }
        let next = rows.rows.partition_point(|row| row.entry.position <= position);
        rows.rows.get(next).map_or(Found::Nothing, |row| Found::Row(Arc::clone(row)))
    }

    /// Takes note of what is there: only what comes after ends a wait.
    pub(super) fn mark(&mut self) {
        self.news.mark_unchanged();
    }

    /// Waits until something is put on the board. Answers whether it will go on being filled.
    pub(super) async fn wait(&mut self) -> bool {
        // Asked first: a board that was given up before the wait began does not change any more.
        !*self.news.borrow() && self.news.changed().await.is_ok() && !*self.news.borrow()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.live.state();
        state.leave(&self.topic, &self.board);
        if state.boards.is_empty() {
            self.live.left.notify_one();
        }
    }
}

/// The task that reads. However it ends, those who wait are told that nobody reads for them any more.
struct Reading {
    live: Arc<Live>,
    number: u64,
}

impl Reading {
    async fn run(self, mut committed: watch::Receiver<()>) {
        loop {
            // Before the look: what is committed after it ends the wait.
            committed.mark_unchanged();
            let has_engine = committed.has_changed().is_ok();
            match self.read().await {
                Ok(true) if self.is_done() => return,
                Ok(true) => continue,
                Ok(false) if has_engine => {}
                Ok(false) | Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "what happens can not be read for now; feeds ask by themselves");
                    return;
                }
            }
            tokio::select! {
                biased;
                _ = committed.changed() => {}
                () = self.live.left.notified() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            if self.is_done() {
                return;
            }
        }
    }

    /// Puts what comes next on the boards. Answers whether there may be more.
    async fn read(&self) -> Result<bool, StoreError> {
        // A store in memory never waits; a long way through what nobody wants must not hold the thread.
        tokio::task::yield_now().await;
        let position = self.live.state().position;
        let window = self.live.store.list_window(&HistoryFilter::default(), position, PAGE_LEN_MAX).await?;
        let mut state = self.live.state();
        for row in window.rows {
            state.put(row);
            state.keep_within(self.live.rows_len_max);
        }
        state.position = window.up_to;
        Ok(window.up_to > position)
    }

    /// Ends the task if nobody follows any more, unless somebody comes in between.
    fn is_done(&self) -> bool {
        let mut state = self.live.state();
        let is_done = state.boards.is_empty();
        if is_done {
            state.give_up(self.number);
        }
        is_done
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.live.state().give_up(self.number);
    }
}

impl State {
    /// Takes everything down that this task put up, and lets those who wait know.
    fn give_up(&mut self, number: u64) {
        if self.reading != Some(number) {
            return;
        }
        let given_up = std::mem::replace(self, Self { tasks: self.tasks, ..Self::default() });
        for held in given_up.boards.into_values() {
            held.board.news.send_replace(true);
        }
    }
}

fn len_bytes_of(row: &HistoryRow) -> usize {
    struct Counted(usize);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    // What can not be written as JSON can not be in a store either.
    let _ = serde_json::to_writer(&mut counted, &row.entry.events);
    counted.0
}

#[cfg(test)]
mod tests;
