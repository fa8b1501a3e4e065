//! Why a step did not do its work.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::name::StepName;

/// The longest message that a failure keeps, in bytes; the rest is cut off.
pub const MESSAGE_LEN_BYTES_MAX: usize = 8 * 1024;

macro_rules! engine_codes {
    ($(#[doc = $doc:literal] $variant:ident = $code:literal),+ $(,)?) => {
        /// The engine's own reasons. Each has a stable code that begins with `engine.`; a guest can not forge one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EngineCode { $(#[doc = $doc] $variant),+ }

        impl EngineCode {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => concat!("engine.", $code)),+ }
            }

            /// What it means, as a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim()),+ }
            }
        }
    };
}

engine_codes! {
    /// The guest trapped: a panic, an uncaught exception, an unreachable.
    Trap = "trap",
    /// The guest called exit.
    Exit = "exit",
    /// It used up its CPU time.
    Cpu = "cpu",
    /// It used up its wall-clock time.
    Wall = "wall",
    /// It ran longer than the step's own `timeout:`.
    Timeout = "timeout",
    /// It wanted more memory than its limit.
    Memory = "memory",
    /// It wanted more table entries than its limit.
    Table = "table",
    /// It used up its stack.
    Stack = "stack",
    /// What it returned is larger than the limit.
    Output = "output",
    /// What it returned is no JSON, or nests too deep.
    InvalidOutput = "invalid-output",
    /// It called the host more often than its limit.
    HostCalls = "host-calls",
    /// It held more handles than its limit.
    Handles = "handles",
    /// The component does not fit the contract.
    Contract = "contract",
    /// It wanted what it is not granted.
    Denied = "denied",
    /// Its branch or instance was canceled.
    Canceled = "canceled",
    /// The host went down during the attempt.
    Crashed = "crashed",
    /// Its component was revoked.
    Revoked = "revoked",
    /// Its component is in quarantine.
    Quarantined = "quarantined",
    /// The instance ran more step executions than its limit.
    Iterations = "iterations",
    /// A condition or an `input:` expression could not be evaluated, or no edge could be taken.
    Expression = "expression",
    /// The data does not fit the schema that it is checked against.
    Input = "input",
    /// The tenant may start no more instances: a quota is used up, or it is suspended.
    Quota = "quota",
    /// The host could not do its part, such as loading the component.
    Host = "host",
}

/// A short stable name to branch on: `card-declined`, or one of the engine's such as `engine.cpu`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailureCode(String);

impl FailureCode {
    /// What a guest's code becomes when it is malformed or claims to be the engine's.
    pub const INVALID: &'static str = "step.invalid-code";

    /// Takes a guest's code, or [`Self::INVALID`] instead of one that is malformed or begins with `engine.`.
    #[must_use]
    pub fn from_guest(code: &str) -> Self {
        let well_formed = (1..=64).contains(&code.len())
            && code
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.'));
        let forged = code == "engine" || code.starts_with("engine.");
        Self(if well_formed && !forged { code } else { Self::INVALID }.to_owned())
    }

