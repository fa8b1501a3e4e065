//! What can be set of those who call: API keys, tokens of an issuer, and how much each may send.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use clap::{ArgAction, Args};
use stepcell::engine::WorkflowEngine;
use stepcell::model::time::Span;
use stepcell_server::{Guards, KeyGuard, RateLimit, TokenGuard, TokenKeys, TokenSettings, WithoutTenant};

use super::super::exit::Refused;

/// What can be set of those who call.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of callers")]
pub(crate) struct CallerSettings {
    /// How many requests a second each API key, or user of a token, may send; 0 is as many as they like.
    #[arg(long, env = "STEPCELL_RATE_LIMIT", hide_env_values = true, value_name = "N", default_value_t = 1_000)]
    rate_limit: u32,
    /// How many requests a second all keys and users of one tenant may send together; 0 is as many as they like.
    #[arg(long, env = "STEPCELL_TENANT_RATE_LIMIT", hide_env_values = true, value_name = "N", default_value_t = 5_000)]
    tenant_rate_limit: u32,
    /// Also let in whoever has a token (JWT) of this issuer, as its `iss` has it.
    #[arg(
        long,
        env = "STEPCELL_TOKEN_ISSUER",
        hide_env_values = true,
        value_name = "URL",
        requires = "token_audience"
    )]
    token_issuer: Option<String>,
    /// For whom tokens must be, as `aud` has it; as often as there are several.
    #[arg(long, env = "STEPCELL_TOKEN_AUDIENCE", hide_env_values = true, value_name = "NAME", value_delimiter = ',')]
    token_audience: Vec<String>,
    /// The algorithms that tokens may be signed by.
    #[arg(
        long,
        env = "STEPCELL_TOKEN_ALGORITHMS",
        hide_env_values = true,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "RS256,ES256,EdDSA"
    )]
    token_algorithms: Vec<String>,
    /// The issuer's keys, as a JSON Web Key Set: an https address or a file [default: where the issuer itself says].
    #[arg(long, env = "STEPCELL_TOKEN_KEYS", hide_env_values = true, value_name = "URL|FILE")]
    token_keys: Option<String>,
    /// By how much the issuer's clock may differ.
    #[arg(long, env = "STEPCELL_TOKEN_LEEWAY", hide_env_values = true, value_name = "TIME", default_value = "60s")]
    token_leeway: Span,
    /// The claim that names the user.
    #[arg(long, env = "STEPCELL_TOKEN_USER_CLAIM", hide_env_values = true, value_name = "NAME", default_value = "sub")]
    token_user_claim: String,
    /// The claim that names the tenant.
    #[arg(
        long,
        env = "STEPCELL_TOKEN_TENANT_CLAIM",
        hide_env_values = true,
        value_name = "NAME",
        default_value = "tenant"
    )]
    token_tenant_claim: String,
    /// The claim that lists scopes; a way as in `realm_access.roles` leads into objects.
    #[arg(
        long,
        env = "STEPCELL_TOKEN_ROLES_CLAIM",
        hide_env_values = true,
        value_name = "NAME",
        default_value = "roles"
    )]
    token_roles_claim: String,
    /// The claim that lists groups.
    #[arg(
        long,
        env = "STEPCELL_TOKEN_GROUPS_CLAIM",
        hide_env_values = true,
        value_name = "NAME",
        default_value = "groups"
    )]
    token_groups_claim: String,
    /// Whether a token that names no tenant is one of the platform itself, which reaches every tenant.
    #[arg(long, env = "STEPCELL_TOKEN_PLATFORM", hide_env_values = true, value_name = "BOOL", action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", default_value_t = false)]
    token_platform: bool,
}

impl CallerSettings {
    /// How many requests one caller may send.
    pub(super) fn rate(&self) -> Option<RateLimit> {
        a_second(self.rate_limit)
    }

    /// How many requests those of one tenant may send together.
    pub(super) fn tenant_rate(&self) -> Option<RateLimit> {
        a_second(self.tenant_rate_limit)
    }

    /// The guard of tokens, if they are taken. Made before anything listens, so that what is wrong is told then.
    pub(super) fn tokens(&self) -> anyhow::Result<Option<Arc<TokenGuard>>> {
        let Some(issuer) = &self.token_issuer else { return Ok(None) };
        let platform = if self.token_platform { WithoutTenant::OfPlatform } else { WithoutTenant::Refused };
        let settings = TokenSettings {
            issuer: issuer.clone(),
            audiences: self.token_audience.clone(),
            algorithms: self.token_algorithms.clone(),
            keys: self.keys()?,
            leeway: self.token_leeway.length(),
            tenant_claim: self.token_tenant_claim.clone(),
            roles_claim: self.token_roles_claim.clone(),
            groups_claim: self.token_groups_claim.clone(),
            user_claim: self.token_user_claim.clone(),
            without_tenant: platform,
        };
        let guard = TokenGuard::new(settings).map_err(|error| Refused::input(error.to_string()))?;
        Ok(Some(Arc::new(guard)))
    }

    fn keys(&self) -> anyhow::Result<TokenKeys> {
        match self.token_keys.as_deref() {
            None => Ok(TokenKeys::OfIssuer),
            Some(url) if url.contains("://") => Ok(TokenKeys::At(url.to_owned())),
            Some(file) => {
                let unread = |error| Refused::unusable(format!("can not read the keys `{file}`: {error}"));
                Ok(TokenKeys::Given(std::fs::read_to_string(Path::new(file)).map_err(unread)?))
            }
        }
    }
}

/// So many requests a second, all of them at once too; as many as one likes where that is 0.
fn a_second(rate: u32) -> Option<RateLimit> {
    NonZeroU32::new(rate).map(|rate| RateLimit { per_second: rate, burst: rate })
}

/// Everybody who is let in.
pub(super) fn guards(engine: &WorkflowEngine, tokens: Option<&Arc<TokenGuard>>) -> Guards {
    let guards = Guards::none().with(Arc::new(KeyGuard::new(engine.clone())));
    match tokens {
        Some(tokens) => guards.with(Arc::clone(tokens) as _),
        None => guards,
    }
}
