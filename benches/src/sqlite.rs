//! Durable steps a second beside what SQLite does without an engine, with the same rows in commits of the same size.

use std::time::Duration;

use crate::bare::{Bare, Written};
use crate::child;
use crate::closed::{Closed, Observed};
use crate::durable::also;
use crate::report::Report;
use crate::setup::{Pace, Setup};
use crate::workload::{Durability, Kind, Place, Workload};

/// How many steps an instance has.
const STEPS: u32 = 10;

/// How many callers there are.
const AT_ONCE: u64 = 64;

/// How long each is measured.
const LENGTH: Duration = Duration::from_secs(5);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    for durability in [Durability::Fused, Durability::EachStep] {
        let workload = Workload { steps: STEPS, kind: Kind::Pure, durability };
        let (engine, bare) = measure(setup.pace, workload, AT_ONCE)?;
        let steps = f64::from(STEPS);
        let words = workload.words();
        report.add_with(
            format!("engine, {words}"),
            engine.rate() * steps,
            "steps/s",
            format!("{AT_ONCE} at once"),
            also(&workload, &engine),
        );
        let transitions = bare.transitions as f64 / bare.commits as f64;
        let per_s = bare.instances as f64 / bare.seconds;
        report.add_with(
            format!("bare SQLite, {words}"),
            per_s * steps,
            "steps/s",
            "the same rows",
            [
                ("transitions a commit", transitions),
                ("rows/s", bare.rows as f64 / bare.seconds),
                ("ms CPU each", bare.cpu_ms_each),
                ("ms p50 of a commit", bare.commit.p50_ms),
            ],
        );
        report.add(format!("engine by bare SQLite, {words}"), engine.rate() / per_s, "of 1", "steps/s");
    }
    Ok(())
}

/// Measures the engine, and SQLite alone with what it left behind.
pub(crate) fn measure(pace: Pace, workload: Workload, at_once: u64) -> anyhow::Result<(Observed, Written)> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("bench.db");
    let length = pace.of(LENGTH);
    let engine = child::run(&Closed::new(workload, Place::Sqlite(source.clone()), at_once, length))?;
    // A first look at how many transitions an instance has; then with as many a commit as the engine had.
    let look = child::run(&Bare { source: source.clone(), transitions_per_commit: 1_000, length: length / 5 })?;
    let transitions_each = look.transitions as f64 / look.instances.max(1) as f64;
    let commits = f64::from(engine.commits.unwrap_or(1).max(1));
    let per_commit = (engine.instances as f64 * transitions_each / commits).round().max(1.0) as u64;
    let bare = child::run(&Bare { source, transitions_per_commit: per_commit, length })?;
    Ok((engine, bare))
}
