//! Tells what would go on for ever that the server stops: streams of events end in order, as if there was no more to tell.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;

use super::traffic::{Counted, Traffic};

/// What content has that has no end of its own.
const EVENT_STREAM: &str = "text/event-stream";

/// Whether the server stops.
#[derive(Clone, Debug)]
pub(super) struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Stop {
    /// Tells everybody.
    pub(super) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Waits until somebody has told.
    pub(super) fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut told = self.0.subscribe();
        async move {
            // A sender that is gone means the same.
            let _ = told.wait_for(|stops| *stops).await;
        }
    }
}

/// Lets a stream of events end when the server stops, and counts it while it is open. Any other answer ends by itself.
pub(super) fn end_with(stop: &Stop, traffic: &Arc<Traffic>, answer: Response) -> Response {
    let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..EVENT_STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM.as_bytes()))
    });
    if !is_stream {
        return answer;
    }
    let stopped: BoxFuture<'static, ()> = Box::pin(stop.wait());
    let counted = traffic.begin_stream();
    answer.map(|body| Body::new(EndingBody { body: Some(body), stopped, _counted: counted }))
}

/// A body that ends when the server stops.
struct EndingBody {
    body: Option<Body>,
    stopped: BoxFuture<'static, ()>,
    _counted: Counted,
}

impl HttpBody for EndingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.stopped.as_mut().poll(context).is_ready() {
            this.body = None;
            return Poll::Ready(None);
        }
        Pin::new(body).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
