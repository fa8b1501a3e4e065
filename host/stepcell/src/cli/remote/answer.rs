//! What a server answers, and what its refusals end the process with.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{ETAG, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use stepcell_server::{FieldProblem, ProblemBody};

use crate::cli::exit::Refused;
use crate::cli::print::plain;

/// The longest answer that is read, in bytes. Protects memory from what calls itself a server.
pub(super) const ANSWER_LEN_BYTES_MAX: usize = 64 << 20;

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    head: HeaderMap,
    body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Connection(#[from] reqwest::Error),
    #[error("its answer is longer than {} MiB", ANSWER_LEN_BYTES_MAX >> 20)]
    TooLong,
}

impl Answer {
    pub(super) async fn read(mut response: Response) -> Result<Self, Broken> {
        let (status, head) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_LEN_BYTES_MAX {
                return Err(Broken::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, head, body })
    }

    /// What tells this state of what was read from others.
    pub(super) fn tag(&self) -> Option<String> {
        self.head.get(ETAG)?.to_str().ok().map(str::to_owned)
    }

    /// When to ask again, if it came too early and the server says when it does not.
    pub(super) fn comes_too_early(&self) -> Option<Duration> {
        // A conflict that passes is the same request, which is being worked on.
        if !matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT) {
            return None;
        }
        let seconds = self.head.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The answer, or what it refuses.
    pub(super) fn or_refused(self, base: &Url) -> anyhow::Result<Self> {
        if self.status.is_success() || self.status == StatusCode::NOT_MODIFIED {
            return Ok(self);
        }
        match serde_json::from_slice::<ProblemBody>(&self.body) {
            Ok(problem) => Err(refusal(self.status, &problem).into()),
            Err(_) => {
                let why = format!("{base} answers {} and not as a stepcell server does", self.status);
                let hint = "look at the address, and at the prefix of its paths; without one `/api/v1` is added, and `/.` stands for none";
                Err(Refused::unusable(why).hint(hint).into())
            }
        }
    }

    /// The answer as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = format!("the server answered with what is not understood here: {error}");
            Refused::unusable(why).hint("use the version of `stepcell` that the server has").into()
        })
    }

    /// The answer as text.
    pub(crate) fn text(self) -> anyhow::Result<String> {
        String::from_utf8(self.body).map_err(|_| Refused::unusable("the server answered with what is no text").into())
    }
}

impl Broken {
    /// Whether the same request may come through a little later: the connection was there, and broke.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Connection(error) => !error.is_connect() && !error.is_timeout() && !error.is_builder(),
            Self::TooLong => false,
        }
    }

    pub(super) fn told(self, base: &Url) -> Refused {
        let error = match &self {
            Self::TooLong => return Refused::unusable(format!("{base} can not be used: {self}")),
            Self::Connection(error) => error,
        };
        if error.is_builder() {
            return Refused::input(format!("the request can not be sent as it is: {error}"));
        }
        if error.is_timeout() {
            return Refused::unusable(format!("{base} took too long to answer; whether it did it is not known"));
        }
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let refused = Refused::unusable(format!("can not reach {base}: {}", plain(&cause.to_string())));
        if error.is_connect() { refused.hint("`stepcell serve --listen ADDR` is what answers there") } else { refused }
    }
}

/// A refusal as it is told.
fn refusal(status: StatusCode, problem: &ProblemBody) -> Refused {
    let why = plain(&problem.detail);
    let refused = match (status.as_u16(), problem.code.as_str()) {
        // A position that there is not yet may be there later.
        (400, "position.not_found") => Refused::state(why),
        (400 | 401 | 413 | 415 | 422 | 431, _) => Refused::input(why),
        // Whom the credentials stand for is given wrong; whom a task is for is how things stand.
        (403, code) if code.starts_with("auth.") || code.starts_with("tenant.") => Refused::input(why),
        (403 | 404 | 409 | 412, _) | (429, "quota.exceeded") => Refused::state(why),
        _ => Refused::unusable(why),
    };
    let details = problem.errors.iter().filter(|error| !problem.detail.contains(&error.detail)).map(detail);
    let refused = refused.details(details.collect());
    match hint(&problem.code) {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

fn detail(error: &FieldProblem) -> String {
    let place = match (&error.pointer, &error.parameter) {
        (Some(pointer), _) if !pointer.is_empty() => format!("{pointer}: "),
        (None, Some(parameter)) => format!("{parameter}: "),
        _ => String::new(),
    };
    plain(&format!("{place}{}", error.detail))
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "auth.required" | "auth.key_refused" => {
            "give an API key with `--key-file FILE` or STEPCELL_KEY; `stepcell key create` makes one"
        }
        "definition.inactive" => "`stepcell definition list --all` shows the versions that are active",
        "version.taken" => "write a new `version:` and apply it again",
        "message.nobody_waits" => "`stepcell instance why ID` tells what an instance waits for",
        _ => return None,
    })
}
