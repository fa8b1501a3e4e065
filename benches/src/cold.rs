//! From nothing to the first finished step: the real binary, with the component's compilation cached.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::report::Report;
use crate::setup::Setup;

/// How often to start; the median counts.
const STARTS: usize = 21;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let guests = &setup.guests;
    let folder = tempfile::tempdir()?;
    let definition = folder.path().join("one.yaml");
    let component = std::path::absolute(guests.path("noop"))?;
    let text = format!(
        "schema: stepcell/v1\nname: one\nversion: 1.0.0\ninitial_step: a\nsteps: {{ a: {{ type: machine, component: {:?} }} }}\n",
        component.display().to_string()
    );
    std::fs::write(&definition, text)?;
    let cold = start(&definition, &folder.path().join("cache"))?;
    report.add(
        "first start, compiling",
        cold.as_secs_f64() * 1e3,
        "ms",
        "`stepcell run` of one step, empty cache".to_owned(),
    );
    let mut starts = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        starts.push(start(&definition, &folder.path().join("cache"))?);
    }
    starts.sort();
    let detail = format!("`stepcell run` of one step in memory, process start to end, median of {STARTS}");
    report.add("cold start to a finished step", starts[STARTS / 2].as_secs_f64() * 1e3, "ms", detail);
    Ok(())
}

/// The binary beside this one.
pub(crate) fn stepcell_bin() -> anyhow::Result<PathBuf> {
    let bin = match std::env::var_os("STEPCELL_BIN") {
        Some(bin) => bin.into(),
        None => std::env::current_exe()?.with_file_name("stepcell"),
    };
    ensure!(bin.exists(), "`{}` is missing; run `cargo xtask bench`, which builds it", bin.display());
    Ok(bin)
}

fn start(definition: &Path, cache: &Path) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let output = Command::new(stepcell_bin()?).arg("run").arg(definition).env("STEPCELL_CACHE", cache).output()?;
    let took = began.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("the binary prints text")?;
    Ok(took)
}
