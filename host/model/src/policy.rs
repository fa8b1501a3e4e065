//! What the operator allows: for every tenant, and for single ones.
//!
//! A policy is a ceiling. It gives nothing by itself: a step has what its definition asks for and the policy allows.

use std::sync::Arc;

use indexmap::IndexMap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::document::Document;
use crate::definition::read::read_all;
use crate::definition::{Durability, Finding};
use crate::grants::{ClockGrant, ContextGrants, HttpGrant, KeyPattern, RandomnessGrant};
use crate::limits::StepLimits;
use crate::name::TenantId;
use crate::problem::{PathPart, Problem, Problems};
use crate::signature::PublicKey;

/// Which format a policy is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyFormat {
    /// The first and only one.
    #[default]
    #[serde(rename = "stepcell-policy/v1")]
    V1,
}

/// What the operator allows.
///
/// # Examples
/// ```
/// use stepcell_model::policy::Policy;
///
/// let policy = Policy::from_text(
///     "
/// schema: stepcell-policy/v1
/// default:
///   grants: { http: ['https://*.acme.example'], secrets: ['*'] }
/// tenants:
///   trial: { limits: { memory: 16MiB }, concurrency: 2 }
/// ",
/// )?;
/// let trial = policy.of(Some(&"trial".parse()?));
/// assert_eq!((trial.concurrency, trial.grants.secrets.len()), (Some(2), 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The format that the document is written in.
    pub schema: PolicyFormat,
    /// What holds for everybody of whom nothing else is said.
    #[serde(default)]
    pub default: TenantPolicy,
    /// What holds for single tenants; each field that is given stands in place of the default's.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, TenantPolicy>")]
    pub tenants: IndexMap<TenantId, TenantPolicy>,
}

/// What the operator allows a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPolicy {
    /// What its steps may reach, if they ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<GrantPolicy>")]
    pub grants: Option<Arc<GrantPolicy>>,
    /// The most that an attempt of its steps may use; a definition that asks for more has this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StepLimits>,
    /// How many of its attempts run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// When what its instances did is on disk; `each_step` holds whatever a definition says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// Whether its components must be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<SignaturePolicy>,
    /// The keys whose signatures count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub trusted_keys: Option<Vec<PublicKey>>,
}

/// What steps may reach, if they ask for it. Nothing but the context and their own settings without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantPolicy {
    /// Which keys of the context; all without this.
    #[serde(default)]
    pub context: ContextGrants,
    /// Which of their settings; all without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<KeyPattern>>,
    /// Where they may send HTTP requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpGrant>,
    /// The networks that are private and may be reached all the same, such as `10.1.0.0/16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub private_networks: Vec<IpNet>,
    /// Which secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<KeyPattern>,
    /// What clocks may show.
    #[serde(default, skip_serializing_if = "ClockGrant::is_default")]
    pub clock: ClockGrant,
    /// What randomness may be made of.
    #[serde(default, skip_serializing_if = "RandomnessGrant::is_default")]
    pub randomness: RandomnessGrant,
}

/// Whether components must be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignaturePolicy {
    /// A component needs no signature.
    #[default]
    Optional,
    /// A component that no trusted key has signed is refused, and not run either.
    Required,
}

/// What holds for one tenant, with nothing left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// What its steps may reach, if they ask for it.
    pub grants: Arc<GrantPolicy>,
    /// The most that an attempt may use.
    pub limits: StepLimits,
    /// How many attempts run at once; the host's own limit without it.
    pub concurrency: Option<u32>,
    /// When what instances did is on disk, at the latest.
    pub durability: Durability,
    /// Whether components must be signed.
    pub signatures: SignaturePolicy,
    /// The keys whose signatures count.
    pub trusted_keys: Vec<PublicKey>,
}

