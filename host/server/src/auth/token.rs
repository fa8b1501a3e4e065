//! Callers with a token of an issuer that the server trusts: a JWT as OpenID Connect has it.
//!
//! Which algorithms count is pinned by the settings and never taken from the token alone; shared secrets do not count at
//! all. Whose token it is and how far it reaches stands in claims whose names are settings.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc8725>.

mod keys;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::request::Parts;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};
use stepcell_model::name::GroupId;

use self::keys::KeySet;
use super::keys::bearer;
use super::{Caller, Guard, Scope, Scopes};
use crate::problem::{Problem, ProblemCode};

/// The longest token, in bytes. Protects whatever reads it.
const TOKEN_LEN_BYTES_MAX: usize = 16 << 10;

/// The most groups of a caller that are looked at.
const GROUPS_LEN_MAX: usize = 64;

/// Which tokens count.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Who issues them, as `iss` has it.
    pub issuer: String,
    /// For whom they are, as `aud` has it: one of these must be in it.
    pub audiences: Vec<String>,
    /// The algorithms that count, such as `RS256`.
    pub algorithms: Vec<String>,
    /// Where the issuer's keys are.
    pub keys: TokenKeys,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that lists scopes, as words or a list of them; other words in it do not count.
    pub roles_claim: String,
    /// The claim that lists groups, for human tasks.
    pub groups_claim: String,
    /// The claim that names the user.
    pub user_claim: String,
    /// Whether a token that names no tenant is one of the platform itself; it is refused otherwise.
    pub without_tenant: WithoutTenant,
}

/// What a token that names no tenant is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutTenant {
    /// It is refused.
    #[default]
    Refused,
    /// It is one of the platform.
    OfPlatform,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum TokenKeys {
    /// Here, as a JSON Web Key Set.
    Given(String),
    /// At this address, as a JSON Web Key Set.
    At(String),
    /// Where the issuer's own `/.well-known/openid-configuration` says.
    OfIssuer,
}

/// Why tokens can not be taken with some settings.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// An algorithm is none that can be pinned.
    #[error("`{name}` can not be an algorithm of tokens: name one or more of {}", NAMES.join(", "))]
    Algorithm {
        /// What was named.
        name: String,
    },
    /// Nobody is named for whom tokens are.
    #[error("there is no audience: name the one that the issuer puts into `aud` of tokens for this server")]
    NoAudience,
    /// The key set can not be read.
    #[error("the issuer's keys can not be used: {why}")]
    Keys {
        /// What is wrong.
        why: String,
    },
}

/// The algorithms that can be pinned.
const NAMES: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

impl TokenSettings {
    /// Settings for an issuer that is asked for its keys, with the usual names of claims.
    #[must_use]
    pub fn of_issuer(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: vec![audience.into()],
            algorithms: ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
            keys: TokenKeys::OfIssuer,
            leeway: Duration::from_secs(60),
            tenant_claim: "tenant".to_owned(),
            roles_claim: "roles".to_owned(),
            groups_claim: "groups".to_owned(),
            user_claim: "sub".to_owned(),
            without_tenant: WithoutTenant::Refused,
        }
    }
}

/// Knows callers by a token of an issuer, as `Authorization: Bearer eyJ…`.
#[derive(Debug)]
pub struct TokenGuard {
    settings: TokenSettings,
    algorithms: Vec<Algorithm>,
    keys: Arc<KeySet>,
}

impl TokenGuard {
    /// Takes tokens by those settings.
    ///
    /// # Errors
    /// [`TokenError`] with what is wrong with the settings. An issuer that can not be reached is none: it is asked again
    /// when a token comes.
    pub fn new(settings: TokenSettings) -> Result<Self, TokenError> {
        let algorithm = |name: &String| {
            let known = NAMES.contains(&name.as_str()).then(|| name.parse().ok()).flatten();
            known.ok_or_else(|| TokenError::Algorithm { name: name.clone() })
        };
        let algorithms = settings.algorithms.iter().map(algorithm).collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() {
            return Err(TokenError::Algorithm { name: String::new() });
        }
        if settings.audiences.is_empty() {
            return Err(TokenError::NoAudience);
        }
        let keys = Arc::new(KeySet::new(&settings.keys, &settings.issuer)?);
        Ok(Self { settings, algorithms, keys })
    }

    async fn claims_of(&self, token: &str) -> Result<Map<String, Value>, Problem> {
        let header = decode_header(token).map_err(|_| refused("it is malformed"))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(refused("its algorithm is none that counts here"));
        }
        let keys = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.settings.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_audience(&self.settings.audiences);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let mut why = refused("it is signed with none of the issuer's keys");
        for key in keys {
            match decode::<Map<String, Value>>(token, &key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => why = refused(reason_of(&error)),
            }
        }
        Err(why)
    }

    fn caller_of(&self, claims: &Map<String, Value>) -> Result<Caller, Problem> {
        let settings = &self.settings;
        let text = |name: &str| claim(claims, name).and_then(Value::as_str);
        let user = text(&settings.user_claim).and_then(|user| user.parse().ok());
        let user = user.ok_or_else(|| refused("it names no user"))?;
        let tenant = match claim(claims, &settings.tenant_claim) {
            None if settings.without_tenant == WithoutTenant::OfPlatform => None,
            None => return Err(refused("it names no tenant")),
            Some(tenant) => {
                let tenant = tenant.as_str().and_then(|tenant| tenant.parse().ok());
                Some(tenant.ok_or_else(|| refused("its tenant is malformed"))?)
            }
        };
        let scopes: Scopes =
            words(claim(claims, &settings.roles_claim)).filter_map(|word| word.parse::<Scope>().ok()).collect();
        let groups = words(claim(claims, &settings.groups_claim)).filter_map(|word| GroupId::new(word).ok());
        Ok(Caller { user, groups: groups.take(GROUPS_LEN_MAX).collect(), tenant, scopes, key: None })
    }
}

#[async_trait]
impl Guard for TokenGuard {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Caller>, Problem> {
        let is_token = |text: &&str| text.starts_with("ey") && text.split('.').count() == 3;
        let Some(token) = bearer(head)?.filter(is_token) else { return Ok(None) };
        if token.len() > TOKEN_LEN_BYTES_MAX {
            return Err(refused("it is too long"));
        }
        let claims = self.claims_of(token).await?;
        self.caller_of(&claims).map(Some)
    }
}

/// A claim by its name, or by the way to it as in `realm_access.roles`.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

/// The words of a claim: a list of texts, or one text with spaces between.
fn words(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (list, text) = match claim {
        Some(Value::Array(list)) => (list.as_slice(), ""),
        Some(Value::String(text)) => (&[][..], text.as_str()),
        _ => (&[][..], ""),
    };
    list.iter().filter_map(Value::as_str).chain(text.split_ascii_whitespace())
}

fn reason_of(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it is expired",
        ErrorKind::ImmatureSignature => "its time has not come",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "it lacks `exp`, `iss` or `aud`",
        _ => "it is signed with none of the issuer's keys",
    }
}

fn refused(why: &str) -> Problem {
    Problem::new(ProblemCode::TokenRefused, format!("the token does not hold: {why}; get a new one from the issuer"))
}

#[cfg(test)]
mod tests;
