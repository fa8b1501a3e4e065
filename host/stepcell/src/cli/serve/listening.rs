//! The HTTP server of `serve`: from before the database is open until after it takes nothing new.

use std::net::SocketAddr;
use std::sync::Arc;

use stepcell::Host;
use stepcell_server::{AuditLog, Drained, Front, ServeLimits, Server, Tls, TokenGuard, Traffic};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::exit::Refused;
use super::super::print::note;
use super::metrics::Metrics;
use super::settings::HttpSettings;

/// How many connections those have together who watch. A scraper has one.
const WATCHERS_MAX: usize = 64;

/// The listeners that were asked for.
pub(super) struct Listening {
    front: Front,
    traffic: Arc<Traffic>,
    tls: Option<Tls>,
    tokens: Option<Arc<TokenGuard>>,
    metrics: Option<Metrics>,
    answering: Servers,
    watched: Servers,
    /// What was done over HTTP, once there is something to do.
    audit: Option<AuditLog>,
}

/// Servers that stop together.
#[derive(Default)]
struct Servers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<std::io::Result<Drained>>>,
}

impl Listening {
    /// Binds what was asked for, so that a port that is taken is told before anything else is done.
    pub(super) async fn begin(settings: &HttpSettings) -> anyhow::Result<Self> {
        let tls = settings.tls()?;
        settings.warn();
        let tokens = settings.callers.tokens()?;
        let (front, traffic) = (Front::default(), Arc::default());
        let (answering, watched) = (Servers::default(), Servers::default());
        let mut listening = Self { front, traffic, tls, tokens, metrics: None, answering, watched, audit: None };
        if let Some(address) = settings.listen {
            settings.take_descriptors();
            let listener = bind(address).await?;
            let scheme = if listening.tls.is_some() { "https" } else { "http" };
            let address = listener.local_addr()?;
            let router = listening.front.router();
            let mut server = Server::new(router).limits(settings.limits()).traffic(Arc::clone(&listening.traffic));
            if let Some(tls) = &listening.tls {
                server = server.tls(tls.clone());
            }
            listening.answering.spawn(server, listener);
            note(format!("listening on {scheme}://{address}"));
            if let Some(path) = settings.docs_path() {
                note(format!("documentation on {scheme}://{address}{path}"));
            }
        }
        if let Some(address) = settings.metrics_listen {
            let listener = bind(address).await?;
            let address = listener.local_addr()?;
            let metrics = Metrics::record(Arc::clone(&listening.traffic))?;
            let router = listening.front.health_router().merge(metrics.router());
            let limits = ServeLimits { connections_max: WATCHERS_MAX, ..settings.limits() };
            listening.watched.spawn(Server::new(router).limits(limits), listener);
            listening.metrics = Some(metrics);
            note(format!("metrics on http://{address}/metrics"));
        }
        Ok(listening)
    }

    /// Answers from what the host has opened.
    pub(super) fn open(&mut self, host: &Host, settings: &HttpSettings) {
        let audit = self.audit.insert(AuditLog::new(host.engine().clone()));
        self.front.open(Arc::clone(host.store()), settings.router(host, self.tokens.as_ref(), audit));
        if let Some(metrics) = &self.metrics {
            metrics.tell_of(host);
        }
    }

    /// What answers.
    pub(super) const fn front(&self) -> &Front {
        &self.front
    }

    /// Reads the certificate again. One that can not be used changes nothing.
    pub(super) fn reload(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(()) => note("the certificate was read again"),
            Err(error) => note(format!("warning: the certificate stays as it was: {error}")),
        }
    }

    /// Accepts nothing new, and comes back once requests under way have ended, or the time for that is over, and what was
    /// answered is in the audit log. Those who watch are still answered.
    pub(super) async fn stop(&mut self) {
        self.answering.stop().await;
        if let Some(audit) = &self.audit {
            audit.flush().await;
        }
    }

    /// Lets go of those who watch, too.
    pub(super) async fn end(mut self) {
        self.watched.stop().await;
    }
}

impl Servers {
    fn spawn(&mut self, server: Server, listener: TcpListener) {
        let mut stopped = self.stop.subscribe();
        let until = async move {
            // A sender that is gone means the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        self.tasks.push(tokio::spawn(server.serve(listener, until)));
    }

    async fn stop(&mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            match task.await {
                Ok(Ok(Drained::Whole)) => {}
                Ok(Ok(Drained::Cut(left))) => note(format!("{left} connections did not end in time and were closed")),
                Ok(Err(error)) => tracing::error!(%error, "the server ended in disorder"),
                Err(error) => tracing::error!(%error, "the server ended in disorder"),
            }
        }
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Refused::unusable(format!("can not listen on {address}: {error}")).into())
}
