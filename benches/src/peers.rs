//! Other engines beside this one, in one run on one machine: each does ten steps that do nothing, durably where it can.
//!
//! The peers are installed from their registries, at the versions that `benches/peers/` names, under the target folder. Each
//! runs as its documentation sets it up, in its release build; whatever runs it counts into its time on processors, apart
//! from those who call Restate, which are this process.

mod install;
mod python;
mod restate;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::child;
use crate::closed::Closed;
use crate::in_memory;
use crate::report::Report;
use crate::setup::Setup;
use crate::workload::{Durability, Kind, Place, Workload};

/// How many steps an instance has.
const STEPS: f64 = 10.0;

/// How long each is measured, at least.
const LENGTH: Duration = Duration::from_secs(10);

/// How long this engine is, which is quicker.
const LENGTH_OWN: Duration = Duration::from_secs(5);

/// What a peer came to.
#[derive(Clone, Copy, Debug)]
struct Seen {
    rate: f64,
    p50_ms: f64,
    cpu_ms_each: f64,
    failed: u64,
}

/// What all came to, by engine and number of callers.
type All = BTreeMap<(String, u64), Seen>;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let mut all = All::new();
    own(setup, &mut all, report)?;
    let length = setup.pace.of(LENGTH);
    for outcome in [python::run(length, &mut all, report), restate::run(length, &mut all, report)] {
        if let Err(error) = outcome {
            report.add("a peer is missing", -1.0, "-", format!("{error:#}"));
        }
    }
    ratios(&all, report);
    Ok(())
}

/// This engine, as the peers are measured.
fn own(setup: &Setup, all: &mut All, report: &mut Report) -> anyhow::Result<()> {
    let length = setup.pace.of(LENGTH_OWN);
    for (durability, name) in [(Durability::Fused, "stepcell, SQLite"), (Durability::EachStep, "stepcell, each step")] {
        for at_once in [1, 64, 256] {
            let folder = tempfile::tempdir()?;
            let workload = Workload { steps: STEPS as u32, kind: Kind::Pure, durability };
            let place = Place::Sqlite(folder.path().join("bench.db"));
            let seen = child::run(&Closed::new(workload, place, at_once, length))?;
            note(all, report, name, at_once, Seen::from(seen));
        }
    }
    for (kind, name) in [(Kind::Pure, "stepcell, memory"), (Kind::Native, "stepcell, memory, host-native")] {
        note(all, report, name, 64, Seen::from(in_memory::measure(kind, setup.pace)?));
    }
    Ok(())
}

impl From<crate::closed::Observed> for Seen {
    fn from(seen: crate::closed::Observed) -> Self {
        Self { rate: seen.rate(), p50_ms: seen.latency.p50_ms, cpu_ms_each: seen.cpu_ms_each, failed: 0 }
    }
}

fn note(all: &mut All, report: &mut Report, name: &str, at_once: u64, seen: Seen) {
    report.add_with(
        format!("{name}, {at_once} at once"),
        seen.rate,
        "instances/s",
        "10 steps that do nothing",
        [("ms p50", seen.p50_ms), ("ms CPU each", seen.cpu_ms_each), ("failed", seen.failed as f64)],
    );
    all.insert((name.to_owned(), at_once), seen);
}

fn ratios(all: &All, report: &mut Report) {
    let rate = |name: &str, at_once| all.get(&(name.to_owned(), at_once)).map(|seen: &Seen| seen.rate);
    for (ours, theirs, at_once) in [
        (("stepcell, SQLite", 64), restate::NAME, 64),
        (("stepcell, SQLite", 64), restate::NAME, 256),
        (("stepcell, SQLite", 64), python::DBOS, 64),
        (("stepcell, SQLite", 64), python::DBOS, 1),
        (("stepcell, SQLite", 1), python::LITESTAR_SQLITE, 1),
        (("stepcell, memory", 64), python::LITESTAR_MEMORY, 64),
        (("stepcell, memory, host-native", 64), python::LITESTAR_MEMORY, 64),
        (("stepcell, memory", 64), python::LITESTAR_PREPARED, 64),
        (("stepcell, memory, host-native", 64), python::LITESTAR_PREPARED, 64),
    ] {
        if let (Some(own), Some(other)) = (rate(ours.0, ours.1), rate(theirs, at_once)) {
            let (ours, callers) = ours;
            let name = format!("{ours}, {callers} at once by {theirs}, {at_once} at once");
            report.add(name, own / other, "times", "instances/s");
        }
    }
}
