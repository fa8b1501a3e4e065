//! How long a start takes on a database with very many open instances: until each that has something to do has done it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use stepcell::engine::StartRequest;
use stepcell::model::name::WorkflowName;
use stepcell::{Access, Host, WorkflowDefinition};

use crate::child::{self, Job};
use crate::multiply::multiply;
use crate::report::Report;
use crate::setup::{Guests, Setup};
use crate::workload::{Place, Workload, open_again, start};

/// How many instances are open.
const OPEN: u64 = 100_000;

/// How many instances are made by an engine; the others are copies.
const FIRST: u64 = 500;

/// One in so many waits for a timer that comes due while the host is down; the others wait for people.
const TIMER_OF: u64 = 10;

/// How long the timers are.
const TIMER: Duration = Duration::from_secs(5);

/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(20);

/// How long it may take.
const LENGTH_MAX: Duration = Duration::from_secs(120);

/// What to measure: opening a host on a database, and waiting until nothing is left to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recovery {
    database: PathBuf,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Recovered {
    opened_ms: f64,
    done_s: f64,
}

impl Job for Recovery {
    const NAME: &'static str = "recovery";
    type Outcome = Recovered;

    fn measure(self, _: &Guests) -> anyhow::Result<Recovered> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let began = Instant::now();
            let host = open_again(&Place::Sqlite(self.database), Access::Drive).await?;
            let opened = began.elapsed();
            while host.store().next_wake().await?.is_some() || !host.store().list_running(None, 1).await?.is_empty() {
                ensure!(began.elapsed() < LENGTH_MAX, "not all instances go on within {} s", LENGTH_MAX.as_secs());
                tokio::time::sleep(LOOK).await;
            }
            let done = began.elapsed();
            host.close().await;
            Ok(Recovered { opened_ms: opened.as_secs_f64() * 1e3, done_s: done.as_secs_f64() })
        })
    }
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let open = setup.pace.count(OPEN);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;

    let waiting = folder.path().join("waiting.db");
    runtime.block_on(leave_waiting(&setup.guests, &waiting))?;
    let due_at = Instant::now() + TIMER;
    let open = multiply(&waiting, open)?;
    std::thread::sleep(due_at.saturating_duration_since(Instant::now()));
    let recovered = child::run(&Recovery { database: waiting })?;
    let detail = format!("{open} open instances, {} at a timer that came due while the host was down", open / TIMER_OF);
    report.add_with("recovery, due timers", recovered.done_s, "s", detail, [("ms to open", recovered.opened_ms)]);

    let running = folder.path().join("running.db");
    runtime.block_on(leave_running(&setup.guests, &running))?;
    let open = multiply(&running, open)?;
    let recovered = child::run(&Recovery { database: running })?;
    let detail = format!("{open} open instances that were under way, until each has run its one step and is finished");
    report.add_with("recovery, all under way", recovered.done_s, "s", detail, [("ms to open", recovered.opened_ms)]);
    Ok(())
}

/// Leaves instances that wait for people and timers, in a host that moves none of them.
async fn leave_waiting(guests: &Guests, database: &Path) -> anyhow::Result<()> {
    let host = visitor(guests, database).await?;
    let timer = format!("type: timer, duration: {}s", TIMER.as_secs());
    for (name, step) in [("timer", timer.as_str()), ("person", "type: human, title: Look at it")] {
        let text =
            format!("schema: stepcell/v1\nname: {name}\nversion: 1.0.0\ninitial_step: a\nsteps:\n  a: {{ {step} }}\n");
        host.engine().registry().register_definition(WorkflowDefinition::from_text(&text)?).await?;
    }
    for number in 0..FIRST {
        let name = if number % TIMER_OF == 0 { "timer" } else { "person" };
        host.engine().start_workflow(StartRequest::new(WorkflowName::new(name)?)).await?;
    }
    host.close().await;
    Ok(())
}

/// Leaves instances whose first step nobody has begun.
async fn leave_running(guests: &Guests, database: &Path) -> anyhow::Result<()> {
    let host = visitor(guests, database).await?;
    for _ in 0..FIRST {
        start(host.engine()).await?;
    }
    host.close().await;
    Ok(())
}

/// A host on a new database that moves no instance.
async fn visitor(guests: &Guests, database: &Path) -> anyhow::Result<Host> {
    Workload::pure(1).open_for(guests, &Place::Sqlite(database.to_owned()), Access::Visit).await
}
