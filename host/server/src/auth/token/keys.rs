//! An issuer's keys: given once, or fetched and kept for a while.
//!
//! Keys in use are fetched anew behind their users before they are old, so that nobody waits for an issuer who answers, and
//! once at most for one who does not. What nobody has used for a while is fetched before it counts again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use stepcell_engine::Finishing;
use tokio::time::Instant;

use super::{TokenError, TokenKeys};
use crate::problem::{Problem, ProblemCode};

/// How long fetched keys are taken as they are.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(600);

/// From what age on keys that are used are fetched anew, behind whoever uses them.
pub(super) const RENEWED_AFTER: Duration = Duration::from_secs(300);

/// How long fetched keys are taken at most where the issuer can not be reached: a key that it took back must not count for
/// as long as somebody keeps the issuer from saying so.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How often keys are fetched at most, whatever tokens come: one with an unknown key asks for that.
pub(super) const FETCH_INTERVAL: Duration = Duration::from_secs(60);

/// How long one fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer of an issuer, in bytes. Protects memory.
const ANSWER_LEN_BYTES_MAX: usize = 512 << 10;

/// The most keys that one token is held against where it does not say which.
const KEYS_TRIED_MAX: usize = 8;

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet {
    source: Source,
    known: Mutex<Option<Known>>,
    /// Held by whoever fetches: when that was tried last.
    fetching: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the last try failed.
    is_silent: AtomicBool,
}

#[derive(Debug)]
enum Source {
    Given,
    At(Client, Url),
    Discovered(Client, Url),
}

#[derive(Clone, Debug)]
struct Known {
    keys: Arc<[Jwk]>,
    since: Instant,
}

impl KeySet {
    pub(super) fn new(keys: &TokenKeys, issuer: &str) -> Result<Self, TokenError> {
        let (source, known) = match keys {
            TokenKeys::Given(text) => {
                let keys = read(text.as_bytes()).map_err(|why| TokenError::Keys { why })?;
                (Source::Given, Some(Known { keys, since: Instant::now() }))
            }
            TokenKeys::At(url) => (Source::At(client()?, address(url)?), None),
            TokenKeys::OfIssuer => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                (Source::Discovered(client()?, address(&url)?), None)
            }
        };
        let (known, fetching) = (Mutex::new(known), tokio::sync::Mutex::new(None));
        Ok(Self { source, known, fetching, is_silent: AtomicBool::new(false) })
    }

    /// The keys that a token may be signed with.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Problem> {
        let fits = |known: &Known| fitting(&known.keys, id, algorithm);
        // Of an issuer that did not answer last time nobody waits for the next.
        let is_usable = |known: &Known| self.is_younger(known, KEPT_FOR) || self.is_silent.load(Ordering::Relaxed);
        if let Some(known) = self.trusted().filter(is_usable) {
            let found = fits(&known);
            if !found.is_empty() || matches!(self.source, Source::Given) {
                if !self.is_younger(&known, RENEWED_AFTER) {
                    self.fetch_behind();
                }
                return Ok(found);
            }
        }
        // Others wait for it, too, so it is brought to its end where this one goes away.
        let this = Arc::clone(self);
        if let Some(fetched) = Finishing::of(async move { this.fetch().await }).await {
            return Ok(fits(&fetched));
        }
        // Keys that grew old while the issuer can not be reached still count for a while.
        match self.trusted() {
            Some(known) => Ok(fits(&known)),
            None => Err(Problem::new(
                ProblemCode::NotConfigured,
                "the issuer of tokens can not be reached; try again later",
            )
            .retry_after(FETCH_INTERVAL)),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys at hand, unless nobody has confirmed them for too long.
    fn trusted(&self) -> Option<Known> {
        self.known().filter(|known| self.is_younger(known, TRUSTED_FOR))
    }

    fn is_younger(&self, known: &Known, age: Duration) -> bool {
        matches!(self.source, Source::Given) || known.since.elapsed() < age
    }

    /// Has the keys fetched in a task of its own, unless somebody does that or has done so a moment ago.
    fn fetch_behind(self: &Arc<Self>) {
        let Ok(tried_at) = self.fetching.try_lock() else { return };
        if tried_at.is_none_or(|at| at.elapsed() >= FETCH_INTERVAL) {
            let this = Arc::clone(self);
            tokio::spawn(async move { drop(this.fetch().await) });
        }
    }

    /// Fetches the keys, unless that was tried a moment ago; whoever waited for it takes what came of it.
    async fn fetch(&self) -> Option<Known> {
        let asked_at = Instant::now();
        let mut tried_at = self.fetching.lock().await;
        if tried_at.is_some_and(|at| at > asked_at || at.elapsed() < FETCH_INTERVAL) {
            return self.trusted();
        }
        *tried_at = Some(Instant::now());
        let fetched = self.fetch_now().await;
        self.is_silent.store(fetched.is_err(), Ordering::Relaxed);
        match fetched {
            Ok(keys) => {
                let known = Known { keys, since: Instant::now() };
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
                Some(known)
            }
            Err(why) => {
                tracing::warn!(why, "the keys of the issuer could not be fetched");
                None
            }
        }
    }

    async fn fetch_now(&self) -> Result<Arc<[Jwk]>, String> {
        match &self.source {
            Source::Given => Err("they were given".to_owned()),
            Source::At(client, url) => read(&get(client, url.clone()).await?),
            Source::Discovered(client, url) => {
                let told = get(client, url.clone()).await?;
                let told: Discovery = serde_json::from_slice(&told).map_err(|error| error.to_string())?;
                let url = address(&told.jwks_uri).map_err(|error| error.to_string())?;
                read(&get(client, url).await?)
            }
        }
    }
}

