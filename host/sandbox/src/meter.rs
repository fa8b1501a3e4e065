//! Measures the time that an attempt spends on a CPU, and only that.
//!
//! An attempt moves between threads, so each poll is measured by the clock of the thread that it runs on. Other
//! threads and other attempts that have the processor meanwhile do not count.
//!
//! A look at that clock is a call of the system: six of them were a fifth of a short attempt. So whoever
//! measures within [`measured`] goes on from the last look that was taken there, instead of taking another one: what the
//! host does between the two counts as the attempt's.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

thread_local! {
    /// The last look at the clock, within work that is being measured on this thread.
    static LATEST_NS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The CPU time of one attempt. Shared between the attempt's future and the check at each epoch.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    used_ns: AtomicU64,
    wall_ns: AtomicU64,
    poll_began_ns: AtomicU64,
}

impl Meter {
    /// Runs a future to its end and adds up what its polls cost.
    pub(crate) async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|waker| {
            let looked_ns = LATEST_NS.get().unwrap_or_else(thread_cpu_ns);
            self.poll_began_ns.store(looked_ns, Ordering::Relaxed);
            let began = Instant::now();
            let polled = future.as_mut().poll(waker);
            let wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.wall_ns.fetch_add(wall_ns, Ordering::Relaxed);
            let now_ns = thread_cpu_ns();
            LATEST_NS.set(LATEST_NS.get().map(|_| now_ns));
            self.used_ns.fetch_add(now_ns.saturating_sub(looked_ns), Ordering::Relaxed);
            polled
        })
        .await
    }

    /// What was used up to the last poll.
    pub(crate) fn used(&self) -> Duration {
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed))
    }

    /// How long the guest computed by the clock on the wall, up to the last poll.
    pub(crate) fn guest_wall(&self) -> Duration {
        Duration::from_nanos(self.wall_ns.load(Ordering::Relaxed))
    }

    /// What was used up to now. Only from within a poll, on its thread.
    pub(crate) fn used_now(&self) -> Duration {
        self.used() + Duration::from_nanos(self.poll_ns())
    }

    fn poll_ns(&self) -> u64 {
        thread_cpu_ns().saturating_sub(self.poll_began_ns.load(Ordering::Relaxed))
    }
}

/// Does some work of an attempt on this thread, and says how long that computed.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began_ns = thread_cpu_ns();
    LATEST_NS.set(Some(began_ns));
    let until_then = Forget;
    let done = work();
    let ended_ns = LATEST_NS.get().filter(|latest| *latest > began_ns).unwrap_or_else(thread_cpu_ns);
    drop(until_then);
    (done, Duration::from_nanos(ended_ns.saturating_sub(began_ns)))
}

/// Forgets the last look when it goes, also where the work panics.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        LATEST_NS.set(None);
    }
}

/// How long this thread has computed since it began.
#[cfg(test)]
pub(crate) fn thread_cpu() -> Duration {
    Duration::from_nanos(thread_cpu_ns())
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, ns) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn computing_counts_and_waiting_does_not() {
        let meter = Meter::default();
        let began = Instant::now();

        meter
            .measure(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut x = 1_u64;
                while meter.used_now() < Duration::from_millis(5) {
                    x = std::hint::black_box(x.wrapping_mul(3));
                }
            })
            .await;

        assert!(meter.used() >= Duration::from_millis(5));
        assert!(meter.used() + Duration::from_millis(40) < began.elapsed());
    }

    #[test]
    fn what_is_measured_within_counts_for_both_and_is_forgotten_afterwards() {
        let meter = Meter::default();
        let compute = |length: Duration| {
            let began = thread_cpu();
            while thread_cpu().saturating_sub(began) < length {
                std::hint::spin_loop();
            }
        };
        let inner = || {
            let mut future = pin!(meter.measure(async { compute(Duration::from_millis(2)) }));
            future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        };

        let (polled, took) = measured(inner);
        let ((), alone) = measured(|| compute(Duration::from_millis(1)));

        assert!(polled.is_ready());
        assert_eq!(took, meter.used(), "both end with the same look");
        assert!(took >= Duration::from_millis(2) && alone >= Duration::from_millis(1));
        assert_eq!(LATEST_NS.get(), None);
    }
}
