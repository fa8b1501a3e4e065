//! Tells somebody by HTTP what happened: the setting `url` is where, the input is what, as JSON.
//!
//! The engine adds the execution's idempotency key to the request, so that a server that has heard of it in an earlier
//! attempt can tell. A server that is busy or down makes the attempt fail so that it is tried again, not before the
//! server's `retry-after`; one that says no makes it fail for good.
//!
//! The step needs a grant for the place, such as `grants: { http: ['POST https://hooks.acme.example'] }`.

use serde::Serialize;
use stepcell_sdk::http::Request;
use stepcell_sdk::{Context, Failure, Level, Schema, Step, Value};

/// What came of it.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Receipt {
    /// The status of the answer.
    pub status: u16,
    /// What the server calls what it has made of it, where it says so.
    pub location: Option<String>,
}

/// The step.
pub struct Notify;

impl Step for Notify {
    type Input = Value;
    type Output = Receipt;

    fn execute(what: Value, ctx: &mut Context) -> Result<Receipt, Failure> {
        let no_url = || Failure::new("no-url", "The step has no setting `url` to send to.");
        let url: String = ctx.config("url")?.ok_or_else(no_url)?;
        let response = Request::post(url).json(&what).send(ctx)?.success()?;
        ctx.log(Level::Info, format!("told, and answered with status {}", response.status));
        let location = response.header("location").map(str::to_owned);
        Ok(Receipt { status: response.status, location })
    }
}

stepcell_sdk::export!(Notify);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::http::{HttpError, Response};
    use stepcell_sdk::{MockContext, json};

    fn context() -> MockContext {
        MockContext::new().with_config("url", "https://hooks.acme.example/orders")
    }

    #[test]
    fn what_happened_is_sent_as_json() {
        let mut ctx = context().with_response(Response::new(201).with_header("location", "/orders/7"));

        let receipt = Notify::execute(json!({ "order": 7 }), &mut ctx).unwrap();

        assert_eq!(receipt, Receipt { status: 201, location: Some("/orders/7".to_owned()) });
        let sent = &ctx.requests()[0];
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://hooks.acme.example/orders"));
        assert_eq!(sent.body, br#"{"order":7}"#);
    }

    #[test]
    fn a_busy_server_is_tried_again_when_it_says_and_one_that_says_no_is_not() {
        let mut busy = context().with_response(Response::new(429).with_header("retry-after", "30"));
        let failure = Notify::execute(Value::Null, &mut busy).unwrap_err();
        assert_eq!((failure.retryable, failure.retry_after.map(|wait| wait.as_secs())), (true, Some(30)));

        let mut no = context().with_response(Response::new(403));
        assert!(!Notify::execute(Value::Null, &mut no).unwrap_err().retryable);
    }

    #[test]
    fn a_server_that_is_down_is_tried_again_and_a_denial_is_for_good() {
        let mut down = context().with_http_error(HttpError::Timeout);
        assert!(Notify::execute(Value::Null, &mut down).unwrap_err().retryable);

        let failure = Notify::execute(Value::Null, &mut context()).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retryable), ("http-denied", false));
    }

    #[test]
    fn without_an_address_nothing_is_sent() {
        assert_eq!(Notify::execute(Value::Null, &mut MockContext::new()).unwrap_err().code, "no-url");
    }
}
