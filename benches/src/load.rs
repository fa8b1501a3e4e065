//! What it takes to have a component ready: compiled in a child process, and loaded from the sealed cache.

use std::time::{Duration, Instant};

use stepcell::model::id::ComponentDigest;
use stepcell_sandbox::{Sandbox, SandboxConfig};

use crate::report::Report;
use crate::setup::Setup;

/// How often each is done; the median counts.
const TIMES: u64 = 21;

/// The components that are measured: a step that does nothing, and the largest of the examples.
const COMPONENTS: [&str; 2] = ["noop", "probe"];

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for name in COMPONENTS {
        let bytes = setup.guests.load(name)?;
        let size = format!("`{name}`, {} KiB", bytes.len() >> 10);
        let times = setup.pace.count(TIMES);
        let compiled = median(times, || runtime.block_on(prepare(&config(None)?, &bytes)))?;
        report.add(
            format!("compile {name}"),
            compiled,
            "ms",
            format!("{size}, checked and compiled in a child process"),
        );
        let cache = tempfile::tempdir()?;
        let kept = config(Some(cache.path().to_owned()))?;
        runtime.block_on(prepare(&kept, &bytes))?;
        let loaded = median(times, || runtime.block_on(prepare(&kept, &bytes)))?;
        report.add(format!("load {name}"), loaded, "ms", format!("{size}, from the cache, its seal checked"));
    }
    Ok(())
}

fn config(cache_dir: Option<std::path::PathBuf>) -> anyhow::Result<SandboxConfig> {
    let host_key = cache_dir.is_some().then(stepcell_sandbox::random_host_key).transpose()?;
    Ok(SandboxConfig { cells: 4, cache_dir, host_key, ..SandboxConfig::default() })
}

async fn prepare(config: &SandboxConfig, bytes: &[u8]) -> anyhow::Result<Duration> {
    let sandbox = Sandbox::new(config)?;
    let began = Instant::now();
    sandbox.prepare(None, ComponentDigest::of(bytes), bytes.to_vec()).await?;
    Ok(began.elapsed())
}

fn median(times: u64, mut work: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<f64> {
    let mut took = (0..times.max(3)).map(|_| work()).collect::<anyhow::Result<Vec<_>>>()?;
    took.sort_unstable();
    Ok(took[took.len() / 2].as_secs_f64() * 1e3)
}
