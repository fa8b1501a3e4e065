//! Why the engine, or the shape of a value, refused a step's call.

use std::fmt;

use crate::failure::Failure;

/// Why a call of the [`Context`](crate::Context) did not succeed. Turns into a [`Failure`] with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessError {
    /// Guards and gateways may only read.
    ReadOnly,
    /// The key is empty, too long, has a control character, or begins with `engine.`.
    InvalidKey {
        /// The key.
        key: String,
    },
    /// The value, or the attempt's writes together, pass the limit.
    TooLarge {
        /// The key.
        key: String,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The step's grants do not let it write this key.
    Denied {
        /// The key.
        key: String,
    },
    /// A value exists and does not fit the type that was asked for.
    Mismatch {
        /// Where the value comes from, such as "context value `amount`".
        what: String,
        /// What does not fit, with the path to it.
        reason: String,
    },
    /// A value can not be written as JSON.
    Unwritable {
        /// The key.
        key: String,
        /// What stood in the way.
        reason: String,
    },
    /// No such secret is granted; the same whether or not it exists.
    SecretNotGranted {
        /// The secret's name.
        name: String,
    },
    /// The secret is granted and has no value now.
    SecretEmpty {
        /// The secret's name.
        name: String,
    },
}

impl AccessError {
    /// The code that the error has as a [`Failure`].
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReadOnly => "context-read-only",
            Self::InvalidKey { .. } => "invalid-key",
            Self::TooLarge { .. } => "value-too-large",
            Self::Denied { .. } => "context-denied",
            Self::Mismatch { .. } => "value-mismatch",
            Self::Unwritable { .. } => "value-unwritable",
            Self::SecretNotGranted { .. } => "secret-not-granted",
            Self::SecretEmpty { .. } => "secret-empty",
        }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => write!(f, "the context can not be written here: guards and gateways only read"),
            Self::InvalidKey { key } => write!(
                f,
                "`{key}` can not be a context key: it needs 1 to 256 bytes, no control characters, and no `engine.` before it"
            ),
            Self::TooLarge { key, limit_bytes } => {
                write!(f, "writing `{key}` would pass the limit of {limit_bytes} bytes")
            }
            Self::Denied { key } => write!(f, "the step is not granted to write `{key}`"),
            Self::Mismatch { what, reason } => write!(f, "{what} does not fit: {reason}"),
            Self::Unwritable { key, reason } => write!(f, "the value for `{key}` can not be written as JSON: {reason}"),
            Self::SecretNotGranted { name } => write!(f, "the step is not granted the secret `{name}`"),
            Self::SecretEmpty { name } => write!(f, "the secret `{name}` has no value"),
        }
    }
}

impl std::error::Error for AccessError {}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
