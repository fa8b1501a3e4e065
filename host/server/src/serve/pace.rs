//! Bodies must arrive at a rate: who sends a byte a second holds nobody up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::limits::ServeLimits;

/// Whether a body was given up because it came too slowly.
#[derive(Clone, Debug, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is_late(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a body was given up.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request arrived too slowly; send it at once")]
struct TooSlow;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is given up once its reader has waited for longer than what has come allows.
///
/// Only time in which somebody wants more and nothing is there counts: a handler that takes its time costs the sender none.
#[derive(Debug)]
pub(super) struct PacedBody<B> {
    body: B,
    late: Late,
    grace: Duration,
    bytes_per_second_min: u32,
    received_bytes: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> PacedBody<B> {
    pub(super) fn new(body: B, limits: &ServeLimits, late: Late) -> Self {
        Self {
            body,
            late,
            grace: limits.body_grace,
            bytes_per_second_min: limits.body_bytes_per_second_min.max(1),
            received_bytes: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }

    /// How long the reader may wait in all, for what has come.
    fn allowance(&self) -> Duration {
        let bought_ms = self.received_bytes.saturating_mul(1000) / u64::from(self.bytes_per_second_min);
        self.grace.saturating_add(Duration::from_millis(bought_ms))
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.allowance().saturating_sub(self.waited);
        let (_, timer) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + left)))
        });
        timer.as_mut().poll(context)
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for PacedBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some((since, _)) = this.waiting.take() {
                this.waited += since.elapsed();
            }
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
                this.received_bytes += data.len() as u64;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.poll_late(context).is_ready() {
            this.late.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
