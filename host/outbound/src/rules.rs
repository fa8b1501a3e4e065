//! What the requests of one attempt may do, and how much of that is used up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stepcell_model::grants::StepGrants;
use stepcell_model::limits::CellLimits;
use stepcell_model::trace::TraceContext;
use tokio::sync::Semaphore;

use crate::error::OutboundError;

/// The shortest time-out, whatever the author wants: less is none.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// How much the requests of one attempt may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundLimits {
    /// How many there may be. Protects the servers and the network.
    pub requests_max: u32,
    /// How many are under way at once; further ones wait, within their own time. Protects the host's memory and the
    /// servers.
    pub at_once_max: u32,
    /// How long one may take, from the call to the last byte of the answer. Protects the host's connections.
    pub time_max: Duration,
    /// How large a request's body may be, and how large a response's. Protects the host's memory.
    pub body_bytes_max: u64,
}

impl From<&CellLimits> for OutboundLimits {
    fn from(limits: &CellLimits) -> Self {
        Self {
            requests_max: limits.http_requests_max,
            at_once_max: limits.http_at_once_max,
            time_max: limits.http_time_max,
            body_bytes_max: limits.http_body_bytes_max,
        }
    }
}

/// What the requests of one attempt may do. One for each attempt, shared by all of its requests.
#[derive(Debug)]
pub struct OutboundRules {
    /// What the attempt is granted.
    pub(crate) grants: StepGrants,
    /// What is sent as `idempotency-key`.
    pub(crate) idempotency_key: String,
    /// What is sent as `traceparent`.
    pub(crate) trace: Option<TraceContext>,
    /// How much they may use.
    pub(crate) limits: OutboundLimits,
    requests: AtomicU32,
    turns: Semaphore,
}

impl OutboundRules {
    /// Rules of which nothing is used up yet. Every request carries `idempotency_key`, in place of one that its author
    /// gave: the key of the execution, so that a server knows a second attempt again.
    #[must_use]
    pub fn new(grants: StepGrants, idempotency_key: impl Into<String>, limits: OutboundLimits) -> Self {
        let at_once = usize::try_from(limits.at_once_max).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            grants,
            idempotency_key: idempotency_key.into(),
            trace: None,
            limits,
            requests: AtomicU32::new(0),
            turns: Semaphore::new(at_once),
        }
    }

    /// The same rules, with every request in a trace. What authors say of one is never sent: it would be believed to be
    /// the host's.
    #[must_use]
    pub const fn within(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    /// How much the requests may use.
    #[must_use]
    pub const fn limits(&self) -> &OutboundLimits {
        &self.limits
    }

    /// Counts a request.
    pub(crate) fn count_request(&self) -> Result<(), OutboundError> {
        let requests_max = self.limits.requests_max;
        let count = |requests: u32| (requests < requests_max).then(|| requests + 1);
        let counted = self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.map(|_| ()).map_err(|_| OutboundError::RequestsUsedUp { requests_max })
    }

    /// Waits until fewer than the most are under way.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // The semaphore is never closed, so there always is a permit.
        self.turns.acquire().await.ok()
    }

    /// A time-out of an author, within what a request may take.
    pub(crate) fn timeout(&self, wanted: Option<Duration>) -> Duration {
        let longest = self.limits.time_max.max(TIMEOUT_MIN);
        wanted.unwrap_or(longest).clamp(TIMEOUT_MIN, longest)
    }
}