impl Policy {
    /// Reads a policy from YAML or JSON and checks it.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong, by line and column.
    pub fn from_text(text: &str) -> Result<Self, Problems> {
        let document = Document::parse(text).map_err(Problems::from)?;
        let mut findings = Vec::new();
        let policy = read_all::<Self>(document.value().clone(), &[], &mut findings);
        if let Some(policy) = &policy {
            for (path, limits) in policy.limits() {
                for (field, message) in limits.out_of_range() {
                    let path = path.iter().copied().chain(["limits", field]);
                    let path = path.map(|part| PathPart::Key(part.to_owned())).collect();
                    findings.push(Finding { path, message });
                }
            }
        }
        match policy {
            Some(policy) if findings.is_empty() => Ok(policy),
            _ => Err(Problems::new(
                findings
                    .into_iter()
                    .map(|found| Problem::at(&found.path, found.message).with_position(document.position(&found.path)))
                    .collect(),
            )),
        }
    }

    fn limits(&self) -> Vec<(Vec<&str>, StepLimits)> {
        let default = self.default.limits.map(|limits| (vec!["default"], limits));
        let tenants = self.tenants.iter();
        let tenants = tenants.filter_map(|(name, tenant)| Some((vec!["tenants", name.as_str()], tenant.limits?)));
        default.into_iter().chain(tenants).collect()
    }

    /// What holds for a tenant, or for those instances that have none.
    #[must_use]
    pub fn of(&self, tenant: Option<&TenantId>) -> EffectivePolicy {
        let own = tenant.and_then(|tenant| self.tenants.get(tenant));
        let default = &self.default;
        EffectivePolicy {
            grants: own.and_then(|own| own.grants.clone()).or_else(|| default.grants.clone()).unwrap_or_default(),
            limits: own.and_then(|own| own.limits).or(default.limits).unwrap_or_default(),
            concurrency: own.and_then(|own| own.concurrency).or(default.concurrency),
            durability: own.and_then(|own| own.durability).or(default.durability).unwrap_or_default(),
            signatures: own.and_then(|own| own.signatures).or(default.signatures).unwrap_or_default(),
            trusted_keys: own
                .and_then(|own| own.trusted_keys.clone())
                .or_else(|| default.trusted_keys.clone())
                .unwrap_or_default(),
        }
    }

    /// The policy in the published format, as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("every map of a policy has text for keys")
    }

    /// The JSON Schema of the published format.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_policy_nothing_is_allowed_that_must_be_granted() {
        let nobody = Policy::default().of(None);

        assert_eq!(nobody, EffectivePolicy::default());
        assert!(nobody.grants.http.is_empty() && nobody.grants.secrets.is_empty());
    }

    #[test]
    fn a_tenants_own_word_stands_in_place_of_the_default_field_by_field() {
        let policy = Policy::from_text(
            "
schema: stepcell-policy/v1
default: { concurrency: 8, limits: { memory: 32MiB }, signatures: required }
tenants:
  acme: { limits: { cpu: 2s } }
",
        )
        .unwrap();

        let acme = policy.of(Some(&TenantId::new("acme").unwrap()));

        assert_eq!((acme.concurrency, acme.signatures), (Some(8), SignaturePolicy::Required));
        assert_eq!((acme.limits.memory, acme.limits.cpu), (None, "2s".parse().ok()));
        assert_eq!(policy.of(Some(&TenantId::new("other").unwrap())), policy.of(None));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let told = |text| Policy::from_text(text).unwrap_err().to_string();

        let limits = told("schema: stepcell-policy/v1\ntenants:\n  acme:\n    limits: { memory: 1GiB }\n");
        assert!(limits.contains("tenants.acme.limits.memory: must be from 64KiB to 512MiB"), "{limits}");
        let unknown = told("schema: stepcell-policy/v1\ndefault: { grant: {} }\n");
        assert!(unknown.contains("grant"), "{unknown}");
        let grant = told("schema: stepcell-policy/v1\ndefault: { grants: { http: ['api.example'] } }\n");
        assert!(grant.contains("is no grant of HTTP"), "{grant}");
        let network = told("schema: stepcell-policy/v1\ndefault: { grants: { private_networks: ['10.0.0.0/33'] } }\n");
        assert!(network.contains("default.grants.private_networks"), "{network}");
    }
}
