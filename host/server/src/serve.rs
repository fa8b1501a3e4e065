//! Answers requests until told to stop, whoever sends them and however slowly.
//!
//! Everything that a stranger can hold is bounded: connections by their number, heads and idle connections by time, bodies
//! by the rate at which they arrive, answers by how long their reader may take none of them. What is over a bound is
//! refused at once; nothing waits in a queue. HTTP/1.1 alone, plain or within TLS. Not here: what is answered.

mod connection;
mod limits;
mod pace;
mod stall;
mod stopping;
mod tls;
mod traffic;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::limits::ServeLimits;
pub use self::tls::{Tls, TlsError};
pub use self::traffic::{Traffic, TrafficCounts};

use self::connection::{Connections, refuse};
use self::stopping::Stop;

/// Serves `router` on `listener` until `shutdown` is done, then drains: [`Server`] with everything as it is unless told.
///
/// # Errors
/// If the listener can not be used. That ends the server: report it and stop.
///
/// # Examples
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let server = stepcell_server::serve(listener, axum::Router::new(), async move {
///     stopped.await.ok();
/// });
/// # drop(stop);
/// server.await
/// # }
/// ```
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    Server::new(router).serve(listener, shutdown).await.map(|_| ())
}

/// What answers on one listener.
#[derive(Clone, Debug)]
pub struct Server {
    router: Router,
    limits: ServeLimits,
    tls: Option<Tls>,
    traffic: Arc<Traffic>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Whatever was under way has ended.
    Whole,
    /// So many connections were still open when the time was over, and were closed.
    Cut(usize),
}

impl Server {
    /// A server without TLS, within the limits that are right for most.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router, limits: ServeLimits::default(), tls: None, traffic: Arc::default() }
    }

    /// Sets what strangers may hold.
    #[must_use]
    pub const fn limits(mut self, limits: ServeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Answers within TLS alone.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets where it is counted what goes on.
    #[must_use]
    pub fn traffic(mut self, traffic: Arc<Traffic>) -> Self {
        self.traffic = traffic;
        self
    }

    /// Serves on `listener` until `shutdown` is done. Then nothing new is accepted, streams of events are ended,
    /// requests under way end, and what is still open after [`ServeLimits::drain_timeout`] is closed.
    ///
    /// An error of a single connection, or of accepting one, ends nothing: where the process has no more descriptors it
    /// waits until some are given back.
    ///
    /// # Errors
    /// If the listener can not be used at all.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Drained> {
        listener.local_addr()?;
        let stop = Stop::default();
        let room = Arc::new(Semaphore::new(self.limits.connections_max));
        let connections = Arc::new(Connections::new(&self, &stop));
        let mut open = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                // What has ended is let go of at once, so that memory comes back.
                Some(_) = open.join_next() => continue,
                accepted = accept(&listener) => accepted,
            };
            match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => {
                    let connections = Arc::clone(&connections);
                    open.spawn(async move {
                        connections.answer(stream, peer).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    self.traffic.refuse();
                    if self.tls.is_none() {
                        refuse(stream);
                    }
                }
            }
        }
        drop(listener);
        stop.begin();
        Ok(drain(open, &self.limits).await)
    }
}

async fn drain(mut open: JoinSet<()>, limits: &ServeLimits) -> Drained {
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_timeout, all).await.is_ok() {
        return Drained::Whole;
    }
    let left = open.len();
    open.shutdown().await;
    Drained::Cut(left)
}

/// Accepts the next connection. What can not be accepted is passed over.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                // The one in front stays where it is, so that trying again at once would only keep a processor busy.
                tracing::warn!(%error, "can not accept connections; trying again");
                tokio::time::sleep(limits::ACCEPT_REST).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
