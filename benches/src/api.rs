//! Starts over loopback by how many connections there are, with those of the engine itself beside them.
//!
//! Callers over HTTP and callers of the engine do the same: each starts one instance after the other and does not wait for
//! its end, so that whatever runs takes its share of the processors in both. The clients of the API are in the same process,
//! and as cheap as a client can be: what they cost is told as the API's. What HTTP costs by itself, those clients among it, is
//! told by a server that answers the same requests with a text that stands there already.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use stepcell::WorkflowEngine;
use stepcell::engine::NewKey;
use stepcell::model::access::{Scope, Scopes};
use stepcell::server::{ApiOptions, Guards, KeyGuard, router, serve};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::child::{self, Job};
use crate::closed::{Caller, Observed, Used, observe};
use crate::process;
use crate::report::Report;
use crate::setup::{Guests, Setup};
use crate::workload::{self, NAME, Place, Workload};

/// How many connections there are.
const CONNECTIONS: [u64; 3] = [1, 64, 512];

/// How long the answer to a start is.
const ANSWER_LEN_BYTES: usize = 600;

/// How long each is measured.
const LENGTH: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Starts {
    place: Place,
    callers: u64,
    over: Over,
    length: Duration,
}

/// How instances are started.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Over {
    Engine,
    Http,
    /// Nothing is started: what an answer over HTTP costs by itself.
    Nothing,
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    for callers in CONNECTIONS {
        let measure = |over| {
            let folder = tempfile::tempdir()?;
            let place = Place::Sqlite(folder.path().join("bench.db"));
            child::run(&Starts { place, callers, over, length: setup.pace.of(LENGTH) })
        };
        let nothing = measure(Over::Nothing)?;
        let what = format!("requests answered with a text, {callers} at once");
        report.add_with(what, nothing.rate(), "requests/s", "HTTP alone", [("ms CPU each", nothing.cpu_ms_each)]);
        let (engine, http) = (measure(Over::Engine)?, measure(Over::Http)?);
        for (over, observed) in [("engine", engine), ("API", http)] {
            let also = [
                ("of the engine's rate", observed.rate() / engine.rate()),
                ("ms p50", observed.latency.p50_ms),
                ("ms p99", observed.latency.p99_ms),
                ("ms CPU each", observed.cpu_ms_each),
            ];
            report.add_with(format!("starts, {over}, {callers} at once"), observed.rate(), "starts/s", "SQLite", also);
        }
    }
    Ok(())
}

impl Job for Starts {
    const NAME: &'static str = "starts";
    type Outcome = Observed;

    fn measure(self, guests: &Guests) -> anyhow::Result<Observed> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.observe(guests))
    }
}

impl Starts {
    async fn observe(self, guests: &Guests) -> anyhow::Result<Observed> {
        let host = Workload::pure(1).open(guests, &self.place).await?;
        let used = || Used { cpu: process::cpu(), commits: None };
        let observed = match self.over {
            Over::Engine => {
                let callers = (0..self.callers).map(|_| Starter(host.engine().clone())).collect();
                observe(callers, self.length, Duration::ZERO, used).await?
            }
            Over::Http | Over::Nothing => {
                let server = match self.over {
                    Over::Nothing => Serving::text().await?,
                    Over::Engine | Over::Http => Serving::begin(host.engine()).await?,
                };
                let mut callers = Vec::new();
                for _ in 0..self.callers {
                    callers.push(Client::connect(&server).await?);
                }
                observe(callers, self.length, Duration::ZERO, used).await?
            }
        };
        host.close().await;
        Ok(observed)
    }
}

/// Somebody who starts instances by calling the engine.
struct Starter(WorkflowEngine);

impl Caller for Starter {
    async fn run_one(&mut self) -> anyhow::Result<()> {
        workload::start(&self.0).await?;
        Ok(())
    }
}

/// A server in this process.
struct Serving {
    address: std::net::SocketAddr,
    key: String,
}

impl Serving {
    async fn begin(engine: &WorkflowEngine) -> anyhow::Result<Self> {
        let key = key(engine).await?;
        let guards = Guards::none().with(Arc::new(KeyGuard::new(engine.clone())));
        Self::of(router(engine.clone(), ApiOptions { guards, ..ApiOptions::default() }), key).await
    }

    /// Answers with as much text as an instance takes that was started.
    async fn text() -> anyhow::Result<Self> {
        let answer = || async { (StatusCode::CREATED, "x".repeat(ANSWER_LEN_BYTES)) };
        Self::of(Router::new().route("/api/v1/instances", post(answer)), "none".to_owned()).await
    }

    async fn of(router: Router, key: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(listener, router, std::future::pending()));
        Ok(Self { address, key })
    }
}

/// Somebody who starts instances over one connection that stays open.
struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: String,
    body: Vec<u8>,
}

impl Client {
    async fn connect(server: &Serving) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let body = format!(r#"{{"definition_name":"{NAME}","input_data":{{"n":1}}}}"#);
        let request = format!(
            "POST /api/v1/instances HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            server.address,
            server.key,
            body.len()
        );
        Ok(Self { stream: BufReader::new(stream), request: request.into(), line: String::new(), body: Vec::new() })
    }
}

impl Caller for Client {
    async fn run_one(&mut self) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(&self.request).await?;
        let (mut len, mut lines) = (0, 0);
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).await?;
            let line = self.line.trim_end();
            ensure!(lines > 0 || line.starts_with("HTTP/1.1 201"), "the API answered `{line}`");
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length: ") {
                len = text.parse().context("a length is a number")?;
            }
            lines += 1;
        }
        self.body.resize(len, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(())
    }
}

/// A key of the platform that may start instances.
async fn key(engine: &WorkflowEngine) -> anyhow::Result<String> {
    let new = NewKey {
        name: "bench".parse()?,
        tenant: None,
        user: "bench".parse()?,
        groups: Vec::new(),
        scopes: Scopes::of(&[Scope::Operator]),
        expires_at: None,
        created_by: None,
    };
    Ok(engine.create_key(new).await?.1.expose().to_owned())
}
