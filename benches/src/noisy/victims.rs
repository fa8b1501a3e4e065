//! Tenants with small steps, and what they see of the host.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use stepcell::engine::StartRequest;
use stepcell::model::name::TenantId;
use stepcell::{WorkflowEngine, WorkflowStatus};
use tokio::task::JoinSet;

use super::workflow;
use crate::open::arrivals;

/// How many tenants there are.
pub(super) const VICTIM_TENANTS: usize = 100;

/// How long each instance took, and all of them together.
pub(super) struct Observed {
    latencies: Vec<Duration>,
    took: Duration,
}

impl Observed {
    fn of(mut latencies: Vec<Duration>, took: Duration) -> Self {
        latencies.sort_unstable();
        Self { latencies, took }
    }

    /// Instances a second.
    pub(super) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The time that a part of the instances took at most, in milliseconds.
    pub(super) fn quantile_ms(&self, part: f64) -> f64 {
        let index = ((self.latencies.len() as f64 * part) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Each tenant has one instance under way, all the time.
pub(super) async fn closed(engine: &WorkflowEngine, measured: Duration) -> anyhow::Result<Observed> {
    let began = Instant::now();
    let tenants = (0..VICTIM_TENANTS).map(|number| async move {
        let mut latencies = Vec::new();
        while began.elapsed() < measured {
            let since = Instant::now();
            run_one(engine, number).await?;
            latencies.push(since.elapsed());
        }
        anyhow::Ok(latencies)
    });
    let latencies = try_join_all(tenants).await?.concat();
    Ok(Observed::of(latencies, began.elapsed()))
}

/// Instances come at their times, so many a second, tenant by tenant.
pub(super) async fn open(engine: &WorkflowEngine, rate: f64, measured: Duration) -> anyhow::Result<Observed> {
    let arrivals = arrivals(rate, measured);
    let runtime = tokio::runtime::Handle::current();
    let engine = Arc::new(engine.clone());
    let began = Instant::now();
    // A thread of its own: what is measured must not hold back what measures it.
    let sender = thread::spawn(move || {
        let mut instances = JoinSet::new();
        for (number, after) in arrivals.into_iter().enumerate() {
            let due = began + after;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let engine = Arc::clone(&engine);
            let instance = async move { run_one(&engine, number % VICTIM_TENANTS).await.map(|()| due.elapsed()) };
            instances.spawn_on(instance, &runtime);
        }
        instances
    });
    let sender = tokio::task::spawn_blocking(move || sender.join());
    let mut instances = sender.await?.map_err(|_| anyhow::anyhow!("the thread that starts instances panicked"))?;
    let mut latencies = Vec::new();
    while let Some(latency) = instances.join_next().await {
        latencies.push(latency??);
    }
    Ok(Observed::of(latencies, began.elapsed()))
}

async fn run_one(engine: &WorkflowEngine, tenant: usize) -> anyhow::Result<()> {
    let request = StartRequest {
        tenant: Some(TenantId::new(format!("modest-{tenant}"))?),
        ..StartRequest::new(workflow("modest")).with_data(serde_json::json!({ "n": 1 }))
    };
    let id = engine.start_workflow(request).await?.identity.id;
    let status = engine.wait_until_settled(id).await?.status;
    anyhow::ensure!(status == WorkflowStatus::Completed, "an instance is {status}");
    Ok(())
}
