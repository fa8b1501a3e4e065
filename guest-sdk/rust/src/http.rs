//! HTTP requests, to where the step's grants let them go.
//!
//! A request is sent and answered in whole, and the step waits for it. The engine adds the execution's idempotency key
//! as `idempotency-key`, the same for every attempt, in place of one that the step gives; it follows no redirect and
//! decompresses nothing.

pub(crate) mod wire;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::{ReadContext, parse};
use crate::failure::Failure;

/// A request.
///
/// # Examples
/// ```
/// use stepcell_sdk::http::{Request, Response};
/// use stepcell_sdk::{MockContext, json};
///
/// let ctx = MockContext::new().with_response(Response::new(201).with_body(r#"{"id": 7}"#));
///
/// let response = Request::post("https://api.example/orders").json(&json!({ "item": "tea" })).send(&ctx)?;
///
/// assert_eq!(response.success()?.json::<stepcell_sdk::Value>()?["id"], 7);
/// assert_eq!(ctx.requests()[0].url, "https://api.example/orders");
/// # Ok::<(), stepcell_sdk::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Its headers in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long to wait for the answer; without it as long as the engine lets it.
    pub timeout: Option<Duration>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Its headers in order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why there is no answer. Turns into a [`Failure`] with `?`, retryable where another try may help.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The address or a header can not be sent as it is.
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The step may not send it: it is not granted, its address is not public, or the attempt has sent its last one.
    Denied {
        /// The method and where it should have gone, without path.
        target: String,
    },
    /// Request or response are larger than the attempt's limits.
    TooLarge {
        /// What of them.
        what: String,
    },
    /// There was no answer in time.
    Timeout,
    /// The server can not be reached, or does not prove to be who it should be.
    Unreachable {
        /// What stood in the way.
        reason: String,
    },
    /// The answer broke off or can not be understood.
    Broken {
        /// What is wrong.
        reason: String,
    },
}

impl Request {
    /// A request with any method, in capitals.
    #[must_use]
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// A GET request.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST request.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A PUT request.
    #[must_use]
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A DELETE request.
    #[must_use]
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to a value as JSON, and says so in a header.
    ///
    /// # Panics
    /// If the value can not be written as JSON, as a map whose keys are no text.
    #[must_use]
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("the value can be written as JSON");
        self.header("content-type", "application/json").body(body)
    }

    /// Says how long to wait for the answer, up to what the engine lets it.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and waits for the whole answer.
    ///
    /// # Errors
    /// [`HttpError`]. An answer that says no, such as 404, is an answer: see [`Response::success`].
    pub fn send(self, ctx: &ReadContext) -> Result<Response, HttpError> {
        ctx.source.send(self)
    }
}

impl Response {
    /// An answer for tests.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header, for tests.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Sets the body, for tests.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`HttpError::Broken`], naming the field that does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        parse(&self.text()).map_err(|reason| HttpError::Broken { reason: format!("the body does not fit: {reason}") })
    }

    /// How long the server asks to wait, where it says so in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }

    /// The answer, if its status is one of success.
    ///
    /// # Errors
    /// A failure `http-status` with the status in its details, which is retryable where another try may help: after
    /// 408, 429 and from 500 on, and then not before the server's `retry-after`.
    pub fn success(self) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let failure = Failure::new("http-status", format!("The server answered with status {}.", self.status))
            .details(serde_json::json!({ "status": self.status }));
        if !matches!(self.status, 408 | 429 | 500..) {
            return Err(failure);
        }
        Err(match self.retry_after() {
            Some(wait) => failure.retry_after(wait),
            None => failure.retryable(),
        })
    }
}

impl HttpError {
    /// The code that the error has as a [`Failure`].
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "http-invalid",
            Self::Denied { .. } => "http-denied",
            Self::TooLarge { .. } => "http-too-large",
            Self::Timeout => "http-timeout",
            Self::Unreachable { .. } => "http-unreachable",
            Self::Broken { .. } => "http-broken",
        }
    }

    /// Whether another try may help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unreachable { .. } | Self::Broken { .. })
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { reason } => write!(f, "the request can not be sent: {reason}"),
            Self::Denied { target } => write!(
                f,
                "the step may not send `{target}`: it is not granted, its address is not public, or the attempt has sent its last request"
            ),
            Self::TooLarge { what } => write!(f, "{what} is larger than the attempt may have it"),
            Self::Timeout => write!(f, "there was no answer in time"),
            Self::Unreachable { reason } => write!(f, "the server can not be reached: {reason}"),
            Self::Broken { reason } => write!(f, "the answer is not to be used: {reason}"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        if error.is_retryable() { failure.retryable() } else { failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_success_is_the_answer_and_any_other_a_failure_that_says_when_to_try_again() {
        let retried = |response: Response| {
            let failure = response.success().unwrap_err();
            (failure.retryable, failure.retry_after.map(|wait| wait.as_secs()))
        };

        assert_eq!(Response::new(204).success(), Ok(Response::new(204)));
        assert_eq!(retried(Response::new(302)), (false, None));
        assert_eq!(retried(Response::new(404)), (false, None));
        assert_eq!(retried(Response::new(503)), (true, None));
        assert_eq!(retried(Response::new(429).with_header("Retry-After", "7")), (true, Some(7)));
        assert_eq!(retried(Response::new(500).with_header("retry-after", "Fri, 31 Dec")), (true, None));
    }

    #[test]
    fn a_body_that_does_not_fit_is_an_error_that_names_the_field() {
        let response = Response::new(200).with_body(r#"{"age": "old"}"#);
        let error = response.json::<std::collections::BTreeMap<String, u32>>().unwrap_err();

        assert!(error.to_string().starts_with("the answer is not to be used: the body does not fit: `age`"), "{error}");
        assert!(Failure::from(error).retryable);
        assert!(!Failure::from(HttpError::Denied { target: "GET https://a".to_owned() }).retryable);
    }
}
