//! Memory of the real binary at rest and with very many instances that wait, and of instances that are under way.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use stepcell::engine::StartRequest;
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::name::{ComponentName, WorkflowName};
use stepcell::{Failure, Host, Json, Step, Version, WorkflowContext, WorkflowEngine};

use crate::child::{self, Job};
use crate::cold::stepcell_bin;
use crate::multiply::multiply;
use crate::process::resident_mib;
use crate::report::Report;
use crate::setup::{Guests, Pace, Setup};

/// How many instances wait.
const WAITING: [u64; 3] = [0, 10_000, 1_000_000];

/// How many of them an engine makes; the others are copies.
const FIRST: u64 = 1_000;

/// How many instances are under way at once.
const UNDER_WAY: u64 = 1_000;

/// How many cells are there at once.
const CELLS: u64 = 200;

/// How often it is looked whether all are under way.
const LOOK: Duration = Duration::from_millis(10);

/// How long that may take.
const LOOKS_MAX: usize = 3_000;

/// What to measure: the memory of so many instances that are under way at once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    count: u64,
    /// Whether each is in a cell, or at a step of the process that waits.
    step: Waits,
}

/// A step that waits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Waits {
    InACell,
    InTheHost,
}

/// Waits for ever.
struct ForEver(Arc<AtomicU64>);

#[async_trait]
impl Step for ForEver {
    fn name(&self) -> &str {
        "bench/for-ever"
    }

    async fn execute(&self, _: &mut WorkflowContext) -> Result<Json, Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

impl Job for UnderWay {
    const NAME: &'static str = "under-way";
    /// KiB of each.
    type Outcome = f64;

    fn measure(self, guests: &Guests) -> anyhow::Result<f64> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let folder = tempfile::tempdir()?;
            let begun = Arc::new(AtomicU64::new(0));
            let step = Arc::new(ForEver(Arc::clone(&begun)));
            let host = Host::on_sqlite(folder.path().join("bench.db")).concurrency(usize::try_from(self.count)?);
            let host = host.open_with(|registry| registry.register_step(step)).await?;
            let registry = host.engine().registry();
            let probe = guests.load("probe")?.into();
            registry.register_component(ComponentName::new("probe")?, Version::new(1, 0, 0), probe).await?;
            let component = match self.step {
                Waits::InACell => "probe@1",
                Waits::InTheHost => "host:bench/for-ever",
            };
            let definition = WorkflowDefinition::builder("wait", "1.0.0").machine("s", component).build()?;
            registry.register_definition(definition).await?;
            let before = resident_mib("self")?;
            for _ in 0..self.count {
                let sleep = serde_json::json!({ "do": "sleep", "ms": 60_000 });
                let request = StartRequest::new(WorkflowName::new("wait")?).with_data(sleep);
                host.engine().start_workflow(request).await?;
            }
            self.until_begun(&begun).await?;
            let after = resident_mib("self")?;
            // What waits would be waited for.
            host.engine().abandon();
            Ok((after - before) * 1024.0 / self.count as f64)
        })
    }
}

impl UnderWay {
    async fn until_begun(self, begun: &AtomicU64) -> anyhow::Result<()> {
        if matches!(self.step, Waits::InACell) {
            tokio::time::sleep(Duration::from_secs(2)).await;
            return Ok(());
        }
        for _ in 0..LOOKS_MAX {
            if begun.load(Ordering::Relaxed) >= self.count {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        anyhow::bail!("{} of {} steps have begun", begun.load(Ordering::Relaxed), self.count)
    }
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let waiting = if setup.pace == Pace::Quick { &WAITING[..2] } else { &WAITING };
    let mut at_rest = None;
    for waiting in waiting {
        let database = folder.path().join(format!("{waiting}.db"));
        runtime.block_on(prepare(&database, (*waiting).min(FIRST)))?;
        let waiting = if *waiting > FIRST { multiply(&database, *waiting)? } else { *waiting };
        let mib = serving_mib(&database)?;
        let over = mib - *at_rest.get_or_insert(mib);
        let detail = format!("resident set of `stepcell serve`, {waiting} instances waiting for a person");
        let each = (waiting > 0).then(|| ("bytes each", over * 1024.0 * 1024.0 / waiting as f64));
        report.add_with(format!("memory, {waiting} waiting"), mib, "MiB", detail, each);
    }
    for (step, count, name) in [(Waits::InTheHost, UNDER_WAY, "outside a cell"), (Waits::InACell, CELLS, "in a cell")] {
        let kib = child::run(&UnderWay { count, step })?;
        report.add(format!("memory of an instance under way, {name}"), kib, "KiB", format!("{count} at once, SQLite"));
    }
    Ok(())
}

async fn prepare(database: &Path, waiting: u64) -> anyhow::Result<()> {
    let host = Host::on_sqlite(database).open().await?;
    let definition = WorkflowDefinition::builder("wait", "1.0.0").human("review", |_| {}).build()?;
    host.engine().registry().register_definition(definition).await?;
    stream::iter(0..waiting).map(|_| start(host.engine())).buffer_unordered(64).try_collect::<Vec<()>>().await?;
    host.close().await;
    Ok(())
}

async fn start(engine: &WorkflowEngine) -> anyhow::Result<()> {
    let id = engine.start_workflow(StartRequest::new(WorkflowName::new("wait")?)).await?.identity.id;
    engine.wait_until_settled(id).await?;
    Ok(())
}

/// The resident set of a server on a database, a second after it has begun to drive.
fn serving_mib(database: &Path) -> anyhow::Result<f64> {
    let mut server = Command::new(stepcell_bin()?)
        .arg("serve")
        .env("STEPCELL_DB", database)
        .stderr(Stdio::piped())
        .spawn()
        .context("the binary can not be started")?;
    let mut ready = String::new();
    BufReader::new(server.stderr.take().context("it is piped")?).read_line(&mut ready)?;
    std::thread::sleep(Duration::from_secs(1));
    let mib = resident_mib(&server.id().to_string());
    server.kill()?;
    server.wait()?;
    ensure!(ready.contains("driving"), "the server says `{ready}`");
    mib
}
