//! Moves the write-ahead log into the database on a thread of its own, so that the writer does not wait for it.
//!
//! Under steady load the log has always grown a little more by then, and SQLite starts it over only once all of it is
//! moved. So when it gets long, the writer itself moves the small rest, at a moment when nobody writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::fate::Fate;
use super::writer::spawn;
use crate::error::StoreError;

/// How many pages the log grows by from one checkpoint to the next. Rarer is cheaper, as hot pages are moved once.
const CHECKPOINT_PAGES: i32 = 2_000;

/// How long the log may get before the writer is held up for a moment to have it started over. Bounds the file.
const LOG_PAGES_MAX: i64 = 16_000;

enum Signal {
    Grown,
    Finish,
}

/// Tells the checkpoint thread how the log grows.
pub(super) struct Checkpoints {
    signals: SyncSender<Signal>,
    /// Set by the thread when only the writer can have the log started over.
    is_rest_due: Arc<AtomicBool>,
    fate: Fate,
}

impl Checkpoints {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(connection: Connection, fate: Fate) -> Result<(Self, JoinHandle<()>), StoreError> {
        let (signals, receiver) = sync_channel(1);
        let is_rest_due = Arc::new(AtomicBool::new(false));
        let (told, ended) = (Arc::clone(&is_rest_due), fate.clone());
        let thread = spawn("stepcell-checkpoints", move || run(&connection, &receiver, &told, &ended))?;
        Ok((Self { signals, is_rest_due, fate }, thread))
    }

    /// What the writer's connection calls after each commit, with the length of the log.
    pub(super) fn hook(&self) -> impl FnMut(&mut Wal, i32) -> rusqlite::Result<()> + Send + 'static {
        let signals = self.signals.clone();
        let mut pages_at_last = 0;
        move |_, pages| {
            // A shorter log was started over.
            pages_at_last = pages_at_last.min(pages);
            if pages - pages_at_last >= CHECKPOINT_PAGES {
                pages_at_last = pages;
                // A full channel means that one is on its way.
                let _ = signals.try_send(Signal::Grown);
            }
            Ok(())
        }
    }

    /// Moves the rest of a log that got long. The writer calls it between two transactions.
    pub(super) fn move_rest(&self, writer: &Connection) {
        if self.is_rest_due.swap(false, Ordering::Relaxed) {
            report(checkpoint(writer, "PASSIVE"), &self.fate);
        }
    }

    /// Empties the log and ends the thread.
    pub(super) fn finish(&self) {
        // The thread is gone only if it panicked; then SQLite itself empties the log with the last connection.
        let _ = self.signals.send(Signal::Finish);
    }
}

fn run(connection: &Connection, signals: &Receiver<Signal>, is_rest_due: &AtomicBool, fate: &Fate) {
    while let Ok(Signal::Grown) = signals.recv() {
        let log_pages = match fate.check() {
            Ok(()) => report(checkpoint(connection, "PASSIVE"), fate),
            Err(_) => None,
        };
        if log_pages.is_some_and(|pages| pages > LOG_PAGES_MAX) {
            is_rest_due.store(true, Ordering::Relaxed);
        }
    }
    if fate.check().is_ok() {
        report(checkpoint(connection, "TRUNCATE"), fate);
    }
    fate.settle(connection);
}

fn report(outcome: rusqlite::Result<i64>, fate: &Fate) -> Option<i64> {
    let told = outcome.map_err(|error| fate.during("move the write-ahead log", error));
    told.inspect_err(|error| tracing::warn!(%error, "the write-ahead log could not be moved")).ok()
}

/// Moves what it can; returns the length of the log in pages.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}
