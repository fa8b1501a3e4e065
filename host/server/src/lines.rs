//! How many may do something at once where the others wait: each tenant in a line of its own, so that a long one keeps nobody
//! else waiting for more than the few of it that are at it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for a bounded number, in all and of each.
#[derive(Debug)]
pub(crate) struct Lines {
    all: Arc<Semaphore>,
    each_max: usize,
    /// The lines in which somebody stands.
    each: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    /// Kept while somebody has a place of it.
    _line: Arc<Semaphore>,
}

impl Lines {
    /// Room for so many in all, and so many of each.
    pub(crate) fn new(max: usize, each_max: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(max)), each_max, each: Mutex::default() }
    }

    /// A place, as soon as there is one: first of one's own, then of all.
    pub(crate) async fn take(&self, who: &str) -> Place {
        let line = self.line(who);
        // Neither is ever closed.
        let own = Arc::clone(&line).acquire_owned().await.expect("a line stays open");
        let of_all = Arc::clone(&self.all).acquire_owned().await.expect("the room stays open");
        Place { _of_all: of_all, _own: own, _line: line }
    }

    fn line(&self, who: &str) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = each.get(who).and_then(Weak::upgrade) {
            return line;
        }
        each.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Semaphore::new(self.each_max));
        each.insert(who.to_owned(), Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_has_a_long_line_keeps_nobody_else_waiting() {
        let lines = Lines::new(3, 2);
        let (first, second) = (lines.take("a").await, lines.take("a").await);
        let mut waiting = Box::pin(lines.take("a"));
        assert!((&mut waiting).now_or_never().is_none());

        let other = lines.take("b").now_or_never().expect("there is a place that `a` may not have");
        assert!(lines.take("c").now_or_never().is_none(), "three are three");

        drop(first);
        let third = waiting.await;
        drop((second, third, other));
        drop(lines.take("d").await);
        assert_eq!(lines.each.lock().unwrap().len(), 1, "lines in which nobody stands are let go of");
    }
}
