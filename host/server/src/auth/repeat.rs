//! Requests that are safe to repeat: with an `Idempotency-Key`, the first answer is kept and told again.
//!
//! That is every `POST` of a known caller; starts of instances, uploads and registrations of definitions are safe by themselves
//! and not seen to here. Only answers of success are kept, so that whoever was refused may mend the request and send it again
//! under the same key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use stepcell_engine::WorkflowEngine;
use stepcell_model::access::{
    Fingerprint, IDEMPOTENCY_KEPT_FOR, IdempotencyClaim, IdempotencyRoom, KeptAnswer, Reservation,
};
use stepcell_store::LIST_LEN_MAX;
use tokio::time::Instant;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::authorize::Requirement;
use super::caller::{Caller, Subject};
use crate::extract::{BODY_LEN_BYTES_MAX, read_bytes};
use crate::problem::{PROBLEM_JSON, Problem, ProblemCode};
use crate::routes::{IDEMPOTENCY_REPLAYED, idempotency_key};

/// The longest answer that is kept, in bytes. A longer one is given once: a repeat is told that it was done, with 409. Protects
/// the store.
const ANSWER_LEN_BYTES_MAX: usize = 256 << 10;

/// When to come back while the same request is being worked on.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// How often old answers are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(600);

/// The name of the head, as the document has it.
pub(crate) const HEAD: &str = "Idempotency-Key";

/// What has no effect a second time, and answers as it did: there is nothing to keep.
const SAFE_BY_THEMSELVES: [&str; 1] = ["register_definition"];

/// Kept and told to whoever repeats the request, instead of the answer, which holds a secret.
#[derive(Clone, Debug)]
pub(crate) struct KeptInstead(pub(crate) Problem);

/// Whether answers of an operation are kept: it is a `POST` of a known caller, with JSON or nothing for a body, and neither sees
/// to it itself nor is safe by itself.
pub(crate) fn keeps_answers(method: &Method, operation: &Operation) -> bool {
    if *method != Method::POST || Requirement::of(operation).is_none_or(|wants| wants == Requirement::Public) {
        return false;
    }
    let names_key = |parameter: &RefOr<utoipa::openapi::path::Parameter>| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Header && parameter.name == HEAD,
        RefOr::Ref(_) => false,
    };
    let is_safe = operation.operation_id.as_deref().is_some_and(|id| SAFE_BY_THEMSELVES.contains(&id));
    let sees_to_it = is_safe || operation.parameters.iter().flatten().any(names_key);
    let takes_json = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key("application/json"),
        Some(RefOr::Ref(_)) => false,
        None => true,
    };
    takes_json && !sees_to_it
}

/// Keeps answers, and forgets them after a day.
#[derive(Debug)]
pub(crate) struct Answers {
    engine: WorkflowEngine,
    forgot_at: Mutex<Option<Instant>>,
}

impl Answers {
    pub(crate) const fn new(engine: WorkflowEngine) -> Self {
        Self { engine, forgot_at: Mutex::new(None) }
    }