/// What an issuer says of itself, as far as it matters here.
#[derive(Deserialize)]
struct Discovery {
    jwks_uri: String,
}

fn client() -> Result<Client, TokenError> {
    // Somebody else in the process may have chosen before, and that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().timeout(FETCH_TIMEOUT).redirect(redirect::Policy::none()).build();
    client.map_err(|error| TokenError::Keys { why: error.to_string() })
}

/// An address that keys may come from: what comes without TLS may be anybody's, unless it is of this machine.
fn address(text: &str) -> Result<Url, TokenError> {
    let wrong = |why: &str| TokenError::Keys { why: format!("`{text}` {why}") };
    let url: Url = text.parse().map_err(|_| wrong("is no address"))?;
    let is_local = url.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host));
    if url.scheme() == "https" || (url.scheme() == "http" && is_local) {
        Ok(url)
    } else {
        Err(wrong("is not reached by https"))
    }
}

async fn get(client: &Client, url: Url) -> Result<Vec<u8>, String> {
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut body = answer.map_err(|error| error.to_string())?.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        bytes.extend_from_slice(&part.map_err(|error| error.to_string())?);
        if bytes.len() > ANSWER_LEN_BYTES_MAX {
            return Err(format!("the answer is longer than {ANSWER_LEN_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

fn read(text: &[u8]) -> Result<Arc<[Jwk]>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| format!("they are no JSON Web Key Set: {error}"))?;
    Ok(set.keys.into())
}

/// The keys for signatures by an algorithm, and of that id if there is one.
fn fitting(keys: &[Jwk], id: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
    let fits = |key: &&Jwk| {
        let common = &key.common;
        common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
            && common.key_algorithm.is_none_or(|of| of == algorithm.into())
            && id.is_none_or(|id| common.key_id.as_deref() == Some(id))
    };
    let decoding = keys.iter().filter(fits).filter_map(|key| DecodingKey::from_jwk(key).ok());
    decoding.filter(|key| key.family().algorithms().contains(&algorithm)).take(KEYS_TRIED_MAX).collect()
}
