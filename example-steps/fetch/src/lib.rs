//! Asks servers by HTTP, one after the other, and says what became of each request.
//!
//! A request that is denied or not answered is not the end of the step: it is told as any other, and the next one is
//! sent. That makes the step good for finding out what a workflow may reach, and with what it is told no.

use serde::{Deserialize, Serialize};
use stepcell_sdk::http::{HttpError, Request, Response};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What to ask.
#[derive(Deserialize, Schema)]
pub struct Input {
    /// The requests, in order.
    pub requests: Vec<Ask>,
}

/// One request.
#[derive(Deserialize, Schema)]
pub struct Ask {
    /// The method, in capitals; GET without one.
    pub method: Option<String>,
    /// Where to.
    pub url: String,
    /// A header's name and value, as often as it takes.
    #[serde(default)]
    pub headers: Vec<Vec<String>>,
    /// How large a body to send, in bytes.
    #[serde(default)]
    pub body_bytes: u32,
    /// How long to wait for the answer, in milliseconds.
    pub timeout_ms: Option<u32>,
}

/// What became of a request: an answer, or an error.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Told {
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The first kilobyte of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The size of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u32>,
    /// The code of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the error says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How much of an answer's body is told, in characters.
const TOLD_CHARS_MAX: usize = 1024;

/// The step.
pub struct Fetch;

impl Step for Fetch {
    type Input = Input;
    type Output = Vec<Told>;

    fn execute(input: Input, ctx: &mut Context) -> Result<Vec<Told>, Failure> {
        Ok(input.requests.into_iter().map(|ask| ask.request().send(ctx).into()).collect())
    }
}

impl Ask {
    fn request(self) -> Request {
        let request = Request::new(self.method.as_deref().unwrap_or("GET"), self.url);
        let request = request.body(vec![b'a'; self.body_bytes as usize]);
        let request = self.headers.iter().fold(request, |request, header| match header.as_slice() {
            [name, value] => request.header(name, value),
            _ => request,
        });
        match self.timeout_ms {
            Some(ms) => request.timeout(std::time::Duration::from_millis(ms.into())),
            None => request,
        }
    }
}

impl From<Result<Response, HttpError>> for Told {
    fn from(answer: Result<Response, HttpError>) -> Self {
        let nothing = Self { status: None, body: None, body_bytes: None, error: None, message: None };
        match answer {
            Ok(response) => Self {
                status: Some(response.status),
                body: Some(response.text().chars().take(TOLD_CHARS_MAX).collect()),
                body_bytes: u32::try_from(response.body.len()).ok(),
                ..nothing
            },
            Err(error) => Self { error: Some(error.code().to_owned()), message: Some(error.to_string()), ..nothing },
        }
    }
}

stepcell_sdk::export!(Fetch);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn an_answer_and_a_denial_are_told_alike() {
        let ask = |url: &str| Ask {
            method: None,
            url: url.to_owned(),
            headers: vec![vec!["accept".to_owned(), "text/plain".to_owned()]],
            body_bytes: 0,
            timeout_ms: None,
        };
        let mut ctx = MockContext::new().with_response(Response::new(200).with_body("tea"));

        let input = Input { requests: vec![ask("https://a.example"), ask("https://b.example")] };
        let told = Fetch::execute(input, &mut ctx).unwrap();

        assert_eq!((told[0].status, told[0].body.as_deref()), (Some(200), Some("tea")));
        assert_eq!(told[1].error.as_deref(), Some("http-denied"));
        assert_eq!(ctx.requests()[0].headers, [("accept".to_owned(), "text/plain".to_owned())]);
    }
}
