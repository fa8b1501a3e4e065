//! The one thread that writes: it takes whatever waits, and commits it in one flush.
//!
//! Group commit without a timer: alone, a request is flushed at once; under load, those that come during a flush
//! share the next. Nobody is answered before the flush that holds their rows. After one that failed in a way that leaves
//! open what reached the disk there is no next one: every later call is told so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::fate::Fate;
use crate::error::StoreError;

/// How many requests wait for the writer; more wait at their caller. Bounds memory.
const QUEUE_LEN_MAX: usize = 4_096;

/// How many requests share one flush. Bounds the wait of the first of them.
const BATCH_LEN_MAX: usize = 512;

/// Hands work to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// None once it was stopped.
    running: Mutex<Option<Running>>,
    physical_commits: Arc<AtomicU64>,
    fate: Fate,
}

#[derive(Debug)]
struct Running {
    queue: mpsc::Sender<Box<dyn Job>>,
    threads: Threads,
}

/// The threads of a writer that was told to stop.
#[derive(Debug)]
pub(super) struct Threads {
    writer: JoinHandle<()>,
    checkpoints: JoinHandle<()>,
}

impl Threads {
    /// Waits until everything is stored and both threads have ended.
    pub(super) fn join(self) {
        for thread in [self.writer, self.checkpoints] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked; what it had not acknowledged is not stored");
            }
        }
    }
}

impl Writer {
    /// Starts the writing thread and the one that does its checkpoints.
    pub(super) fn start(connection: Connection, checkpoints: Connection, fate: Fate) -> Result<Self, StoreError> {
        let physical_commits = Arc::new(AtomicU64::new(0));
        let (queue, jobs) = mpsc::channel(QUEUE_LEN_MAX);
        let (checkpoints, checkpoint_thread) = Checkpoints::start(checkpoints, fate.clone())?;
        let mut thread = WriterThread {
            connection,
            checkpoints,
            jobs,
            physical_commits: Arc::clone(&physical_commits),
            fate: fate.clone(),
        };
        thread.connection.wal_hook(Some(thread.checkpoints.hook()))?;
        let writer = spawn("stepcell-writer", move || thread.run())?;
        let threads = Threads { writer, checkpoints: checkpoint_thread };
        Ok(Self { running: Mutex::new(Some(Running { queue, threads })), physical_commits, fate })
    }

    /// Runs `work` in a transaction of the writing thread and answers once that is flushed.
    ///
    /// `work` may run more than once. If it returns a refusal, it must have written nothing.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Request { work, outcome: None, reply })).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Lets the writer finish what waits; it takes nothing more. None if it was stopped before.
    pub(super) fn stop(&self) -> Option<Threads> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.take().map(|running| running.threads)
    }

    pub(super) fn physical_commits(&self) -> u64 {
        self.physical_commits.load(Ordering::Relaxed)
    }

    async fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        self.fate.check()?;
        let queue = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.as_ref().map(|running| running.queue.clone()).ok_or(StoreError::Closed)?
        };
        queue.send(job).await.map_err(|_| StoreError::Closed)
    }
}

/// Starts a thread of the store.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| StoreError::Unavailable {
        action: format!("start the thread {name}"),
        source: Arc::new(error),
    })
}

/// Work that waits for the writer, with its caller.
trait Job: Send {
    /// Does the work and keeps what it came to. An error is the store's own trouble, never a refusal.
    fn apply(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Tells the caller: what the work came to, or why its transaction was not stored.
    fn answer(self: Box<Self>, stored: Result<(), StoreError>);
}

struct Request<T, W> {
    work: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: Fn(&Connection) -> Result<T, StoreError> + Send> Job for Request<T, W> {
    fn apply(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let outcome = (self.work)(connection);
        let trouble = outcome.as_ref().err().filter(|error| !error.is_refusal()).cloned();
        self.outcome = Some(outcome);
        trouble.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, stored: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        // A caller that has gone away needs no answer.
        let _ = reply.send(stored.and_then(|()| outcome.unwrap_or(Err(StoreError::Closed))));
    }
}

struct WriterThread {
    connection: Connection,
    checkpoints: Checkpoints,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    physical_commits: Arc<AtomicU64>,
    fate: Fate,
}

/// Where a transaction went wrong. Only trouble in one job's work leaves hope for its neighbours.
enum Trouble {
    AtTheEnds(StoreError),
    InAJob(StoreError),
}

impl WriterThread {
    fn run(mut self) {
        let mut batch = Vec::new();
        while self.jobs.blocking_recv_many(&mut batch, BATCH_LEN_MAX) > 0 {
            self.store(std::mem::take(&mut batch));
            if self.fate.check().is_ok() {
                self.checkpoints.move_rest(&self.connection);
            }
        }
        self.checkpoints.finish();
        self.fate.settle(&self.connection);
    }

    fn store(&self, mut batch: Vec<Box<dyn Job>>) {
        let stored = match self.store_together(&mut batch) {
            Err(Trouble::InAJob(_)) if batch.len() > 1 => return self.store_one_by_one(batch),
            Err(Trouble::InAJob(error) | Trouble::AtTheEnds(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        for job in batch {
            job.answer(stored.clone());
        }
    }

    /// Gives each job a transaction of its own, so that the one in trouble takes nobody with it.
    fn store_one_by_one(&self, batch: Vec<Box<dyn Job>>) {
        let mut unreachable = None;
        for mut job in batch {
            let stored = match unreachable.clone() {
                Some(error) => Err(error),
                None => match self.store_together(std::slice::from_mut(&mut job)) {
                    Err(Trouble::AtTheEnds(error)) => Err(unreachable.insert(error).clone()),
                    Err(Trouble::InAJob(error)) => Err(error),
                    Ok(()) => Ok(()),
                },
            };
            job.answer(stored);
        }
    }

    /// Stores a batch in one transaction; dropping it on an error rolls everything back.
    fn store_together(&self, batch: &mut [Box<dyn Job>]) -> Result<(), Trouble> {
        self.fate.check().map_err(Trouble::AtTheEnds)?;
        let at_the_ends = |action| move |error| Trouble::AtTheEnds(self.fate.during(action, error));
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
            .map_err(at_the_ends("begin to write (another process may be writing)"))?;
        for job in batch {
            job.apply(&transaction).map_err(|error| Trouble::InAJob(self.fate.take(error)))?;
        }
        transaction.commit().map_err(at_the_ends("flush to disk"))?;
        self.physical_commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