    /// Whether it is one of the engine's own.
    #[must_use]
    pub fn is_engine(&self) -> bool {
        self.0.starts_with("engine.")
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<EngineCode> for FailureCode {
    fn from(code: EngineCode) -> Self {
        Self(code.as_str().to_owned())
    }
}

impl PartialEq<EngineCode> for FailureCode {
    fn eq(&self, other: &EngineCode) -> bool {
        self.0 == other.as_str()
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why an attempt, a hook or an execution failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What to branch on.
    pub code: FailureCode,
    /// One or two sentences for a person, at most [`MESSAGE_LEN_BYTES_MAX`].
    pub message: String,
    /// Whether the same call might succeed later.
    pub retryable: bool,
    /// The least wait before a retry, where the step was told one, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// Anything else that a later step or a person may want to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

impl Failure {
    /// A failure of a step that will not go away by itself.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stepcell_model::failure::Failure;
    ///
    /// let declined = Failure::new("card-declined", "The bank refuses the card.");
    /// let busy = Failure::new("rate-limited", "The bank asks for patience.").retry_after_at_least(Duration::from_secs(2));
    /// assert!(!declined.retryable && busy.retryable);
    /// assert_eq!(declined.to_string(), "card-declined: The bank refuses the card.");
    /// ```
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self::from_guest(code, message.into(), false)
    }

    /// The same failure, which may pass: the same call might succeed later.
    #[must_use]
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }

    /// The same failure, which may pass after a wait.
    #[must_use]
    pub fn retry_after_at_least(self, wait: Duration) -> Self {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Self { retryable: true, retry_after_ms: Some(wait_ms), ..self }
    }

    /// The same failure, with what else a later step or a person may want to see.
    #[must_use]
    pub fn with_details(self, details: impl Into<Json>) -> Self {
        Self { details: Some(details.into()), ..self }
    }

    /// A failure of the engine's own. Whether it may be retried follows from the code.
    #[must_use]
    pub fn engine(code: EngineCode, message: impl Into<String>) -> Self {
        let retryable = matches!(
            code,
            EngineCode::Crashed | EngineCode::Timeout | EngineCode::Wall | EngineCode::Host | EngineCode::Quota
        );
        Self { code: code.into(), message: shortened(message.into()), retryable, retry_after_ms: None, details: None }
    }

    /// A failure that a guest reported, with its code checked and its message cut to size.
    #[must_use]
    pub fn from_guest(code: &str, message: String, retryable: bool) -> Self {
        let code = FailureCode::from_guest(code);
        Self { code, message: shortened(message), retryable, retry_after_ms: None, details: None }
    }

    /// The failure of a whole whose part failed so; names the part.
    #[must_use]
    pub(crate) fn of_part(&self, part: &StepName) -> Self {
        let message = shortened(format!("its part `{part}` failed: {}", self.message));
        Self { message, retryable: false, retry_after_ms: None, ..self.clone() }
    }

    /// The least wait before a retry.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(self.retry_after_ms.unwrap_or(0).into())
    }

    /// Whether it is a time-out: of the step itself, or of the attempt's wall clock.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.code == EngineCode::Timeout || self.code == EngineCode::Wall
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// Cuts a message to [`MESSAGE_LEN_BYTES_MAX`] at a character's end.
fn shortened(mut message: String) -> String {
    let mut end = MESSAGE_LEN_BYTES_MAX;
    if message.len() > end {
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
    }
    message
}

/// Why an instance failed or was canceled, as its users see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceError {
    /// What to branch on.
    pub code: FailureCode,
    /// One or two sentences for a person.
    pub message: String,
    /// The step that it happened in.
    pub step: Option<StepName>,
    /// Anything else that a person may want to see.
    pub details: Option<Json>,
}

impl InstanceError {
    /// A failure that happened in no step, as its instance's reason to fail.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        let Failure { code, message, details, .. } = failure.clone();
        Self { code, message, step: None, details }
    }

    /// The failure of a step, as its instance's reason to fail.
    #[must_use]
    pub fn of_step(step: &StepName, failure: &Failure) -> Self {
        Self { step: Some(step.clone()), ..Self::of(failure) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_forges_or_mangles_a_code_is_recorded_as_such() {
        for code in ["engine.cpu", "engine", "", "Card Declined", &"x".repeat(65), "a\0"] {
            assert_eq!(FailureCode::from_guest(code).as_str(), FailureCode::INVALID, "{code}");
        }
        assert_eq!(FailureCode::from_guest("card-declined.v2_1").as_str(), "card-declined.v2_1");
    }

    #[test]
    fn a_long_message_is_cut_at_a_characters_end() {
        let failure = Failure::from_guest("x", "é".repeat(MESSAGE_LEN_BYTES_MAX), false);

        assert_eq!(failure.message.len(), MESSAGE_LEN_BYTES_MAX);
        assert!(failure.message.chars().all(|c| c == 'é'));
    }
}
