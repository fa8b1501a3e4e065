//! Memory of the real binary at rest, and with instances that wait for people.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use stepcell::engine::StartRequest;
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::name::WorkflowName;
use stepcell::{Host, WorkflowEngine};

use crate::Guests;
use crate::cold::stepcell_bin;
use crate::report::Report;

/// How many instances wait.
const WAITING: usize = 1_000;

pub(crate) fn run(_: &Guests, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for waiting in [0, WAITING] {
        let database = folder.path().join(format!("{waiting}.db"));
        runtime.block_on(prepare(&database, waiting))?;
        let detail = format!("resident set of `stepcell serve`, {waiting} instances waiting for a person");
        let name = if waiting == 0 { "memory at rest" } else { "memory with 1,000 waiting" };
        report.add(name, resident_mib(&database)?, "MiB", detail);
    }
    Ok(())
}

async fn prepare(database: &Path, waiting: usize) -> anyhow::Result<()> {
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

fn resident_mib(database: &Path) -> anyhow::Result<f64> {
    let mut server = Command::new(stepcell_bin()?)
        .arg("serve")
        .env("STEPCELL_DB", database)
        .stderr(Stdio::piped())
        .spawn()
        .context("the binary can not be started")?;
    let mut ready = String::new();
    BufReader::new(server.stderr.take().context("it is piped")?).read_line(&mut ready)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    server.kill()?;
    server.wait()?;
    ensure!(ready.contains("driving"), "the server says `{ready}`");
    let status = status.context("the memory of a process is read from /proc")?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).context("/proc does not tell the resident set")
}
