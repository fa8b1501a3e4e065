//! Tells entries to a function of whoever embeds the engine, one at a time.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use stepcell_model::history::HistoryEntry;
use stepcell_store::StoreError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{EventFeed, EventFilter, FeedStart};
use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// The wait before a store is asked again that could not be reached.
const AGAIN_INTERVAL: Duration = Duration::from_secs(1);

impl WorkflowEngine {
    /// Calls `handler` with each entry of a feed, one after the other, on a task of its own.
    ///
    /// The handler delays nobody but itself. Where it fails or panics, that is logged and the feed goes on with the next
    /// entry: no entry is told twice, so a handler that must not miss any tries again by itself.
    ///
    /// # Errors
    /// As [`WorkflowEngine::events`].
    ///
    /// # Examples
    /// ```
    /// use stepcell_engine::{EngineError, EventFilter, FeedStart, Listening, WorkflowEngine};
    ///
    /// async fn log_everything(engine: &WorkflowEngine) -> Result<Listening, EngineError> {
    ///     let handler = async |entry: stepcell_model::history::HistoryEntry| {
    ///         println!("{} {:?}", entry.instance, entry.events);
    ///         Ok::<_, std::io::Error>(())
    ///     };
    ///     engine.on_event(EventFilter::default(), FeedStart::Now, handler).await
    /// }
    /// ```
    pub async fn on_event<H, F, E>(
        &self,
        filter: EventFilter,
        start: FeedStart,
        handler: H,
    ) -> Result<Listening, EngineError>
    where
        H: FnMut(HistoryEntry) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let feed = self.events(filter, start).await?;
        let (stop, stopping) = watch::channel(());
        let position = Arc::new(AtomicU64::new(feed.position()));
        let task = tokio::spawn(tell(feed, stopping, Arc::clone(&position), handler));
        Ok(Listening { position, stop: Some(stop), task })
    }
}

/// A handler that is told what happens. Dropping it ends that at once; [`Self::stop`] lets the handler end first.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Listening {
    position: Arc<AtomicU64>,
    /// Gone once it shall stop.
    stop: Option<watch::Sender<()>>,
    task: JoinHandle<()>,
}

impl Listening {
    /// The position up to which everything was handled or passed over; [`FeedStart::After`] it goes on here.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Waits until the handler has ended with the entry that it has, and tells it no more. Answers with the position to
    /// go on from.
    pub async fn stop(mut self) -> u64 {
        drop(self.stop.take());
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "a handler of events did not end in order");
        }
        self.position()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tell<H, F, E>(mut feed: EventFeed, mut stopping: watch::Receiver<()>, position: Arc<AtomicU64>, mut handler: H)
where
    H: FnMut(HistoryEntry) -> F + Send,
    F: Future<Output = Result<(), E>> + Send,
    E: Display + Send,
{
    loop {
        let told = tokio::select! {
            biased;
            _ = stopping.changed() => return,
            told = feed.next() => told,
        };
        match told {
            Ok(Some(entry)) => handle(&mut handler, entry).await,
            Ok(None) => return,
            Err(error @ StoreError::Unavailable { .. }) => {
                tracing::warn!(%error, "events can not be read for now");
                tokio::time::sleep(AGAIN_INTERVAL).await;
            }
            Err(error) => {
                tracing::error!(%error, "events can not be read; their handler is told no more");
                return;
            }
        }
        position.store(feed.position(), Ordering::Release);
    }
}

async fn handle<H, F, E>(handler: &mut H, entry: HistoryEntry)
where
    H: FnMut(HistoryEntry) -> F + Send,
    F: Future<Output = Result<(), E>> + Send,
    E: Display + Send,
{
    let (position, instance) = (entry.position, entry.instance);
    // The call itself may panic, too, before there is a future of it.
    let handled = AssertUnwindSafe(async { handler(entry).await }).catch_unwind().await;
    match handled {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(position, %instance, %error, "a handler of events failed and goes on"),
        Err(_) => tracing::error!(position, %instance, "a handler of events panicked and goes on"),
    }
}
