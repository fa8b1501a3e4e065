//! Steps a second without durability, on all processors: in cells, and as steps of this process.

use std::time::Duration;

use crate::child;
use crate::closed::{Closed, Observed};
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
    for (kind, name) in [(Kind::Pure, "isolated steps in memory"), (Kind::Native, "host-native steps in memory")] {
        let observed = measure(kind, setup.pace)?;
        report.add_with(
            name,
            observed.rate() * f64::from(STEPS),
            "steps/s",
            format!("{STEPS} steps an instance, {AT_ONCE} at once, all processors"),
            [("instances/s", observed.rate()), ("ms CPU each", observed.cpu_ms_each)],
        );
    }
    Ok(())
}

/// Measures one kind of steps.
pub(crate) fn measure(kind: Kind, pace: Pace) -> anyhow::Result<Observed> {
    let workload = Workload { steps: STEPS, kind, durability: Durability::Fused };
    child::run(&Closed::new(workload, Place::Memory, AT_ONCE, pace.of(LENGTH)))
}
