//! Durable instances and steps a second: a linear workflow of 10 no-op steps on SQLite, each step committed.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use stepcell::engine::StartRequest;
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::name::{ComponentName, WorkflowName};
use stepcell::{Host, Version, WorkflowEngine, WorkflowStatus};

use crate::Guests;
use crate::report::Report;

/// How many steps an instance has.
const STEPS: usize = 10;

/// How long to start new instances.
const MEASURED: Duration = Duration::from_secs(5);

pub(crate) fn run(guests: &Guests, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for at_once in [1, 64] {
        let (instances, took) = runtime.block_on(measure(guests, at_once))?;
        let rate = instances as f64 / took.as_secs_f64();
        let detail = format!("{STEPS} no-op steps each, {at_once} at once, SQLite, a commit after each step");
        report.add(
            if at_once == 1 { "durable instances, alone" } else { "durable instances" },
            rate,
            "per second",
            detail,
        );
        let detail = format!("the same, {at_once} at once");
        report.add(
            if at_once == 1 { "durable steps, alone" } else { "durable steps" },
            rate * STEPS as f64,
            "per second",
            detail,
        );
    }
    Ok(())
}

async fn measure(guests: &Guests, at_once: usize) -> anyhow::Result<(usize, Duration)> {
    let folder = tempfile::tempdir()?;
    let host = Host::on_sqlite(folder.path().join("bench.db")).open().await?;
    let engine = host.engine();
    let name = ComponentName::new("noop")?;
    engine.registry().register_component(name, Version::new(1, 0, 0), guests.load("noop")?.into()).await?;
    engine.registry().register_definition(linear()?).await?;
    run_one(engine).await?;
    let began = Instant::now();
    let runs = stream::repeat_with(|| run_one(engine)).take_while(|_| std::future::ready(began.elapsed() < MEASURED));
    let outcomes: Vec<_> = runs.buffer_unordered(at_once).collect().await;
    let took = began.elapsed();
    let instances = outcomes.len();
    outcomes.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    host.close().await;
    Ok((instances, took))
}

fn linear() -> anyhow::Result<WorkflowDefinition> {
    let mut builder = WorkflowDefinition::builder("linear", "1.0.0");
    for step in 0..STEPS {
        builder = builder.machine(&format!("s{step}"), "noop@1");
    }
    for step in 1..STEPS {
        builder = builder.edge(&format!("s{}", step - 1), &format!("s{step}"));
    }
    Ok(builder.build()?)
}

async fn run_one(engine: &WorkflowEngine) -> anyhow::Result<()> {
    let request = StartRequest::new(WorkflowName::new("linear")?).with_data(serde_json::json!({"n": 1}));
    let id = engine.start_workflow(request).await?.identity.id;
    let instance = engine.wait_until_settled(id).await?;
    anyhow::ensure!(instance.status == WorkflowStatus::Completed, "the instance is {}", instance.status);
    Ok(())
}
