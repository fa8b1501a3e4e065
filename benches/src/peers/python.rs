//! The peers from PyPI: each is one process, which measures itself as `benches/peers/measure.py` says.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::{All, Seen, install, note};
use crate::report::Report;

/// litestar-workflows in memory, its definition made for each instance, as its documentation does.
pub(super) const LITESTAR_MEMORY: &str = "litestar-workflows, memory";

/// The same with the definition made once.
pub(super) const LITESTAR_PREPARED: &str = "litestar-workflows, memory, definition kept";

/// litestar-workflows on SQLite.
pub(super) const LITESTAR_SQLITE: &str = "litestar-workflows, SQLite";

/// DBOS on SQLite.
pub(super) const DBOS: &str = "dbos, SQLite";

/// How many callers there are.
const AT_ONCE: [u64; 2] = [1, 64];

/// What a script tells.
#[derive(Deserialize)]
struct Told {
    instances: u64,
    failed: u64,
    seconds: f64,
    p50_ms: Option<f64>,
    cpu_ms_each: Option<f64>,
}

/// Measures them all; one that fails is said to, and the others are measured.
pub(super) fn run(length: Duration, all: &mut All, report: &mut Report) -> anyhow::Result<()> {
    let python = install::python().context("litestar-workflows and dbos are left out")?;
    for (name, script, settings) in [
        (LITESTAR_MEMORY, "litestar_peer.py", &["memory"][..]),
        (LITESTAR_PREPARED, "litestar_peer.py", &["memory-kept"][..]),
        (LITESTAR_SQLITE, "litestar_peer.py", &["sqlite"][..]),
        (DBOS, "dbos_peer.py", &[][..]),
    ] {
        for at_once in AT_ONCE {
            match measure(&python, script, settings, at_once, length) {
                Ok(seen) => note(all, report, name, at_once, seen),
                Err(error) => report.add(format!("{name}, {at_once} at once"), -1.0, "-", format!("{error:#}")),
            }
        }
    }
    Ok(())
}

fn measure(python: &Path, script: &str, settings: &[&str], at_once: u64, length: Duration) -> anyhow::Result<Seen> {
    let folder = tempfile::tempdir()?;
    let output = Command::new(python)
        .arg(install::scripts().join(script))
        .args(settings)
        .arg(folder.path())
        .args([at_once.to_string(), length.as_secs_f64().to_string()])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "`{script}` ended with {}", output.status);
    let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    let told: Told = serde_json::from_str(&last).with_context(|| format!("`{script}` said `{last}`"))?;
    Ok(Seen {
        rate: told.instances as f64 / told.seconds,
        p50_ms: told.p50_ms.unwrap_or(-1.0),
        cpu_ms_each: told.cpu_ms_each.unwrap_or(-1.0),
        failed: told.failed,
    })
}
