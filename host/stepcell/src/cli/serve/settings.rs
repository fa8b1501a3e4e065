//! What can be set of the HTTP server: where it listens, what there is, and what strangers may hold.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use clap::{ArgAction, Args};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stepcell::Host;
use stepcell::model::time::Span;
use stepcell::store::StoreError;
use stepcell_server::{ApiOptions, AuditLog, ServeLimits, Tls, TokenGuard, observed, router};

use super::super::exit::Refused;
use super::super::print::note;
use super::callers::{CallerSettings, guards};

/// Where `--listen` without an address listens: nobody but this machine comes there.
const LISTEN: &str = "127.0.0.1:8080";

/// How many descriptors the process needs beside those of connections: the database, its workers, and requests of steps.
const DESCRIPTORS_BESIDE: u64 = 1_024;

/// What can be set of the HTTP server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the HTTP server")]
pub(crate) struct HttpSettings {
    /// Answer HTTP here; without an address on 127.0.0.1:8080, and not at all without this flag.
    #[arg(long, env = "STEPCELL_LISTEN", hide_env_values = true, value_name = "ADDR", num_args = 0..=1,
        default_missing_value = LISTEN)]
    pub(super) listen: Option<SocketAddr>,
    /// What the paths of the API begin with.
    #[arg(long, env = "STEPCELL_PATH_PREFIX", hide_env_values = true, value_name = "PATH", default_value = "/api/v1")]
    path_prefix: PathPrefix,
    /// Whether there are the routes of workflows, instances and tasks.
    #[arg(long, env = "STEPCELL_ENABLE_API", hide_env_values = true, value_name = "BOOL", action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", default_value_t = true)]
    enable_api: bool,
    /// Whether there is anything for the platform's administrators: their routes, and every tenant's keys, secrets, changes
    /// of webhooks and audit log.
    #[arg(long, env = "STEPCELL_ENABLE_ADMIN", hide_env_values = true, value_name = "BOOL", action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", default_value_t = true)]
    enable_admin: bool,
    /// Whether there are pages for people: the documentation of the API.
    #[arg(long, env = "STEPCELL_ENABLE_UI", hide_env_values = true, value_name = "BOOL", action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", default_value_t = true)]
    enable_ui: bool,
    /// Answer within TLS alone, with this certificate and the chain above it, as PEM. Read again upon SIGHUP.
    #[arg(long, env = "STEPCELL_TLS_CERT", hide_env_values = true, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM.
    #[arg(long, env = "STEPCELL_TLS_KEY", hide_env_values = true, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Answer `GET /metrics`, `/healthz` and `/readyz` here too, without TLS and without asking who it is.
    #[arg(long, env = "STEPCELL_METRICS_LISTEN", hide_env_values = true, value_name = "ADDR")]
    pub(super) metrics_listen: Option<SocketAddr>,
    /// How many connections may be open; one more is answered 503.
    #[arg(long, env = "STEPCELL_CONNECTIONS_MAX", hide_env_values = true, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections_max: u32,
    /// How long the head of a request may take, and how long a connection may be idle.
    #[arg(long, env = "STEPCELL_HEAD_TIMEOUT", hide_env_values = true, value_name = "TIME", default_value = "30s")]
    head_timeout: Span,
    /// How many bytes the head of a request may have.
    #[arg(long, env = "STEPCELL_HEAD_BYTES_MAX", hide_env_values = true, value_name = "N", default_value_t = 32_768,
        value_parser = clap::value_parser!(u32).range(8_192..=1_048_576))]
    head_bytes_max: u32,
    /// How long a body may keep its reader waiting beside what its length takes at the slowest rate.
    #[arg(long, env = "STEPCELL_BODY_GRACE", hide_env_values = true, value_name = "TIME", default_value = "10s")]
    body_grace: Span,
    /// The slowest rate at which a body may arrive, in bytes a second.
    #[arg(long, env = "STEPCELL_BODY_RATE_MIN", hide_env_values = true, value_name = "N", default_value_t = 32_768,
        value_parser = clap::value_parser!(u32).range(1..))]
    body_rate_min: u32,
    /// How long a client may take nothing of what it is sent.
    #[arg(long, env = "STEPCELL_WRITE_TIMEOUT", hide_env_values = true, value_name = "TIME", default_value = "30s")]
    write_timeout: Span,
    /// How long everything is still answered once the process is told to stop, with `/readyz` at 503: as long as whoever sends
    /// requests here takes to see that. Then the port is closed.
    #[arg(long, env = "STEPCELL_DRAIN_DELAY", hide_env_values = true, value_name = "TIME", default_value = "0s")]
    drain_delay: Span,
    /// How long requests under way may take to end once the port is closed.
    #[arg(long, env = "STEPCELL_DRAIN_TIMEOUT", hide_env_values = true, value_name = "TIME", default_value = "30s")]
    drain_timeout: Span,
    #[command(flatten)]
    pub(super) callers: CallerSettings,
}