    /// Has a request answered, once if it has a key.
    pub(crate) async fn once(&self, caller: &Caller, request: Request, next: Next) -> Result<Response, Problem> {
        let Some(key) = idempotency_key(request.headers())? else { return Ok(next.run(request).await) };
        let (head, body) = request.into_parts();
        let body = read_bytes(body, BODY_LEN_BYTES_MAX).await?;
        let asked = head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let claim = IdempotencyClaim {
            tenant: caller.tenant.clone(),
            // Nobody is told what another user was answered.
            key: format!("{}\n{key}", caller.user),
            fingerprint: Fingerprint::of(&[head.method.as_str().as_bytes(), asked.as_bytes(), &body]),
            at: self.engine.now(),
        };
        self.forget_old();
        match self.engine.store().claim_idempotency(claim.clone(), IdempotencyRoom::OF_TENANT).await? {
            Reservation::New => {
                let (engine, kept) = (self.engine.clone(), claim.clone());
                let request = Request::from_parts(head, Body::from(body));
                // A task of its own: whoever asked may go away, and the answer is kept all the same.
                let subject = Subject::at_hand();
                let work = tokio::spawn(async move {
                    subject.noted_in(async { answered(&engine, &claim, next.run(request).await).await }).await
                });
                if let Ok(answer) = work.await {
                    return Ok(answer);
                }
                released(self.engine.store().release_idempotency(&kept).await);
                Err(Problem::internal())
            }
            Reservation::Done(answer) => Ok(told_again(answer)),
            Reservation::InProgress => {
                let detail = "the same request is being worked on; come back in a moment for its answer";
                Err(Problem::new(ProblemCode::IdempotencyInProgress, detail).retry_after(RETRY_SOON))
            }
            Reservation::Full => {
                let detail = "too many answers are kept for this tenant already; they are forgotten a day after their requests, \
                              so come back later, or send the request without an `Idempotency-Key`";
                Err(Problem::new(ProblemCode::QuotaExceeded, detail).retry_after(FORGET_INTERVAL))
            }
            Reservation::OtherContent => {
                let detail = "this `Idempotency-Key` was used for another request; use a new key for a new request";
                Err(Problem::new(ProblemCode::IdempotencyMismatch, detail))
            }
        }
    }

    /// Lets go of answers that are a day old, in the background and now and then.
    fn forget_old(&self) {
        let mut forgot_at = self.forgot_at.lock().unwrap_or_else(PoisonError::into_inner);
        if forgot_at.is_some_and(|at| at.elapsed() < FORGET_INTERVAL) {
            return;
        }
        *forgot_at = Some(Instant::now());
        let (store, now) = (Arc::clone(self.engine.store()), self.engine.now());
        let kept_ms = i64::try_from(IDEMPOTENCY_KEPT_FOR.as_millis()).unwrap_or(i64::MAX);
        let before = stepcell_model::time::Timestamp::from_unix_ms(now.unix_ms().saturating_sub(kept_ms));
        tokio::spawn(async move {
            while store.forget_idempotency(before).await.is_ok_and(|count| count >= u64::from(LIST_LEN_MAX)) {}
        });
    }
}

/// Keeps an answer of success, and lets go of the key of any other.
async fn answered(engine: &WorkflowEngine, claim: &IdempotencyClaim, answer: Response) -> Response {
    let store = engine.store();
    if !answer.status().is_success() {
        released(store.release_idempotency(claim).await);
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        released(store.release_idempotency(claim).await);
        return Problem::internal().into_response();
    };
    if bytes.len() > ANSWER_LEN_BYTES_MAX && head.extensions.get::<KeptInstead>().is_none() {
        let detail = "this was done with the same `Idempotency-Key` before; its answer was too long to be kept, so look for what was made";
        head.extensions.insert(KeptInstead(Problem::new(ProblemCode::AlreadyExists, detail)));
    }
    let location = head.headers.get(LOCATION).and_then(|location| location.to_str().ok()).map(str::to_owned);
    let kept = match head.extensions.get::<KeptInstead>() {
        Some(KeptInstead(problem)) => KeptAnswer {
            status: problem.status().as_u16(),
            location,
            body: serde_json::to_string(&problem.body()).unwrap_or_default(),
        },
        None => {
            KeptAnswer { status: head.status.as_u16(), location, body: String::from_utf8_lossy(&bytes).into_owned() }
        }
    };
    released(store.answer_idempotency(claim, kept).await.map(drop));
    Response::from_parts(head, Body::from(bytes))
}

/// What was done is done, whether that can be kept or not.
fn released(outcome: Result<(), stepcell_store::StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "an answer could not be kept; the same request once more is done again");
    }
}

fn told_again(answer: KeptAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = if status.is_success() { "application/json" } else { PROBLEM_JSON };
    let mut response = (status, answer.body).into_response();
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    head.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = answer.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        head.insert(LOCATION, location);
    }
    response
}
