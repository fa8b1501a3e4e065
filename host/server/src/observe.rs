//! What can be seen of each request from outside: its id, a line of the access log, and counts for metrics.
//!
//! The line has no query and no value that a client sent, but the id that it may choose. Labels of metrics are bounded: the
//! template of a route, one of the known methods, the class of the status.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use stepcell_model::name::TenantId;
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::auth::Caller;
use crate::problem::{PROBLEM_JSON, ProblemCode};

/// The head that an id is taken from and told in.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client. Protects logs.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// The longest refusal that is given its request's id. Ours are far shorter; what is longer is none of ours.
const PROBLEM_BYTES_MAX: usize = 256 * 1024;

/// What the metrics of requests are called.
pub const REQUESTS_TOTAL: &str = "stepcell_http_requests_total";

/// What the histogram of how long answers took is called, in seconds.
pub const REQUEST_DURATION: &str = "stepcell_http_request_duration_seconds";

/// What the counter of refusals is called, by their code.
pub const PROBLEMS_TOTAL: &str = "stepcell_http_problems_total";

/// Names a request in logs and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id that the client chose, if it is one that can stand in a log, or else a new one.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let chosen = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_sane(id));
        Self(chosen.map_or_else(|| Uuid::now_v7().to_string().into(), Into::into))
    }

    /// The id as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_sane(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(is_plain)
}

/// Where it is left for the log who a request turned out to be of.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownCaller(Arc<OnceLock<Caller>>);

impl KnownCaller {
    /// Leaves it; only the first word counts.
    pub(crate) fn tell(&self, caller: &Caller) {
        let _ = self.0.set(caller.clone());
    }
}

/// Gives every request of `router` an id, a line in the log, and a place in the metrics.
///
/// The id is the one in `X-Request-Id` if that is up to 128 letters, digits, `-`, `_`, `.` and `:`, or else a new one. It is
/// in the answer's head, in refusals as `request_id`, and in the log.
pub fn observed(router: Router) -> Router {
    router.layer(from_fn(observe))
}

async fn observe(mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = RequestId::of_headers(request.headers());
    let known = KnownCaller::default();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(known.clone());
    let span = tracing::info_span!("request", id = id.as_str());
    let answer = next.run(request).instrument(span).await;
    let answer = with_id(answer, &id).await;
    let (status, problem) = (answer.status(), answer.extensions().get::<ProblemCode>().copied());
    let seen = Seen { id, method, route, status, problem, took: begun.elapsed(), known };
    seen.count();
    seen.log();
    answer
}

/// What is told of a request.
struct Seen {
    id: RequestId,
    method: &'static str,
    route: Option<MatchedPath>,
    status: StatusCode,
    problem: Option<ProblemCode>,
    took: Duration,
    known: KnownCaller,
}

impl Seen {
    fn count(&self) {
        let route = self.route.as_ref().map_or(Cow::Borrowed("none"), |route| Cow::Owned(route.as_str().to_owned()));
        let class = match self.status.as_u16() / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "1xx",
        };
        metrics::counter!(REQUESTS_TOTAL, "route" => route.clone(), "method" => self.method, "status" => class)
            .increment(1);
        if let Some(problem) = self.problem {
            metrics::counter!(PROBLEMS_TOTAL, "code" => problem.as_str()).increment(1);
        }
        metrics::histogram!(REQUEST_DURATION, "route" => route, "method" => self.method).record(self.took);
    }

    fn log(&self) {
        let caller = self.known.0.get();
        tracing::info!(
            target: "access",
            request_id = self.id.as_str(),
            method = self.method,
            route = self.route.as_ref().map(MatchedPath::as_str),
            status = self.status.as_u16(),
            problem = self.problem.map(ProblemCode::as_str),
            took_us = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
            key = caller.and_then(|caller| caller.key.as_deref()),
            tenant = caller.and_then(|caller| caller.tenant.as_ref()).map(TenantId::as_str),
            "answered"
        );
    }
}

/// The methods that there are routes for, and one word for all others: anybody can send any.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Tells the client its request's id, in the head and, in a refusal, in the body.
async fn with_id(answer: Response, id: &RequestId) -> Response {
    let mut answer = if is_problem(&answer) { problem_with_id(answer, id).await } else { answer };
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    answer
}

fn is_problem(answer: &Response) -> bool {
    let is_small = answer.body().size_hint().exact().is_some_and(|bytes| bytes <= PROBLEM_BYTES_MAX as u64);
    is_small && answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON)
}

/// Puts the id at the end of the object that the body is.
async fn problem_with_id(answer: Response, id: &RequestId) -> Response {
    let (mut head, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, PROBLEM_BYTES_MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    let told = match bytes.strip_suffix(b"}") {
        // An id that is sane needs no escapes.
        Some(rest) if rest.len() > 1 => [rest, br#","request_id":""#, id.as_str().as_bytes(), br#""}"#].concat().into(),
        _ => bytes,
    };
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(told))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn answer_to(path: &str, id: Option<&str>) -> (HeaderMap, String) {
        let refusal = || async {
            let kind = [(CONTENT_TYPE, "application/problem+json")];
            (StatusCode::NOT_FOUND, kind, r#"{"status":404}"#).into_response()
        };
        let router = observed(Router::new().route("/here", get(|| async { "{}" })).route("/refused", get(refusal)));
        let mut request = Request::get(path);
        if let Some(id) = id {
            request = request.header(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        }
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let head = answer.headers().clone();
        let body = to_bytes(answer.into_body(), 1024).await.unwrap();
        (head, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_sane_id_of_the_client_is_kept_and_told_in_a_refusal() {
        let (head, body) = answer_to("/refused", Some("trace-1.2:3_x")).await;

        assert_eq!(head[REQUEST_ID], "trace-1.2:3_x");
        assert_eq!(body, r#"{"status":404,"request_id":"trace-1.2:3_x"}"#);
        assert_eq!(answer_to("/here", Some("mine")).await.1, "{}");
    }

    #[tokio::test]
    async fn an_id_that_could_confuse_a_log_is_replaced() {
        for id in ["", "a b", "a\"b", "\u{e4}", &"x".repeat(REQUEST_ID_CHARS_MAX + 1)] {
            let (head, _) = answer_to("/here", Some(id)).await;
            assert!(Uuid::parse_str(head[REQUEST_ID].to_str().unwrap()).is_ok(), "{id}");
        }
        let (first, second) = (answer_to("/here", None).await.0, answer_to("/here", None).await.0);
        assert_ne!(first[REQUEST_ID], second[REQUEST_ID]);
    }

    #[test]
    fn methods_that_are_made_up_share_one_label() {
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(method_label(&Method::GET), "GET");
    }
}
