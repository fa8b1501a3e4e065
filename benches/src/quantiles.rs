//! Latencies, and the times that parts of them took at most.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The times that parts of the instances took at most, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Quantiles {
    pub(crate) fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let at = |part: f64| {
            let index = ((latencies.len() as f64 * part) as usize).min(latencies.len().saturating_sub(1));
            latencies.get(index).map_or(-1.0, |latency| latency.as_secs_f64() * 1e3)
        };
        Self { p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: at(1.0) }
    }

    /// All of them but the first, as a report names them.
    pub(crate) fn rest(self) -> [(&'static str, f64); 3] {
        [("ms p95", self.p95_ms), ("ms p99", self.p99_ms), ("ms at most", self.max_ms)]
    }
}
