//! What tenants notice of others who are hostile: a hundred with small steps, alone and beside ten at full concurrency.
//!
//! Latency is measured with open arrivals: instances come at their times, however the host does, and count from when they should have begun to when they have settled. Throughput is measured with closed ones:
//! each tenant has one instance under way all the time. What is fair is the part of all tenants that the hundred are.

mod crowd;
mod victims;

use std::path::Path;
use std::time::Duration;

use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::name::{ComponentName, WorkflowName};
use stepcell::{Host, Version};

use self::crowd::{Crowd, HOSTILE_TENANTS};
use self::victims::{Observed, VICTIM_TENANTS};
use crate::report::Report;
use crate::setup::{Guests, Setup};

/// How many steps an instance of a victim has.
const STEPS: usize = 3;

/// How long each measurement takes.
const MEASURED: Duration = Duration::from_secs(5);

/// How long the hostile ones are there before anything is measured. Their first attempts are under way then.
const CROWD_AHEAD: Duration = Duration::from_secs(3);

/// How many instances of victims come in a second: a part of what the host can do alone, on two processors.
const ARRIVALS_PER_S: f64 = 300.0;

/// Where instances are kept.
#[derive(Clone, Copy)]
enum Store {
    Memory,
    Sqlite,
}

/// What the victims saw.
struct Seen {
    open: Observed,
    closed: Observed,
    hostile_share: f64,
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let guests = &setup.guests;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (store, place) in [(Store::Memory, "in memory"), (Store::Sqlite, "SQLite")] {
        let (alone, beside) = runtime.block_on(measure(guests, store))?;
        add(report, place, &alone, &beside);
    }
    Ok(())
}

async fn measure(guests: &Guests, store: Store) -> anyhow::Result<(Seen, Seen)> {
    let folder = tempfile::tempdir()?;
    let host = open(guests, store, &folder.path().join("alone.db")).await?;
    let open_alone = victims::open(host.engine(), ARRIVALS_PER_S, MEASURED).await?;
    let closed = victims::closed(host.engine(), MEASURED).await?;
    host.close().await;

    let host = open(guests, store, &folder.path().join("beside.db")).await?;
    let crowd = Crowd::attack(host.engine());
    tokio::time::sleep(CROWD_AHEAD).await;
    let open_beside = victims::open(host.engine(), ARRIVALS_PER_S, MEASURED).await?;
    let closed_beside = victims::closed(host.engine(), MEASURED).await?;
    let hostile_share = crowd.share_of_cpu(host.store().as_ref()).await?;
    crowd.leave().await;
    // What sleeps there would be waited for.
    drop(host);

    let alone = Seen { open: open_alone, closed, hostile_share: 0.0 };
    Ok((alone, Seen { open: open_beside, closed: closed_beside, hostile_share }))
}

async fn open(guests: &Guests, store: Store, database: &Path) -> anyhow::Result<Host> {
    let builder = match store {
        Store::Memory => Host::in_memory(),
        Store::Sqlite => Host::on_sqlite(database),
    };
    let host = builder.open().await?;
    let registry = host.engine().registry();
    for name in ["noop", "probe"] {
        registry
            .register_component(ComponentName::new(name)?, Version::new(1, 0, 0), guests.load(name)?.into())
            .await?;
    }
    registry.register_definition(small_steps()?).await?;
    registry
        .register_definition(WorkflowDefinition::builder("hostile", "1.0.0").machine("s", "probe@1").build()?)
        .await?;
    Ok(host)
}

fn small_steps() -> anyhow::Result<WorkflowDefinition> {
    let mut builder = WorkflowDefinition::builder("modest", "1.0.0");
    for step in 0..STEPS {
        builder = builder.machine(&format!("s{step}"), "noop@1");
    }
    for step in 1..STEPS {
        builder = builder.edge(&format!("s{}", step - 1), &format!("s{step}"));
    }
    Ok(builder.build()?)
}

/// The workflow of that name.
fn workflow(name: &str) -> WorkflowName {
    WorkflowName::new(name).expect("letters are a name")
}

fn add(report: &mut Report, place: &str, alone: &Seen, beside: &Seen) {
    let tenants = format!("{VICTIM_TENANTS} tenants, {STEPS} small steps each, {place}");
    let open = format!("{tenants}; open arrivals, {:.0} instances/s", alone.open.rate());
    for (what, quantile) in [("p50", 0.50), ("p99", 0.99)] {
        let (before, with) = (alone.open.quantile_ms(quantile), beside.open.quantile_ms(quantile));
        report.add(format!("{what} alone"), before, "ms", open.clone());
        report.add(format!("{what} beside {HOSTILE_TENANTS} hostile"), with, "ms", open.clone());
        report.add(format!("{what}, beside by alone"), with / before, "times", open.clone());
    }
    let closed = format!("{tenants}; one instance of each under way");
    let fair = VICTIM_TENANTS as f64 / (VICTIM_TENANTS + HOSTILE_TENANTS) as f64;
    report.add("throughput alone", alone.closed.rate(), "instances/s", closed.clone());
    report.add(
        format!("throughput beside {HOSTILE_TENANTS} hostile"),
        beside.closed.rate(),
        "instances/s",
        closed.clone(),
    );
    let of_fair = beside.closed.rate() / (alone.closed.rate() * fair);
    report.add("throughput, of what is fair", of_fair, "times", format!("{closed}; fair are {fair:.2} of it alone"));
    let share = "guests' time on a CPU, of all that ended".to_owned();
    report.add("hostile share of CPU", beside.hostile_share, "of 1", share);
}
