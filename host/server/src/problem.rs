//! What a request is refused with: problem details by RFC 9457, with a stable code.
//!
//! Programs branch on `code`, people read `detail`: what was found, what stood in the way, what to do. Codes and their
//! statuses are one table; what the engine and the store refuse is put into it in one place each.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc9457>.

mod codes;
mod from;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use stepcell_model::problem::PathPart;
use utoipa::ToSchema;

pub use self::codes::ProblemCode;

/// The media type of every refusal.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The most wrong fields that one answer names. Protects the client's screen, and the answer's size.
const ERRORS_LEN_MAX: usize = 100;

/// Why a request was refused. Nothing of it was stored, unless its `detail` says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    errors: Vec<FieldProblem>,
    retry_after: Option<Duration>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Where in the body it is, as a JSON pointer (RFC 6901); the empty text is the whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which parameter of the query, the path or the head it is, where it is none of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The line in the text that was sent, from 1, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column in that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// What is wrong, and what may stand there.
    pub detail: String,
}

/// A refusal as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Names the kind of problem: `urn:stepcell:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words; the same for each problem of it.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What was found, what stood in the way, and what to do.
    pub detail: String,
    /// What programs branch on; never changes its meaning.
    pub code: String,
    /// Everything that is wrong, where there are several things or it is known where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// The id of the request, as in the head `X-Request-Id` and the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A refusal.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// The same with what is wrong one by one.
    #[must_use]
    pub fn with_errors(mut self, errors: impl IntoIterator<Item = FieldProblem>) -> Self {
        self.errors.extend(errors.into_iter().take(ERRORS_LEN_MAX));
        self
    }

    /// The same, saying when the request may be repeated.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same where what is wrong was found within a field of the body: places are told from the body on.
    #[must_use]
    pub(crate) fn within(mut self, field: &str) -> Self {
        for pointer in self.errors.iter_mut().filter_map(|error| error.pointer.as_mut()) {
            pointer.insert_str(0, field);
        }
        self
    }

    /// The server's own mistake, of which its log says more than strangers are told.
    pub(crate) fn internal() -> Self {
        Self::new(ProblemCode::Internal, "the server made a mistake; its log says more")
    }

    /// A parameter of the query, the path or the head that is wrong.
    #[must_use]
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error =
            FieldProblem { parameter: Some(name.to_owned()), detail: detail.clone(), ..FieldProblem::default() };
        Self::new(ProblemCode::RequestInvalid, format!("`{name}`: {detail}")).with_errors([error])
    }

    /// What programs branch on.
    #[must_use]
    pub const fn code(&self) -> ProblemCode {
        self.code
    }

    /// The status that it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The refusal as it is sent.
    #[must_use]
    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:stepcell:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str().to_owned(),
            errors: self.errors.clone(),
            request_id: None,
        }
    }
}

impl FieldProblem {
    /// Something wrong in the body.
    pub(crate) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), detail: detail.into(), ..Self::default() }
    }
}

/// A path as a JSON pointer. Source: RFC 6901.
pub(crate) fn pointer_of(path: &[PathPart]) -> String {
    let mut pointer = String::new();
    for part in path {
        pointer.push('/');
        match part {
            PathPart::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            PathPart::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self.body()).expect("a problem is text, numbers and lists of these");
        let mut response = (self.status(), text).into_response();
        let head = response.headers_mut();
        head.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = self.retry_after {
            // Rounded up: whoever comes back then is not refused again for a fraction of a second.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            head.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            head.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"stepcell\""));
        }
        // For whoever counts and logs answers.
        response.extensions_mut().insert(self.code);
        response
    }
}