/// What every path of the API begins with: nothing, or `/` and names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPrefix(String);

impl std::str::FromStr for PathPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.trim_end_matches('/');
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        };
        let names = path.strip_prefix('/').map(|names| names.split('/').all(is_name));
        match names {
            None if path.is_empty() => Ok(Self(String::new())),
            Some(true) => Ok(Self(path.to_owned())),
            Some(false) | None => {
                Err("write `/` and names of letters, digits, `-`, `_`, `.`, such as `/api/v1`".into())
            }
        }
    }
}

impl HttpSettings {
    /// What strangers may hold.
    pub(super) fn limits(&self) -> ServeLimits {
        ServeLimits {
            connections_max: self.connections_max as usize,
            head_timeout: self.head_timeout.length(),
            head_bytes_max: self.head_bytes_max as usize,
            body_grace: self.body_grace.length(),
            body_bytes_per_second_min: self.body_rate_min,
            write_timeout: self.write_timeout.length(),
            drain_timeout: self.drain_timeout.length(),
            ..ServeLimits::default()
        }
    }

    /// Goes on answering for a while after the process was told to stop, unless nothing is listened to, or the store stops.
    pub(super) async fn serve_on(&self, host: &Host) -> Option<StoreError> {
        self.listen?;
        tokio::select! {
            () = tokio::time::sleep(self.drain_delay.length()) => None,
            fault = host.engine().faulted() => Some(fault),
        }
    }

    /// Everything that is answered once the database is open.
    pub(super) fn router(&self, host: &Host, tokens: Option<&Arc<TokenGuard>>, audit: &AuditLog) -> Router {
        let options = ApiOptions {
            path_prefix: self.path_prefix.0.clone(),
            enable_api: self.enable_api,
            enable_admin: self.enable_admin,
            enable_ui: self.enable_ui,
            guards: guards(host.engine(), tokens),
            rate: self.callers.rate(),
            tenant_rate: self.callers.tenant_rate(),
            audit: Some(audit.clone()),
            webhooks: Some(host.webhooks().clone()),
        };
        observed(router(host.engine().clone(), options))
    }

    /// Where the documentation is, if it is shown.
    pub(super) fn docs_path(&self) -> Option<String> {
        let is_shown = self.enable_ui && (self.enable_api || self.enable_admin);
        is_shown.then(|| format!("{}/docs/", self.path_prefix.0))
    }

    /// The certificate to show, if there is to be one.
    pub(super) fn tls(&self) -> anyhow::Result<Option<Tls>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let tls = Tls::of_files(certificate, key).map_err(|error| Refused::unusable(error.to_string()))?;
                Ok(Some(tls))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(Refused::input("there is `tls_cert` and no `tls_key`; TLS takes both").into()),
            (None, Some(_)) => Err(Refused::input("there is `tls_key` and no `tls_cert`; TLS takes both").into()),
        }
    }

    /// Lets the process have as many descriptors as its connections take, as far as the system allows it.
    pub(super) fn take_descriptors(&self) {
        let wanted = u64::from(self.connections_max) + DESCRIPTORS_BESIDE;
        let Rlimit { current: Some(current), maximum } = getrlimit(Resource::Nofile) else { return };
        if current >= wanted {
            return;
        }
        let allowed = maximum.map_or(wanted, |maximum| wanted.min(maximum));
        let is_set = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum }).is_ok();
        let had = if is_set { allowed } else { current };
        if had < wanted {
            note(format!(
                "warning: this process may have {had} descriptors and {} connections take {wanted}; raise `ulimit -n`, or \
                 lower --connections-max",
                self.connections_max
            ));
        }
    }

    /// Warns of what can be listened to on the way.
    pub(super) fn warn(&self) {
        let is_plain = self.tls_cert.is_none();
        if let Some(address) = self.listen.filter(|address| is_plain && !address.ip().is_loopback()) {
            note(format!(
                "warning: {address} is reached from other machines, and without TLS keys and data can be read on the way; \
                 set --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS"
            ));
        }
        if let Some(address) = self.metrics_listen.filter(|address| !address.ip().is_loopback()) {
            note(format!("warning: metrics on {address} are told to everybody who reaches it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_nothing_or_names() {
        for (text, prefix) in [("", ""), ("/", ""), ("/api/v1", "/api/v1"), ("/a-b_c.d~/", "/a-b_c.d~")] {
            assert_eq!(text.parse(), Ok(PathPrefix(prefix.to_owned())), "{text}");
        }
        for text in ["api", "/a//b", "/{x}", "/a b", "/%2e", "/a?b"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
    }
}
