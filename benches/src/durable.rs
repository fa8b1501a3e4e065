//! Durable instances and steps a second on SQLite: by steps an instance, by callers, by whether steps have effects, and by
//! whether runs of pure steps share a commit.

use std::time::Duration;

use crate::child;
use crate::closed::{Closed, Observed};
use crate::report::Report;
use crate::setup::{Pace, Setup};
use crate::workload::{Durability, Kind, Place, Workload};

/// How many steps an instance has.
const STEPS: [u32; 3] = [10, 1, 100];

/// How many callers there are.
const AT_ONCE: [u64; 4] = [1, 8, 64, 256];

/// How many there are where only an impression is wanted.
const AT_ONCE_QUICK: [u64; 2] = [1, 64];

/// How long each is measured.
const LENGTH: Duration = Duration::from_secs(3);

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let (steps, at_once) = match setup.pace {
        Pace::Full => (STEPS.as_slice(), AT_ONCE.as_slice()),
        Pace::Quick => (&STEPS[..1], AT_ONCE_QUICK.as_slice()),
    };
    for steps in steps {
        for kind in [Kind::Pure, Kind::Effectful] {
            for durability in [Durability::Fused, Durability::EachStep] {
                let workload = Workload { steps: *steps, kind, durability };
                for at_once in at_once {
                    add(setup, report, workload, *at_once)?;
                }
            }
        }
    }
    Ok(())
}

fn add(setup: &Setup, report: &mut Report, workload: Workload, at_once: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::Sqlite(folder.path().join("bench.db"));
    let observed = child::run(&Closed::new(workload, place, at_once, setup.pace.of(LENGTH)))?;
    report.add_with(
        format!("durable, {}, {at_once} at once", workload.words()),
        observed.rate(),
        "instances/s",
        "SQLite",
        also(&workload, &observed),
    );
    Ok(())
}

/// What a measurement tells beside the rate of instances.
pub(crate) fn also(workload: &Workload, observed: &Observed) -> [(&'static str, f64); 5] {
    [
        ("steps/s", observed.rate() * f64::from(workload.steps)),
        ("ms CPU each", observed.cpu_ms_each),
        ("commits/s", observed.commits_per_s()),
        ("ms p50", observed.latency.p50_ms),
        ("ms p99", observed.latency.p99_ms),
    ]
}
