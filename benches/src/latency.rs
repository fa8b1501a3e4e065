//! How long an instance takes: alone, at half of what the host can do, and when a fixed number comes every second.

use std::time::Duration;

use crate::bare::Bare;
use crate::child;
use crate::closed::Closed;
use crate::open::Open;
use crate::report::Report;
use crate::setup::Setup;
use crate::workload::{Durability, Kind, Place, Workload};

/// How long each is measured.
const LENGTH: Duration = Duration::from_secs(8);

/// How long an idle host waits for the next instance.
const PAUSE: Duration = Duration::from_millis(5);

/// How many callers find out what the host can do.
const AT_ONCE: u64 = 64;

/// How many one-step instances come in a second.
const RATES: [f64; 2] = [1_000.0, 5_000.0];

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let length = setup.pace.of(LENGTH);
    for steps in [1, 10] {
        idle(steps, length, report)?;
        half_load(steps, length, report)?;
    }
    for rate in RATES {
        open(1, rate, length, &format!("{rate:.0} one-step instances a second"), report)?;
    }
    Ok(())
}

/// One instance at a time, and the commit of all its rows without an engine.
fn idle(steps: u32, length: Duration, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("bench.db");
    let workload = Workload { steps, kind: Kind::Pure, durability: Durability::Fused };
    let closed = Closed::new(workload, Place::Sqlite(source.clone()), 1, length);
    let observed = child::run(&Closed { pause: PAUSE, ..closed })?;
    let all_of_one = u64::from(steps) * 3;
    let probe = child::run(&Bare { source: source.clone(), transitions_per_commit: all_of_one, length: length / 8 })?;
    let each = (probe.transitions as f64 / probe.instances.max(1) as f64).round() as u64;
    let bare = child::run(&Bare { source, transitions_per_commit: each, length })?;
    let detail = format!("one instance at a time, {} ms between them", PAUSE.as_millis());
    report.add_with(format!("p50 idle, {steps} steps"), observed.latency.p50_ms, "ms", detail, observed.latency.rest());
    let detail = "its rows in one commit of SQLite without an engine, one after the other";
    report.add_with(
        format!("p50 of a bare commit, {steps} steps"),
        bare.commit.p50_ms,
        "ms",
        detail,
        bare.commit.rest(),
    );
    let over = observed.latency.p50_ms - bare.commit.p50_ms;
    report.add(format!("p50 idle over a bare commit, {steps} steps"), over, "ms", "difference");
    Ok(())
}

/// Open arrivals at half of what closed callers reach.
fn half_load(steps: u32, length: Duration, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::Sqlite(folder.path().join("full.db"));
    let full = child::run(&Closed::new(Workload::pure(steps), place, AT_ONCE, length / 2))?.rate();
    open(steps, full / 2.0, length, &format!("half load, {steps} steps"), report)
}

fn open(steps: u32, rate: f64, length: Duration, name: &str, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::Sqlite(folder.path().join("bench.db"));
    let arrived = child::run(&Open { workload: Workload::pure(steps), place, rate, length })?;
    let [p95, p99, max] = arrived.latency.rest();
    let also = [p95, p99, max, ("ms late p99", arrived.late_p99_ms), ("ms CPU each", arrived.cpu_ms_each)];
    let detail = format!("{rate:.0} arrivals/s at random, from the intended time");
    report.add_with(format!("p50 at {name}"), arrived.latency.p50_ms, "ms", detail, also);
    Ok(())
}
