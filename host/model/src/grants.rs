//! What a step may reach beyond its cell.
//!
//! A definition asks ([`Grants`]), the operator's policy allows ([`GrantPolicy`](crate::policy::GrantPolicy)), and an
//! attempt has what both say: [`StepGrants`] answers every question of a cell. The context and the step's own settings
//! belong to the definition, so without a word about them a step may use all of both, as far as the operator allows;
//! everything else is denied without a word.

mod http;
mod pattern;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::http::{HttpGrant, HttpTarget, MalformedGrant, Scheme};
pub use self::pattern::KeyPattern;
use crate::name::SecretName;
use crate::policy::GrantPolicy;

/// The most entries of one list of grants. Protects whoever looks through them at each call.
pub const GRANTS_LEN_MAX: usize = 100;

/// What a step asks to reach beyond its cell.
///
/// # Examples
/// ```
/// use stepcell_model::grants::Grants;
///
/// let grants: Grants = serde_json::from_str(r#"{"http": ["POST https://api.acme.example"], "secrets": ["TOKEN"]}"#)?;
/// assert_eq!(grants.secrets[0].as_str(), "TOKEN");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Which keys of the context it may use; all of them without this.
    #[serde(default, skip_serializing_if = "ContextGrants::is_default")]
    pub context: ContextGrants,
    /// Where it may send HTTP requests: `https://host`, `https://host:port`, `POST https://*.host`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub http: Vec<HttpGrant>,
    /// The secrets that it may read, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub secrets: Vec<SecretName>,
    /// What its clocks show.
    #[serde(default, skip_serializing_if = "ClockGrant::is_default")]
    pub clock: ClockGrant,
    /// What its randomness is made of.
    #[serde(default, skip_serializing_if = "RandomnessGrant::is_default")]
    pub randomness: RandomnessGrant,
}

/// Which keys of the context a step may use. Without a list: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextGrants {
    /// The keys that it may read; `order*` is every key that begins with `order`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub read: Option<Vec<KeyPattern>>,
    /// The keys that it may write and remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub write: Option<Vec<KeyPattern>>,
}

impl ContextGrants {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a step's clocks show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockGrant {
    /// The start of the execution, always: an attempt that is made again sees the same.
    #[default]
    Frozen,
    /// The time.
    Real,
}

impl ClockGrant {
    /// Whether it is the usual one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a step's randomness is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RandomnessGrant {
    /// The execution's id: an attempt that is made again draws the same.
    #[default]
    Seeded,
    /// The system's randomness, fit for keys.
    Real,
}

impl RandomnessGrant {
    /// Whether it is the usual one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Grants {
    /// What a step asks for that says nothing.
    pub const NONE: Self = Self {
        context: ContextGrants { read: None, write: None },
        http: Vec::new(),
        secrets: Vec::new(),
        clock: ClockGrant::Frozen,
        randomness: RandomnessGrant::Seeded,
    };

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Every list that is too long: the field, and what to do.
    #[must_use]
    pub fn too_long(&self) -> Option<(&'static str, String)> {
        let lens = [
            ("context.read", self.context.read.as_ref().map_or(0, Vec::len)),
            ("context.write", self.context.write.as_ref().map_or(0, Vec::len)),
            ("http", self.http.len()),
            ("secrets", self.secrets.len()),
        ];
        let (field, len) = lens.into_iter().find(|(_, len)| *len > GRANTS_LEN_MAX)?;
        Some((field, format!("{field} has {len} entries, and may have {GRANTS_LEN_MAX}; use patterns")))
    }
}

/// What one attempt may reach: what its step asks for and the operator allows its tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepGrants {
    /// What the definition asks for.
    pub asked: Arc<Grants>,
    /// What the operator allows the tenant.
    pub allowed: Arc<GrantPolicy>,
}

impl StepGrants {
    /// Whether a key of the context may be read.
    #[must_use]
    pub fn may_read(&self, key: &str) -> bool {
        is_listed(self.asked.context.read.as_deref(), key) && is_listed(self.allowed.context.read.as_deref(), key)
    }

    /// Whether a key of the context may be written and removed.
    #[must_use]
    pub fn may_write(&self, key: &str) -> bool {
        is_listed(self.asked.context.write.as_deref(), key) && is_listed(self.allowed.context.write.as_deref(), key)
    }

    /// Whether every key of the context may be read, so that nobody needs to ask for each.
    #[must_use]
    pub fn may_read_all(&self) -> bool {
        self.asked.context.read.is_none() && self.allowed.context.read.is_none()
    }

    /// Whether a setting of the step may be read. The definition asks by giving it.
    #[must_use]
    pub fn may_configure(&self, key: &str) -> bool {
        is_listed(self.allowed.config.as_deref(), key)
    }

    /// Whether a secret is granted. It may have no value all the same.
    #[must_use]
    pub fn has_secret(&self, name: &str) -> bool {
        self.asked.secrets.iter().any(|asked| asked.as_str() == name)
            && self.allowed.secrets.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether a request may be sent there.
    #[must_use]
    pub fn may_send(&self, target: &HttpTarget<'_>) -> bool {
        let allows = |grants: &[HttpGrant]| grants.iter().any(|grant| grant.allows(target));
        allows(&self.asked.http) && allows(&self.allowed.http)
    }

    /// What the clocks show.
    #[must_use]
    pub fn clock(&self) -> ClockGrant {
        self.asked.clock.min(self.allowed.clock)
    }

    /// What randomness is made of.
    #[must_use]
    pub fn randomness(&self) -> RandomnessGrant {
        self.asked.randomness.min(self.allowed.randomness)
    }
}

fn is_listed(patterns: Option<&[KeyPattern]>, key: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grants(asked: serde_json::Value, allowed: serde_json::Value) -> StepGrants {
        StepGrants {
            asked: Arc::new(serde_json::from_value(asked).unwrap()),
            allowed: Arc::new(serde_json::from_value(allowed).unwrap()),
        }
    }

    #[test]
    fn without_a_word_a_step_has_its_context_and_its_settings_and_nothing_else() {
        let grants = StepGrants::default();

        assert!(grants.may_read("order") && grants.may_write("order") && grants.may_configure("url"));
        assert!(!grants.has_secret("TOKEN"));
        assert_eq!((grants.clock(), grants.randomness()), (ClockGrant::Frozen, RandomnessGrant::Seeded));
    }

    #[test]
    fn both_sides_must_allow() {
        let ask = json!({
            "context": {"read": ["order*"], "write": ["order.total", "note"]},
            "secrets": ["TOKEN", "OTHER"], "clock": "real", "randomness": "real",
        });
        let allow = json!({
            "context": {"read": ["order.id", "user"], "write": ["order*"]}, "config": ["url"],
            "secrets": ["TOK*"], "clock": "real",
        });

        let grants = grants(ask, allow);

        for (key, reads, writes) in
            [("order.id", true, false), ("order.total", false, true), ("user", false, false), ("note", false, false)]
        {
            assert_eq!((grants.may_read(key), grants.may_write(key)), (reads, writes), "{key}");
        }
        assert!(grants.may_configure("url") && !grants.may_configure("debug"));
        assert!(grants.has_secret("TOKEN") && !grants.has_secret("OTHER") && !grants.has_secret("TOKYO"));
        assert_eq!((grants.clock(), grants.randomness()), (ClockGrant::Real, RandomnessGrant::Seeded));
    }

    #[test]
    fn an_empty_list_is_no_key_and_a_missing_one_is_every_key() {
        let grants = grants(json!({"context": {"write": []}}), json!({}));

        assert!(grants.may_read("a") && !grants.may_write("a"));
    }
}
