//! Moves the write-ahead log into the database on a thread of its own, so that the writer does not wait for it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::writer::spawn;
use crate::error::StoreError;

/// How many pages the log grows by from one checkpoint to the next. Rarer is cheaper, as hot pages are moved once.
const CHECKPOINT_PAGES: i32 = 2_000;

/// How long the log may get before the writer is held up for a moment to start it over. Bounds the file.
const LOG_PAGES_MAX: i64 = 16_000;

enum Signal {
    Grown,
    Finish,
}

/// Tells the checkpoint thread how the log grows.
pub(super) struct Checkpoints {
    signals: SyncSender<Signal>,
}

impl Checkpoints {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(connection: Connection) -> Result<(Self, JoinHandle<()>), StoreError> {
        let (signals, receiver) = sync_channel(1);
        let thread = spawn("stepcell-checkpoints", move || run(&connection, &receiver))?;
        Ok((Self { signals }, thread))
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

    /// Empties the log and ends the thread.
    pub(super) fn finish(&self) {
        // The thread is gone only if it panicked; then SQLite itself empties the log with the last connection.
        let _ = self.signals.send(Signal::Finish);
    }
}

fn run(connection: &Connection, signals: &Receiver<Signal>) {
    while let Ok(signal) = signals.recv() {
        let outcome = match signal {
            Signal::Grown => checkpoint(connection, "PASSIVE").and_then(|log_pages| {
                if log_pages > LOG_PAGES_MAX { checkpoint(connection, "RESTART") } else { Ok(log_pages) }
            }),
            Signal::Finish => checkpoint(connection, "TRUNCATE"),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "the write-ahead log could not be moved into the database; it is tried again later");
        }
        if matches!(signal, Signal::Finish) {
            return;
        }
    }
}

/// Moves what it can; returns the length of the log in pages.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}
