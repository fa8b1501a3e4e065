//! `serve`: drives a database until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use stepcell::model::time::Span;
use stepcell::store::Losses;
use stepcell::{Access, Host};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::exit::{Exit, Refused};
use super::open::{Settings, cannot_open};
use super::print::note;
use super::prune::Retention;
use super::stops::Stops;

/// Drive everything in the database until stopped.
///
/// SIGTERM and Ctrl-C drain: nothing new begins, the attempts under way end, and the process ends with 0. A second
/// signal ends it at once; what was under way then is run again by the next one that drives.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Also answer HTTP here, such as `127.0.0.1:8080`: `GET /healthz` says that the process is alive.
    #[arg(long, env = "STEPCELL_LISTEN", hide_env_values = true, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How many attempts may run at once [default: 16 for each processor].
    #[arg(long, env = "STEPCELL_CONCURRENCY", hide_env_values = true, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: Option<u16>,
    /// Delete instances that finished that long ago, such as `30d`, little by little in the background: see `prune`.
    #[arg(long, env = "STEPCELL_RETENTION", hide_env_values = true, value_name = "AGE")]
    retention: Option<Span>,
    /// Go on where the database has lost something that was acknowledged, as a damaged disk or a removed file makes it. What
    /// came before the loss is kept, and the damaged log beside the database, with `-wal.lost` at its end.
    #[arg(long, env = "STEPCELL_ACCEPT_LOSS", hide_env_values = true)]
    accept_loss: bool,
}

impl Serve {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let database = settings.database();
        let mut stops = Stops::listen()?;
        let listener = match self.listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let mut builder = settings.with_settings(Host::on_sqlite(&database))?.access(Access::Drive);
        if self.accept_loss {
            builder = builder.losses(Losses::Accept);
        }
        if let Some(attempts) = self.concurrency {
            builder = builder.concurrency(attempts.into());
        }
        let host = builder.open().await.with_context(|| cannot_open(&database))?;
        let server = Server::start(listener)?;
        note(format!("driving {}; stop with Ctrl-C", database.display()));
        let retention = self.retention.map(|age| Retention::of(host.store(), age));
        let fault = tokio::select! {
            () = stops.next() => None,
            fault = host.engine().faulted() => Some(fault),
        };
        note("stopping: the attempts under way end first; stop again to end at once");
        tokio::spawn(async move {
            stops.next().await;
            note("stopped at once; what was under way is run again by the next one that drives");
            std::process::exit(Exit::BadInput as i32);
        });
        drop(retention);
        server.stop().await;
        host.close().await;
        match fault {
            Some(fault) => Err(anyhow::Error::from(fault).context(cannot_go_on(&database))),
            None => Ok(Exit::Done),
        }
    }
}

fn cannot_go_on(database: &Path) -> String {
    format!("can not go on driving `{}`", database.display())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Refused::unusable(format!("can not listen on {address}: {error}")).into())
}

/// The HTTP server, if one was asked for.
struct Server {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<std::io::Result<()>>>,
}

impl Server {
    fn start(listener: Option<TcpListener>) -> anyhow::Result<Self> {
        let (stop, mut stopped) = watch::channel(false);
        let Some(listener) = listener else { return Ok(Self { stop, task: None }) };
        note(format!("listening on http://{}", listener.local_addr()?));
        let until = async move {
            // A sender that is gone means the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let task = tokio::spawn(stepcell_server::serve(listener, stepcell_server::health(), until));
        Ok(Self { stop, task: Some(task) })
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the server ended in disorder"),
                Err(error) => tracing::error!(%error, "the server ended in disorder"),
            }
        }
    }
}
