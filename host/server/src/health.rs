//! Whether the process is there (`/healthz`), and whether it can do anything (`/readyz`); what answers until it can.
//!
//! A process answers from its first moment on: while it opens its database, everything but these two is answered `503`, and
//! whoever sends it work waits for `/readyz`. That asks the store, at most once a second however often it is asked itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::json;
use stepcell_store::WorkflowStore;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::problem::{Problem, ProblemCode};

/// How long the store may take for an answer. One that takes longer answers nobody in time.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer of the store holds. Bounds what strangers can ask of it by asking here.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(1);

/// What is said to those who come too early or too late.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It opens its database.
    Starting,
    /// It takes work, if its store does.
    Serving,
    /// It takes nothing new.
    Draining,
    /// Its store takes nothing any more; only another process can go on.
    Faulted,
}

/// What answers at a listener from the first moment to the last.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// use stepcell_server::Front;
/// # fn store() -> Arc<dyn stepcell_store::WorkflowStore> { Arc::new(stepcell_store::MemoryStore::new()) }
///
/// let front = Front::default();
/// let served: axum::Router = front.router();
/// // Later, once there is something to answer with:
/// front.open(store(), axum::Router::new());
/// front.drain();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Front {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: watch::Sender<Phase>,
    behind: OnceLock<Behind>,
    last_answer: Mutex<Option<(Instant, bool)>>,
}

/// What there is once the process has opened its database.
struct Behind {
    store: Arc<dyn WorkflowStore>,
    router: Router,
}

impl std::fmt::Debug for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behind").finish_non_exhaustive()
    }
}

impl Default for Inner {
    fn default() -> Self {
        let (phase, _) = watch::channel(Phase::Starting);
        Self { phase, behind: OnceLock::new(), last_answer: Mutex::new(None) }
    }
}

impl Front {
    /// Lets requests through to `router`, and asks `store` whether it can be used from now on. Only the first call counts.
    pub fn open(&self, store: Arc<dyn WorkflowStore>, router: Router) {
        if self.inner.behind.set(Behind { store, router }).is_ok() {
            self.inner.phase.send_replace(Phase::Serving);
        }
    }

    /// Says that nothing new should come.
    pub fn drain(&self) {
        self.inner.phase.send_replace(Phase::Draining);
    }

    /// Says that the store has stopped.
    pub fn fault(&self) {
        self.inner.phase.send_replace(Phase::Faulted);
    }

    /// How far the process has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.inner.phase.borrow()
    }

    /// Everything that is answered at a listener: the two questions, and what was opened.
    pub fn router(&self) -> Router {
        self.questions().fallback(pass_on).with_state(self.clone())
    }

    /// The two questions alone, for a listener of its own.
    ///
    /// | route | answers |
    /// |---|---|
    /// | `GET /healthz` | `200`: the process accepts and answers requests |
    /// | `GET /readyz` | `200` while it takes work; `503` before and after, and while its store can not be used |
    pub fn health_router(&self) -> Router {
        self.questions().with_state(self.clone())
    }

    fn questions(&self) -> Router<Self> {
        Router::new().route("/healthz", get(is_alive)).route("/readyz", get(is_ready))
    }

    /// What stands in the way of taking work, if anything does.
    async fn obstacle(&self) -> Option<&'static str> {
        match self.phase() {
            Phase::Starting => Some("starting"),
            Phase::Draining => Some("draining"),
            Phase::Faulted => Some("store_stopped"),
            Phase::Serving => (!self.store_answers().await).then_some("store_unavailable"),
        }
    }

    async fn store_answers(&self) -> bool {
        let Some(behind) = self.inner.behind.get() else { return false };
        // Whoever asks meanwhile waits for the same answer.
        let mut last = self.inner.last_answer.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < ANSWER_AGE_MAX
        {
            return answered;
        }
        let asked = tokio::time::timeout(STORE_TIMEOUT, behind.store.last_position()).await;
        let answered = matches!(asked, Ok(Ok(_)));
        *last = Some((Instant::now(), answered));
        answered
    }
}

/// Answers `GET /healthz`.
async fn is_alive() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Answers `GET /readyz`.
async fn is_ready(State(front): State<Front>) -> Response {
    match front.obstacle().await {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(obstacle) => unavailable(Json(json!({ "status": obstacle })).into_response()),
    }
}

/// Answers everything else.
async fn pass_on(State(front): State<Front>, request: Request) -> Response {
    let Some(behind) = front.inner.behind.get() else {
        let detail = "this server opens its database; try again once `/readyz` answers 200";
        return Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER).into_response();
    };
    // A router refuses nothing that it is asked.
    behind.router.clone().oneshot(request).await.into_response()
}

fn unavailable(answer: Response) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER.as_secs().to_string())], answer)
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use stepcell_store::{MemoryStore, SqliteOptions, SqliteStore};

    use super::*;

    const BODY_BYTES_MAX: usize = 1024;

    async fn answer_to(front: &Front, method: &str, path: &str) -> (StatusCode, String) {
        let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = front.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), BODY_BYTES_MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn opened() -> Front {
        let front = Front::default();
        let router = Router::new().route("/work", get(|| async { "done" }));
        front.open(Arc::new(MemoryStore::new()), router);
        front
    }

    #[tokio::test]
    async fn a_process_is_alive_from_its_first_moment_to_its_last() {
        let front = opened();
        for front in [&Front::default(), &front] {
            assert_eq!(answer_to(front, "GET", "/healthz").await, (StatusCode::OK, r#"{"status":"ok"}"#.to_owned()));
        }
        front.drain();
        assert_eq!(answer_to(&front, "GET", "/healthz").await.0, StatusCode::OK);
        assert_eq!(answer_to(&front, "POST", "/healthz").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn until_the_database_is_open_nothing_is_ready_and_everything_is_answered_503() {
        let front = Front::default();

        let ready = answer_to(&front, "GET", "/readyz").await;
        let work = answer_to(&front, "GET", "/work").await;

        assert_eq!(ready, (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"starting"}"#.to_owned()));
        assert_eq!(work.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(work.1.contains("opens its database"), "{}", work.1);
    }

    #[tokio::test]
    async fn what_was_opened_is_answered_and_ready() {
        let front = opened();

        assert_eq!(answer_to(&front, "GET", "/readyz").await.0, StatusCode::OK);
        assert_eq!(answer_to(&front, "GET", "/work").await, (StatusCode::OK, "done".to_owned()));
        assert_eq!(answer_to(&front, "GET", "/nowhere").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn whoever_drains_or_has_a_store_that_stopped_is_not_ready() {
        let front = opened();

        front.drain();
        let draining = answer_to(&front, "GET", "/readyz").await;
        front.fault();
        let faulted = answer_to(&front, "GET", "/readyz").await;

        assert_eq!(draining, (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#.to_owned()));
        assert_eq!(faulted, (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"store_stopped"}"#.to_owned()));
    }

    #[tokio::test]
    async fn whoever_has_a_store_that_does_not_answer_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("closed.db"), SqliteOptions::default()).unwrap();
        store.close().await;
        let front = Front::default();
        front.open(Arc::new(store), Router::new());

        let answer = answer_to(&front, "GET", "/readyz").await;

        assert_eq!(answer, (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"store_unavailable"}"#.to_owned()));
    }
}
