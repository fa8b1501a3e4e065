//! A server on loopback with a few routes, and clients that speak by hand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::{get, post};
use futures::{StreamExt as _, stream};
use stepcell_server::{Drained, ServeLimits, Server, Tls, Traffic};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// What is short for a test and has a bound behind it: nobody waits for it unless somebody misbehaves.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// So long that a test which comes to it has failed.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Limits that nobody comes to.
pub(crate) fn wide() -> ServeLimits {
    ServeLimits {
        head_timeout: LONG,
        handshake_timeout: LONG,
        body_grace: LONG,
        write_timeout: LONG,
        drain_timeout: LONG,
        ..ServeLimits::default()
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) traffic: Arc<Traffic>,
    /// Lets `/held` answer.
    pub(crate) release: Arc<Notify>,
    /// Told when `/held` has begun, and when `/endless` was given up.
    pub(crate) told: mpsc::UnboundedReceiver<&'static str>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn with(limits: ServeLimits) -> Self {
        Self::with_tls(limits, None).await
    }

    pub(crate) async fn with_tls(limits: ServeLimits, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (traffic, release) = (Arc::<Traffic>::default(), Arc::<Notify>::default());
        let (tell, told) = mpsc::unbounded_channel();
        let mut server = Server::new(routes(&release, &tell)).limits(limits).traffic(Arc::clone(&traffic));
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let until = async {
                stopped.await.ok();
            };
            server.serve(listener, until).await.unwrap()
        });
        Self { address, traffic, release, told, stop, task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a text on a connection of its own, and reads until the server closes it.
    pub(crate) async fn say(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    pub(crate) async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }
}

/// Tells when it is let go of.
struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

fn routes(release: &Arc<Notify>, tell: &mpsc::UnboundedSender<&'static str>) -> Router {
    let (release, begun, dropped) = (Arc::clone(release), tell.clone(), tell.clone());
    let held = move || {
        let (release, begun) = (Arc::clone(&release), begun.clone());
        async move {
            begun.send("begun").unwrap();
            release.notified().await;
            "held"
        }
    };
    let endless = move || {
        let kept = Dropped(dropped.clone());
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let pieces = stream::repeat_with(move || {
            let _kept = &kept;
            Ok::<_, Infallible>(piece.clone())
        });
        async move { Response::new(Body::from_stream(pieces)) }
    };
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/held", get(held))
        .route("/endless", get(endless))
        .route("/events", get(events))
}

async fn events() -> Response {
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"data: first\n\n")) });
    let mut answer = Response::new(Body::from_stream(first.chain(stream::pending())));
    answer.headers_mut().insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
    answer
}

pub(crate) const GET_HELLO: &str = "GET /hello HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

/// Everything until the end, which may be an orderly one or not.
pub(crate) async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Reads until what was read ends with `end`.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let byte = stream.read_u8().await.unwrap();
        answer.push(byte.into());
    }
    answer
}

/// Asks for `/hello` on a connection that stays open.
pub(crate) async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let answer = read_until(stream, "\r\n\r\nhello").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
