//! Work that is brought to its end although whoever waits for it has gone.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::runtime::Handle;

use crate::engine::Inner;

/// Work of a caller. Where that one stops waiting once it has begun, it goes on in a task of its own: what a store has taken
/// can not be called back, and somebody must see to what follows from it. As long as somebody waits it costs no task.
///
/// # Examples
/// ```
/// # use stepcell_engine::Finishing;
/// # async fn example() {
/// let told = Finishing::of(async { 7 }).await;
/// assert_eq!(told, 7);
/// # }
/// ```
pub struct Finishing<T: Send + 'static> {
    work: Option<BoxFuture<'static, T>>,
    /// Goes on only while that one drives.
    driver: Option<Arc<Inner>>,
}

impl<T: Send + 'static> Finishing<T> {
    /// Work that goes on whoever waits for it.
    pub fn of(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), driver: None }
    }

    /// The same work, which only goes on while an engine drives.
    pub(crate) fn while_driving(mut self, inner: &Arc<Inner>) -> Self {
        self.driver = Some(Arc::clone(inner));
        self
    }
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out while it runs: what panicked is not run again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let told = work.as_mut().poll(context);
        if told.is_pending() {
            self.work = Some(work);
        }
        told
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && self.driver.as_ref().is_none_or(|inner| inner.is_driving())
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { drop(work.await) });
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Finishing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finishing").field("is_under_way", &self.work.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_ends_all_the_same() {
        let ((begin, begun), (tell, told)) = (oneshot::channel::<()>(), oneshot::channel());
        let mut work = Finishing::of(async move {
            begun.await.ok();
            tell.send(7).ok();
        });
        assert!((&mut work).now_or_never().is_none());

        drop(work);
        begin.send(()).unwrap();

        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_panicked_is_not_run_again() {
        let (tell, told) = oneshot::channel::<()>();
        let work = Finishing::of(async move {
            let _tell = tell;
            panic!("it breaks");
        });

        assert!(std::panic::AssertUnwindSafe(work).catch_unwind().await.is_err());

        assert!(told.await.is_err());
    }
}
