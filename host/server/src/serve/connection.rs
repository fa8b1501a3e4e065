//! One connection, from its handshake to its last answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::Server;
use super::limits::{RETRY_AFTER_SECONDS, ServeLimits};
use super::pace::{Late, PacedBody};
use super::stall::Unstalled;
use super::stopping::{Stop, end_with};
use super::tls::Tls;
use super::traffic::Traffic;
use crate::problem::{PROBLEM_JSON, Problem, ProblemCode};

/// What all connections of a server have in common.
#[derive(Debug)]
pub(super) struct Connections {
    router: Router,
    limits: ServeLimits,
    tls: Option<Tls>,
    traffic: Arc<Traffic>,
    stop: Stop,
}

impl Connections {
    pub(super) fn new(server: &Server, stop: &Stop) -> Self {
        Self {
            router: server.router.clone(),
            limits: server.limits,
            tls: server.tls.clone(),
            traffic: Arc::clone(&server.traffic),
            stop: stop.clone(),
        }
    }

    /// Answers the requests of one connection until it ends, or the server stops and the request under way has ended.
    pub(super) async fn answer(&self, stream: TcpStream, peer: SocketAddr) {
        let _counted = self.traffic.open();
        // Answers are short, and whoever asked waits for them.
        let _ = stream.set_nodelay(true);
        let stream = Unstalled::new(stream, self.limits.write_timeout);
        let Some(tls) = &self.tls else { return self.speak(stream, peer).await };
        let handshake = tokio::time::timeout(self.limits.handshake_timeout, tls.accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = self.stop.wait() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.speak(stream, peer).await,
            Ok(Err(_)) | Err(_) => self.traffic.fail_handshake(),
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr) {
        let service = service_fn(|request: Request<Incoming>| self.answer_one(request, peer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.head_bytes_max)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended in disorder");
        }
    }

    async fn answer_one(&self, request: Request<Incoming>, peer: SocketAddr) -> Result<Response, Infallible> {
        let _counted = self.traffic.begin_request();
        if head_len_bytes(&request) > self.limits.head_bytes_max {
            return Ok(too_large(self.limits.head_bytes_max));
        }
        let late = Late::default();
        let mut request = request.map(|body| Body::new(PacedBody::new(body, &self.limits, late.clone())));
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.router.clone().oneshot(request).await?;
        if late.is_late() {
            self.traffic.end_slow_body();
            return Ok(too_slow());
        }
        Ok(end_with(&self.stop, &self.traffic, answer))
    }
}

/// How long the head of a request is, as it is usually written: what is read at once may hold more than may be sent.
fn head_len_bytes(request: &Request<Incoming>) -> usize {
    let line = request.method().as_str().len() + request.uri().path().len() + " HTTP/1.1\r\n".len() + 1;
    let query = request.uri().query().map_or(0, |query| query.len() + 1);
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + query + fields.sum::<usize>() + "\r\n".len()
}

fn too_large(head_bytes_max: usize) -> Response {
    let detail = format!("the head of the request is longer than {head_bytes_max} bytes; send less in it");
    let mut answer = Problem::new(ProblemCode::HeadTooLarge, detail).into_response();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn too_slow() -> Response {
    let detail = "the body arrived too slowly; send it at once, or at a higher rate";
    let mut answer = Problem::new(ProblemCode::RequestTimeout, detail).into_response();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Answers a connection that there is no room for, and closes it. Waits for nobody: what does not fit is not sent.
pub(super) fn refuse(stream: TcpStream) {
    let detail = "this server has as many connections as it may have; try again in a moment";
    let body = serde_json::to_string(&Problem::new(ProblemCode::Unavailable, detail).body()).unwrap_or_default();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {length}\r\n\
         retry-after: {RETRY_AFTER_SECONDS}\r\nconnection: close\r\n\r\n{body}"
    );
    let Ok(stream) = stream.into_std() else { return };
    // What a new connection may hold in the system's buffers is more than this.
    let _ = std::io::Write::write(&mut &stream, answer.as_bytes());
    let _ = stream.shutdown(std::net::Shutdown::Write);
}
