//! How a step says that it did not do its work.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::bindings::stepcell::step::types::StepFailure;

/// Why a step did not do its work.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use stepcell_sdk::{Failure, json};
///
/// let failure = Failure::new("rate-limited", "The mail service asked for patience.")
///     .retry_after(Duration::from_secs(2))
///     .details(json!({ "service": "mail" }));
/// assert!(failure.retryable);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// A short stable name to branch on: lower case letters, digits, `-`, `_`, `.`; at most 64 characters.
    pub code: String,
    /// One or two sentences for a person. It is stored and shown, so it must hold no secret.
    pub message: String,
    /// Whether the same call might succeed later.
    pub retryable: bool,
    /// The least wait before a retry.
    pub retry_after: Option<Duration>,
    /// Anything else that a later step or a person may want to see. Boxed, as most failures have none.
    pub details: Option<Box<Value>>,
}

impl Failure {
    /// A failure that will not go away by itself.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, retry_after: None, details: None }
    }

    /// Says that the same call might succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Says that the same call might succeed after a wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retryable = true;
        self.retry_after = Some(wait);
        self
    }

    /// Adds what a later step or a person may want to see. A value that can not be written as JSON is left out.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> Self {
        self.details = serde_json::to_value(details).ok().map(Box::new);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for StepFailure {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after.map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
            details: failure.details.map(|details| details.to_string()),
        }
    }
}

impl From<StepFailure> for Failure {
    fn from(failure: StepFailure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            retryable: failure.retryable,
            retry_after: failure.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
            details: failure.details.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_way_through_the_contract() {
        let failure = Failure::new("busy", "Later.").retry_after(Duration::from_millis(20)).details(["a", "b"]);

        assert_eq!(Failure::from(StepFailure::from(failure.clone())), failure);
    }
}
