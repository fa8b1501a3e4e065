//! What happened, told to whoever listens in this process.

use std::sync::Arc;

use stepcell_model::history::HistoryEntry;
use tokio::sync::broadcast;

/// How many transitions a subscriber may be behind before it is told to read the rest from the store.
pub(crate) const SUBSCRIBER_LAG_MAX: usize = 4_096;

/// Committed transitions as they come. A slow subscriber delays nobody: it loses its place and is told so.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Arc<HistoryEntry>>);

/// What a subscription gives next.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The next transition.
    Entry(Arc<HistoryEntry>),
    /// This many were missed; read them from the store by the position of the last one seen.
    Missed(u64),
    /// The engine has stopped.
    Ended,
}

impl Subscription {
    pub(crate) const fn new(receiver: broadcast::Receiver<Arc<HistoryEntry>>) -> Self {
        Self(receiver)
    }

    /// Waits for the next transition.
    pub async fn next(&mut self) -> Told {
        match self.0.recv().await {
            Ok(entry) => Told::Entry(entry),
            Err(broadcast::error::RecvError::Lagged(missed)) => Told::Missed(missed),
            Err(broadcast::error::RecvError::Closed) => Told::Ended,
        }
    }
}
