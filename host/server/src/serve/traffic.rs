//! Counts what goes on at a server: plain numbers that cost nothing to keep, for whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one server or of several together.
#[derive(Debug, Default)]
pub struct Traffic {
    accepted: AtomicU64,
    refused: AtomicU64,
    open: AtomicU64,
    in_flight: AtomicU64,
    streams: AtomicU64,
    slow_bodies: AtomicU64,
    failed_handshakes: AtomicU64,
}

/// What [`Traffic`] has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Connections that were let in, ever.
    pub accepted: u64,
    /// Connections that there was no room for, ever.
    pub refused: u64,
    /// Connections that are open.
    pub open: u64,
    /// Requests that are being answered; streams of events not counted.
    pub in_flight: u64,
    /// Streams of events that are open.
    pub streams: u64,
    /// Requests whose body arrived too slowly, ever.
    pub slow_bodies: u64,
    /// TLS handshakes that failed or took too long, ever.
    pub failed_handshakes: u64,
}

impl Traffic {
    /// What it has come to by now.
    #[must_use]
    pub fn counts(&self) -> TrafficCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TrafficCounts {
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            open: read(&self.open),
            in_flight: read(&self.in_flight),
            streams: read(&self.streams),
            slow_bodies: read(&self.slow_bodies),
            failed_handshakes: read(&self.failed_handshakes),
        }
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_slow_body(&self) {
        self.slow_bodies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fail_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn open(self: &Arc<Self>) -> Counted {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Counted::new(self, |traffic| &traffic.open)
    }

    pub(super) fn begin_request(self: &Arc<Self>) -> Counted {
        Counted::new(self, |traffic| &traffic.in_flight)
    }

    pub(super) fn begin_stream(self: &Arc<Self>) -> Counted {
        Counted::new(self, |traffic| &traffic.streams)
    }
}

/// One of those that are there, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Counted {
    traffic: Arc<Traffic>,
    which: fn(&Traffic) -> &AtomicU64,
}

impl Counted {
    fn new(traffic: &Arc<Traffic>, which: fn(&Traffic) -> &AtomicU64) -> Self {
        which(traffic).fetch_add(1, Ordering::Relaxed);
        Self { traffic: Arc::clone(traffic), which }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.which)(&self.traffic).fetch_sub(1, Ordering::Relaxed);
    }
}
