//! A few connections that only read, each used by one call at a time.

use std::path::Path;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::fate::Fate;
use super::loss::Opened;
use super::{SqliteOptions, open};
use crate::error::StoreError;

/// Lends connections; opens one where none is idle.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    options: SqliteOptions,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    fate: Fate,
    /// Dropped last, after every connection that is idle.
    _opened: Arc<Opened>,
}

impl Readers {
    pub(super) fn new(path: &Path, options: &SqliteOptions, fate: Fate, opened: Arc<Opened>) -> Self {
        let permits = Semaphore::new(options.readers_max.max(1));
        Self { path: path.to_owned(), options: *options, permits, idle: Mutex::default(), fate, _opened: opened }
    }

    /// Runs `read` on a thread that may block, in one transaction: all that it sees is of one moment.
    pub(super) async fn run<T, R>(self: &Arc<Self>, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let (mut tell, told) = oneshot::channel();
        // A task of its own: a permit is given to whoever is next in line, and a caller that is not polled just then, as it
        // waits for another read itself, would keep it from everybody for ever.
        tokio::spawn(async move {
            let permit = tokio::select! {
                biased;
                permit = readers.permits.acquire() => permit,
                // Whoever went away leaves the line at once: it is never longer than there are callers, and of those a server
                // has no more than connections, however many of them came and went.
                () = tell.closed() => return,
            };
            let outcome = match permit {
                Ok(_permit) => {
                    let of_thread = Arc::clone(&readers);
                    tokio::task::spawn_blocking(move || of_thread.read(read))
                        .await
                        .map_err(unread)
                        .and_then(|read| read)
                }
                Err(_) => Err(StoreError::Closed),
            };
            // Whoever asked may be gone.
            let _ = tell.send(outcome);
        });
        told.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Ends the pool: idle connections are closed, later calls find the store closed.
    pub(super) fn close(&self) {
        self.permits.close();
        for connection in self.idle().drain(..) {
            self.fate.settle(&connection);
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| open::for_reading(&self.path, &self.options), Ok)?;
        let transaction = connection.unchecked_transaction()?;
        let outcome = read(&transaction);
        drop(transaction);
        if self.permits.is_closed() {
            self.fate.settle(&connection);
        } else {
            self.idle().push(connection);
        }
        outcome
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unread(error: tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable { action: "read".to_owned(), source: Arc::new(error) }
}
