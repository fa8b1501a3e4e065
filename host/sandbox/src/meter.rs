//! Measures the time that an attempt spends on a CPU, and only that.
//!
//! An attempt moves between threads, so each poll is measured by the clock of the thread that it runs on. Other
//! threads and other attempts that have the processor meanwhile do not count.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long what the kernel said of a thread's CPU time is carried on by the clock on the wall.
///
/// Asking costs a system call, and an attempt that computes little is over by then. Bounds by how much each answer can be
/// too much: by as long as others had the processor meanwhile.
const CARRIED_ON_FOR: Duration = Duration::from_micros(100);

thread_local! {
    /// When the kernel was asked last on this thread, and what it said.
    static ASKED: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
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
            self.poll_began_ns.store(thread_cpu_ns(), Ordering::Relaxed);
            let began = Instant::now();
            let polled = future.as_mut().poll(waker);
            let wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.wall_ns.fetch_add(wall_ns, Ordering::Relaxed);
            self.used_ns.fetch_add(self.poll_ns(), Ordering::Relaxed);
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

/// How long this thread has computed since it began.
pub(crate) fn thread_cpu() -> Duration {
    Duration::from_nanos(thread_cpu_ns())
}

fn thread_cpu_ns() -> u64 {
    let now = Instant::now();
    if let Some((at, ns)) = ASKED.get() {
        let since = now.saturating_duration_since(at);
        if since < CARRIED_ON_FOR {
            return ns.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    let ns = kernels_thread_cpu_ns();
    ASKED.set(Some((now, ns)));
    ns
}

fn kernels_thread_cpu_ns() -> u64 {
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
}
