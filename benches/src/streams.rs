//! Memory of the real server with ten thousand streams of events that wait, and how long until all of them are told of one.

use std::io::{BufRead as _, BufReader as Lines};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use stepcell::Host;
use stepcell::engine::NewKey;
use stepcell::model::access::{Scope, Scopes};
use stepcell::model::definition::WorkflowDefinition;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cold::stepcell_bin;
use crate::process::resident_mib;
use crate::report::Report;
use crate::setup::Setup;

/// How many streams.
const STREAMS: u64 = 10_000;

/// How many streams of one user: as many as a server lets one have, at most.
const EACH: u64 = 500;

/// How long after the last connection the memory is looked at.
const REST: Duration = Duration::from_secs(2);

type Stream = BufReader<TcpStream>;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("streams.db");
    let count = setup.pace.count(STREAMS);
    let keys = runtime.block_on(prepare(&database, count.div_ceil(EACH)))?;
    let (mut server, address) = serve(&database)?;
    let measured = runtime.block_on(measure(&server.id().to_string(), &address, &keys, count));
    server.kill()?;
    server.wait()?;
    let (before, after, told) = measured?;
    let each = (after - before) * 1024.0 / count as f64;
    let detail = format!("`stepcell serve` with {count} streams of events that wait; {before:.0} MiB without them");
    report.add_with(format!("memory, {count} streams"), after, "MiB", detail, [("KiB each", each)]);
    let detail = "from the start of an instance until the last stream was told, clients on the same machine".to_owned();
    report.add(format!("one event told to {count} streams"), told.as_secs_f64() * 1e3, "ms", detail);
    Ok(())
}

/// A database with a workflow that waits, and keys of as many users.
async fn prepare(database: &Path, users: u64) -> anyhow::Result<Vec<String>> {
    let host = Host::on_sqlite(database).open().await?;
    let definition = WorkflowDefinition::builder("wait", "1.0.0").human("review", |_| {}).build()?;
    host.engine().registry().register_definition(definition).await?;
    let mut keys = Vec::new();
    for user in 0..users {
        let new = NewKey {
            name: "bench".parse()?,
            tenant: None,
            user: format!("user-{user}").parse()?,
            groups: Vec::new(),
            scopes: Scopes::of(&[Scope::Operator]),
            expires_at: None,
            created_by: None,
        };
        keys.push(host.engine().create_key(new).await?.1.expose().to_owned());
    }
    host.close().await;
    Ok(keys)
}

fn serve(database: &Path) -> anyhow::Result<(Child, String)> {
    let mut server = Command::new(stepcell_bin()?)
        .args(["serve", "--listen", "127.0.0.1:0", "--connections-max", "15000"])
        .env("STEPCELL_DB", database)
        .stderr(Stdio::piped())
        .spawn()
        .context("the binary can not be started")?;
    let mut address = None;
    for line in Lines::new(server.stderr.take().context("it is piped")?).lines() {
        let line = line?;
        if let Some(told) = line.strip_prefix("listening on http://") {
            address = Some(told.to_owned());
        }
        if line.starts_with("driving") {
            break;
        }
    }
    Ok((server, address.context("the server does not say where it listens")?))
}

async fn measure(server: &str, address: &str, keys: &[String], count: u64) -> anyhow::Result<(f64, f64, Duration)> {
    let before = resident_mib(server)?;
    let mut streams = Vec::new();
    for number in 0..count {
        let key = &keys[usize::try_from(number / EACH)?];
        streams.push(follow(address, key).await?);
    }
    tokio::time::sleep(REST).await;
    let after = resident_mib(server)?;
    let mut telling = JoinSet::new();
    for mut stream in streams {
        telling.spawn(async move {
            let mut line = String::new();
            while !line.starts_with("event: workflow_started") {
                line.clear();
                ensure!(stream.read_line(&mut line).await? > 0, "a stream ended");
            }
            Ok(())
        });
    }
    let since = Instant::now();
    start(address, &keys[0]).await?;
    while let Some(told) = telling.join_next().await {
        told??;
    }
    Ok((before, after, since.elapsed()))
}

/// Opens a stream, and reads its head.
async fn follow(address: &str, key: &str) -> anyhow::Result<Stream> {
    let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\r\n");
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.get_mut().write_all(request.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    ensure!(line.starts_with("HTTP/1.1 200"), "a stream was answered `{}`", line.trim_end());
    while !line.trim_end().is_empty() {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    Ok(stream)
}

async fn start(address: &str, key: &str) -> anyhow::Result<()> {
    let body = r#"{"definition_name":"wait"}"#;
    let request = format!(
        "POST /api/v1/instances HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.get_mut().write_all(request.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    ensure!(line.starts_with("HTTP/1.1 201"), "a start was answered `{}`", line.trim_end());
    Ok(())
}
