//! Work that is brought to its end although whoever waits for it has gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use tokio::runtime::Handle;

use crate::engine::Inner;

/// Work of a caller. Where that one stops waiting once it has begun, it goes on in a task of its own, as long as the engine
/// drives: what a store has taken can not be called back, and somebody must see to what follows from it.
pub(crate) struct Finishing<T: Send + 'static> {
    inner: Arc<Inner>,
    work: Option<BoxFuture<'static, T>>,
}

impl<T: Send + 'static> Finishing<T> {
    pub(crate) fn of(inner: &Arc<Inner>, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { inner: Arc::clone(inner), work: Some(Box::pin(work)) }
    }
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let told = ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(told)
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && self.inner.is_driving()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}
