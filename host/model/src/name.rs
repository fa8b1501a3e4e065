//! Names that people choose: each is checked once, where it enters.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name of a workflow, step or component, in bytes.
pub const NAME_LEN_BYTES_MAX: usize = 64;

/// The longest name of a member of groups, the groups' names included, in bytes.
pub const STEP_PATH_LEN_BYTES_MAX: usize = 256;

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
    /// Names a step within its workflow; a member of a group is `group/member`.
    StepName, "a step's name", IDENTIFIER, is_step
}
name! {
    /// Names a message that is sent to an instance.
    SignalName, "a signal's name", IDENTIFIER, is_identifier
}
name! {
    /// Names a condition that the embedding program decides.
    PredicateName, "a predicate's name", PATH, is_path
}
name! {
    /// Names a secret.
    SecretName, "a secret's name", IDENTIFIER, is_identifier
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
name! {
    /// What people call a tenant or a key; nothing is found by it.
    Label, "a display name", ID, is_id
}
name! {
    /// Names what somebody asked for, such as `instance.cancel`.
    ActionName, "an action's name", PATH, is_path
}

impl StepName {
    /// The part of a for-each step that runs once for each item.
    pub const ITEM: &'static str = "item";

    /// The part of a parallel group that is given its results.
    pub const CALLBACK: &'static str = "callback";

    /// The part of a step that undoes it.
    pub const COMPENSATE: &'static str = "compensate";

    /// The names that no member of a group may have, as the engine shows its own parts so.
    pub const RESERVED: &'static [&'static str] = &[Self::ITEM, Self::CALLBACK, Self::COMPENSATE];

    /// The name of a part of this step, such as `group/member`.
    ///
    /// # Errors
    /// [`MalformedName`] if it would be too long.
    pub fn part(&self, part: &str) -> Result<Self, MalformedName> {
        Self::new(format!("{self}/{part}"))
    }

    /// The step as its definition writes it: what runs for the items of a step is that step.
    #[must_use]
    pub fn written(&self) -> Self {
        let parts: Vec<_> = self.0.split('/').filter(|part| *part != Self::ITEM).collect();
        Self(parts.join("/").into())
    }

    /// Whether it is a part of another step.
    #[must_use]
    pub fn is_part(&self) -> bool {
        self.0.contains('/')
    }

    /// The step of the graph that it is, or is a part of.
    #[must_use]
    pub fn top(&self) -> Self {
        Self(self.0.split('/').next().unwrap_or_default().into())
    }
}

impl SignalName {
    /// The name of the signal that a step waits for which names none: its own, without the groups around it.
    #[must_use]
    pub fn of_step(step: &StepName) -> Self {
        let own = step.as_str().rsplit('/').next().unwrap_or_default();
        Self(own.into())
    }
}

fn is_identifier(text: &str) -> bool {
    text.len() <= NAME_LEN_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Parts as definitions write them, joined as the engine shows members of groups.
fn is_step(text: &str) -> bool {
    text.len() <= STEP_PATH_LEN_BYTES_MAX && text.split('/').all(is_identifier)
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
