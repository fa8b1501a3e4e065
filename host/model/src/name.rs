//! Names that people choose: each is checked once, where it enters.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name of a workflow, step or component, in bytes.
pub const NAME_LEN_BYTES_MAX: usize = 64;

/// The longest id of a user, group or tenant, and the longest key, in bytes.
pub const KEY_LEN_BYTES_MAX: usize = 256;

/// Why a text can not be a name; says what may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` can not be {what}: {rule}")]
pub struct MalformedName {
    /// What was given, shortened.
    pub text: String,
    /// What it was to name.
    pub what: &'static str,
    /// What such a name looks like.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text and makes it a name.
            ///
            /// # Errors
            /// [`MalformedName`] with the rule that it breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, MalformedName> {
                let text = text.as_ref();
                if $valid(text) {
                    return Ok(Self(text.into()));
                }
                Err(MalformedName { text: text.chars().take(80).collect(), what: $what, rule: $rule })
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = MalformedName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = MalformedName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

const IDENTIFIER: &str =
    "it begins with a letter or `_`, goes on with letters, digits, `_` or `-`, and has at most 64 characters";
const PATH: &str = "it is letters, digits, `_`, `-`, with `/` or `.` between parts, begins with a letter, and has at most 64 characters";
const KEY: &str = "it has 1 to 256 bytes, no control characters, and does not begin with `engine.`";
const ID: &str = "it has 1 to 256 bytes and no control characters";

name! {
    /// Names a workflow: the registry's key.
    WorkflowName, "a workflow's name", PATH, is_path
}
name! {
    /// Names a step within its workflow.
    StepName, "a step's name", IDENTIFIER, is_identifier
}
name! {
    /// Names a registered component, such as `acme/validate`.
    ComponentName, "a component's name", PATH, is_path
}
name! {
    /// Names a value of the context or the metadata.
    ContextKey, "a context key", KEY, is_key
}
name! {
    /// Names a user.
    UserId, "a user's id", ID, is_id
}
name! {
    /// Names a group of users.
    GroupId, "a group's id", ID, is_id
}
name! {
    /// Names a tenant.
    TenantId, "a tenant's id", ID, is_id
}

fn is_identifier(text: &str) -> bool {
    text.len() <= NAME_LEN_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_path(text: &str) -> bool {
    text.len() <= NAME_LEN_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.split(['/', '.']).all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        })
}

fn is_key(text: &str) -> bool {
    is_id(text) && !text.starts_with("engine.")
}

fn is_id(text: &str) -> bool {
    (1..=KEY_LEN_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_breaks_its_rule_is_refused_with_the_rule() {
        let error = StepName::new("9 lives").unwrap_err();

        assert_eq!(error.to_string(), format!("`9 lives` can not be a step's name: {IDENTIFIER}"));
    }

    #[test]
    fn names_are_refused_at_the_edges_of_their_rules() {
        assert!(WorkflowName::new("acme/expense-approval.v2").is_ok());
        for text in ["", "/a", "a//b", "a/", "a b", "ä", &"a".repeat(65)] {
            assert!(WorkflowName::new(text).is_err(), "{text}");
        }
        for text in ["", "engine.secret", "line\nbreak", &"k".repeat(257)] {
            assert!(ContextKey::new(text).is_err(), "{text}");
        }
    }
}
