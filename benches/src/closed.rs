//! Closed callers: each has one instance after the other, and starts the next when the last has ended.
//!
//! It is measured between two looks at a steady state: instances that ended between them, and time on processors of the
//! whole process, callers included, between them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stepcell::WorkflowEngine;
use tokio::task::JoinSet;

use crate::child::Job;
use crate::process;
use crate::quantiles::Quantiles;
use crate::setup::Guests;
use crate::workload::{Place, Workload, run_one};

/// How many instances of each caller end before anything is measured, on average; callers have drifted apart by then.
const WARM_UP_EACH: u64 = 1;

/// How many instances of each caller are measured at least, on average.
const MEASURED_EACH: u64 = 3;

/// How long the warm-up is at least, and how long it or what is measured may take however slow instances are.
const WARM_UP_MIN: Duration = Duration::from_millis(400);
const LENGTH_MAX: Duration = Duration::from_secs(20);

/// How often it is looked whether it is over.
const LOOK: Duration = Duration::from_millis(5);

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Closed {
    pub(crate) workload: Workload,
    pub(crate) place: Place,
    /// How many callers.
    pub(crate) at_once: u64,
    /// How long, at least.
    pub(crate) length: Duration,
    /// How long a caller waits between an instance and the next one.
    pub(crate) pause: Duration,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Observed {
    pub(crate) instances: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_ms_each: f64,
    pub(crate) commits: Option<u32>,
    pub(crate) latency: Quantiles,
}

/// Somebody who has one instance after the other.
pub(crate) trait Caller: Send + 'static {
    /// Has one instance, from its start to its end.
    fn run_one(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What has been used up until now.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) commits: Option<u32>,
}

/// A look at everything that counts.
struct Look {
    at: Instant,
    instances: u64,
    used: Used,
}

/// What callers share.
#[derive(Default)]
struct Shared {
    ended: AtomicU64,
    is_over: AtomicBool,
    /// When instances ended, and how long each took.
    latencies: Mutex<Vec<(Instant, Duration)>>,
}

impl Observed {
    /// Instances a second.
    pub(crate) fn rate(&self) -> f64 {
        self.instances as f64 / self.seconds
    }

    /// Commits a second, and instances a commit.
    pub(crate) fn commits_per_s(&self) -> f64 {
        self.commits.map_or(-1.0, |commits| f64::from(commits) / self.seconds)
    }
}

impl Job for Closed {
    const NAME: &'static str = "closed";
    type Outcome = Observed;

    fn measure(self, guests: &Guests) -> anyhow::Result<Observed> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.observe(guests))
    }
}

impl Caller for WorkflowEngine {
    async fn run_one(&mut self) -> anyhow::Result<()> {
        run_one(self).await
    }
}

impl Closed {
    pub(crate) fn new(workload: Workload, place: Place, at_once: u64, length: Duration) -> Self {
        Self { workload, place, at_once, length, pause: Duration::ZERO }
    }

    async fn observe(self, guests: &Guests) -> anyhow::Result<Observed> {
        let host = self.workload.open(guests, &self.place).await?;
        run_one(host.engine()).await?;
        let callers = (0..self.at_once).map(|_| host.engine().clone()).collect();
        let database = match &self.place {
            Place::Memory => None,
            Place::Sqlite(database) => Some(database),
        };
        let used = || Used { cpu: process::cpu(), commits: database.and_then(|database| process::commits(database)) };
        let observed = observe(callers, self.length, self.pause, used).await?;
        host.close().await;
        Ok(observed)
    }
}

/// Lets callers call, and measures once they have drifted apart.
pub(crate) async fn observe<C: Caller>(
    callers: Vec<C>,
    length: Duration,
    pause: Duration,
    used: impl Fn() -> Used,
) -> anyhow::Result<Observed> {
    let shared = Arc::new(Shared::default());
    let at_once = callers.len() as u64;
    let mut calling = JoinSet::new();
    for caller in callers {
        calling.spawn(call(caller, Arc::clone(&shared), pause));
    }
    let look = || Look { at: Instant::now(), instances: shared.ended.load(Ordering::Relaxed), used: used() };
    let began = look();
    shared.until(began.at + WARM_UP_MIN, at_once * WARM_UP_EACH).await;
    let from = look();
    shared.until(from.at + length, from.instances + at_once * MEASURED_EACH).await;
    let to = look();
    shared.is_over.store(true, Ordering::Relaxed);
    while let Some(caller) = calling.join_next().await {
        caller??;
    }
    Ok(shared.between(&from, &to))
}

async fn call<C: Caller>(mut caller: C, shared: Arc<Shared>, pause: Duration) -> anyhow::Result<()> {
    while !shared.is_over.load(Ordering::Relaxed) {
        let since = Instant::now();
        caller.run_one().await?;
        shared.note(since);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

impl Shared {
    /// Waits until a time, and until so many instances have ended.
    async fn until(&self, at: Instant, ended: u64) {
        let latest = Instant::now() + LENGTH_MAX;
        while Instant::now() < latest {
            if Instant::now() >= at && self.ended.load(Ordering::Relaxed) >= ended {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn note(&self, since: Instant) {
        let now = Instant::now();
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push((now, now - since));
    }

    fn between(&self, from: &Look, to: &Look) -> Observed {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let within = latencies.iter().filter(|(at, _)| (from.at..to.at).contains(at)).map(|(_, took)| *took);
        let instances = to.instances - from.instances;
        let commits = to.used.commits.zip(from.used.commits);
        Observed {
            instances,
            seconds: (to.at - from.at).as_secs_f64(),
            cpu_ms_each: (to.used.cpu - from.used.cpu).as_secs_f64() * 1e3 / instances.max(1) as f64,
            commits: commits.map(|(to, from)| to.wrapping_sub(from)),
            latency: Quantiles::of(within.collect()),
        }
    }
}
