//! Keeps attempts that compute long out of the way of those that do not.
//!
//! An attempt begins where it was called, beside everything else that the host does: most are over before there is
//! anything to decide, and moving them would cost more than they do. One that has computed for more than a tick goes on
//! in the *heavy lane*: threads of its own, as many as there are processors, which the system prefers least, and on which
//! tenants take turns of a tick. However many attempts compute there, one that is short never stands behind them.
//!
//! Components whose attempts were long of late begin in the heavy lane at once.

mod heavy;
mod pace;
mod task;
mod turns;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use stepcell_model::id::ComponentDigest;
use stepcell_model::name::TenantId;
use tokio::sync::oneshot;

use self::heavy::HeavyLane;
use self::pace::Paces;
use crate::epoch::TICK;
use crate::meter::thread_cpu;

/// How long an attempt may compute where it was called. Protects everybody else who works there.
const LIGHT_CPU_MAX: Duration = TICK;

/// Where attempts run.
#[derive(Debug)]
pub(crate) struct Lanes {
    heavy: HeavyLane,
    paces: Paces,
}

impl Lanes {
    /// Starts the threads of the heavy lane.
    ///
    /// # Errors
    /// What the system said when it gave no thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { heavy: HeavyLane::start(processors)?, paces: Paces::default() })
    }

    /// Runs an attempt of a tenant to its end.
    ///
    /// Dropping the future drops the attempt: at once, or where it is computing just now, at the next tick.
    pub(crate) async fn run<F>(&self, tenant: Option<TenantId>, component: ComponentDigest, attempt: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut attempt = Box::pin(attempt);
        let mut cpu = Duration::ZERO;
        if !self.paces.is_slow(&component) {
            let light = poll_fn(|waker| {
                let began = thread_cpu();
                let polled = attempt.as_mut().poll(waker);
                cpu += thread_cpu().saturating_sub(began);
                match polled {
                    Poll::Ready(output) => Poll::Ready(Some(output)),
                    Poll::Pending if cpu > LIGHT_CPU_MAX => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            });
            if let Some(output) = light.await {
                self.paces.learn(component, cpu);
                return output;
            }
        }
        let (teller, told) = oneshot::channel();
        let tell = async move {
            // Where nobody waits for it any more, nobody misses it.
            let _ = teller.send(attempt.await);
        };
        let running = self.heavy.run(tenant, Box::pin(tell));
        let output = told.await.expect("the heavy lane runs an attempt to its end unless `running` is dropped");
        self.paces.learn(component, cpu + running.cpu());
        output
    }
}

#[cfg(test)]
mod tests;
