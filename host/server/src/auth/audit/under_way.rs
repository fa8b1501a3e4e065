//! Audited requests under way, so that a stop can wait for what they come to.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// Counts requests from before they change anything until their record is queued.
#[derive(Clone, Debug)]
pub(super) struct UnderWay(watch::Sender<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    numbers: BTreeSet<u64>,
}

/// Held by a request whose record is still to come.
#[derive(Debug)]
pub(in crate::auth) struct Ticket {
    number: u64,
    of: UnderWay,
}

impl UnderWay {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Open::default()))
    }

    /// One more request.
    pub(super) fn begin(&self) -> Ticket {
        let mut number = 0;
        self.0.send_modify(|open| {
            number = open.next;
            open.next += 1;
            open.numbers.insert(number);
        });
        Ticket { number, of: self.clone() }
    }

    /// Waits until all requests are over that have begun by now; later ones keep nobody waiting.
    pub(super) async fn over(&self) {
        let mut seen = self.0.subscribe();
        let next = seen.borrow().next;
        // The sender is held here.
        let _ = seen.wait_for(|open| open.numbers.first().is_none_or(|first| *first >= next)).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.of.0.send_modify(|open| {
            open.numbers.remove(&self.number);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_does_so_for_what_has_begun_and_for_nothing_later() {
        let under_way = UnderWay::new();
        let (first, second) = (under_way.begin(), under_way.begin());

        let mut over = Box::pin(under_way.over());
        assert!((&mut over).now_or_never().is_none());
        let later = under_way.begin();
        drop(second);
        assert!((&mut over).now_or_never().is_none(), "the first is still under way");
        drop(first);

        over.await;
        drop(later);
    }
}
