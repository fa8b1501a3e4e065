//! Open arrivals: instances come at their times, however the host does, and count from when they should have begun.
//!
//! So whatever holds the host up is seen by everybody who came meanwhile, as in life.

use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::child::Job;
use crate::process;
use crate::quantiles::Quantiles;
use crate::setup::Guests;
use crate::workload::{Place, Workload, run_one};

/// Those that come in this time warm things up, and do not count.
const WARM_UP: Duration = Duration::from_secs(1);

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) workload: Workload,
    pub(crate) place: Place,
    /// How many come in a second.
    pub(crate) rate: f64,
    /// How long.
    pub(crate) length: Duration,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Arrived {
    pub(crate) latency: Quantiles,
    pub(crate) instances: u64,
    /// How long after its time an instance was started, of one in a hundred at least: what the measuring itself adds.
    pub(crate) late_p99_ms: f64,
    pub(crate) cpu_ms_each: f64,
}

impl Job for Open {
    const NAME: &'static str = "open";
    type Outcome = Arrived;

    fn measure(self, guests: &Guests) -> anyhow::Result<Arrived> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.observe(guests))
    }
}

impl Open {
    async fn observe(self, guests: &Guests) -> anyhow::Result<Arrived> {
        let host = self.workload.open(guests, &self.place).await?;
        run_one(host.engine()).await?;
        let arrivals = arrivals(self.rate, WARM_UP + self.length);
        let (engine, runtime) = (host.engine().clone(), tokio::runtime::Handle::current());
        let (began, cpu, count) = (Instant::now(), process::cpu(), arrivals.len());
        // A thread of its own: what is measured must not hold back what measures it.
        let sender = thread::spawn(move || {
            let (mut instances, mut late) = (JoinSet::new(), Vec::with_capacity(arrivals.len()));
            for after in arrivals {
                let due = began + after;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                late.push(due.elapsed());
                let engine = engine.clone();
                let instance = async move { run_one(&engine).await.map(|()| (after, due.elapsed())) };
                instances.spawn_on(instance, &runtime);
            }
            (instances, late)
        });
        let sender = tokio::task::spawn_blocking(move || sender.join());
        let (mut instances, late) =
            sender.await?.map_err(|_| anyhow::anyhow!("the thread that starts instances panicked"))?;
        let mut latencies = Vec::with_capacity(count);
        while let Some(ended) = instances.join_next().await {
            let (after, took) = ended??;
            if after >= WARM_UP {
                latencies.push(took);
            }
        }
        let cpu_ms_each = (process::cpu() - cpu).as_secs_f64() * 1e3 / count as f64;
        host.close().await;
        let instances = latencies.len() as u64;
        Ok(Arrived {
            latency: Quantiles::of(latencies),
            instances,
            late_p99_ms: Quantiles::of(late).p99_ms,
            cpu_ms_each,
        })
    }
}

/// When instances come: independent of each other, and the same in each run.
pub(crate) fn arrivals(rate: f64, length: Duration) -> Vec<Duration> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut at = 0.0;
    let mut arrivals = Vec::new();
    loop {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let uniform = ((state >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        at -= uniform.ln() / rate;
        if at > length.as_secs_f64() {
            return arrivals;
        }
        arrivals.push(Duration::from_secs_f64(at));
    }
}
