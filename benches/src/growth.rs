//! Whether an instance costs the same however many have finished in the file before it.

use std::path::Path;
use std::time::Duration;

use crate::child;
use crate::closed::Closed;
use crate::multiply::multiply;
use crate::report::Report;
use crate::setup::{Pace, Setup};
use crate::workload::{Place, Workload};

/// How many instances have finished in the file.
const FINISHED: [u64; 3] = [1_000, 100_000, 1_000_000];

/// How many instances an engine finishes, of which the others are copies.
const FIRST: Duration = Duration::from_millis(500);

/// How many steps an instance has.
const STEPS: u32 = 10;

/// How many callers there are.
const AT_ONCE: u64 = 64;

/// How long each is measured.
const LENGTH: Duration = Duration::from_secs(6);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut first = None;
    let finished = if setup.pace == Pace::Quick { &FINISHED[..2] } else { &FINISHED };
    for finished in finished {
        let database = folder.path().join(format!("{finished}.db"));
        let there = fill(&database, *finished)?;
        let workload = Workload::pure(STEPS);
        let mib = std::fs::metadata(&database)?.len() >> 20;
        let observed =
            child::run(&Closed::new(workload, Place::Sqlite(database.clone()), AT_ONCE, setup.pace.of(LENGTH)))?;
        std::fs::remove_file(&database)?;
        let cpu = observed.cpu_ms_each;
        let by_first = cpu / *first.get_or_insert(cpu);
        report.add_with(
            format!("CPU of an instance after {finished}"),
            cpu,
            "ms",
            format!("{AT_ONCE} at once, {there} finished instances in a file of {mib} MiB"),
            [("times the first", by_first), ("instances/s", observed.rate()), ("ms p50", observed.latency.p50_ms)],
        );
    }
    Ok(())
}

/// Makes a database with at least so many finished instances.
fn fill(database: &Path, finished: u64) -> anyhow::Result<u64> {
    child::run(&Closed::new(Workload::pure(STEPS), Place::Sqlite(database.to_owned()), AT_ONCE, FIRST))?;
    multiply(database, finished)
}
