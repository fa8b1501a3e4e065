//! Callers with an API key.
//!
//! A key that was asked for is kept at hand as long as the store's revision of access stays what it was: what this process
//! changes holds at once, what another one changes within 100 ms. When a key was last used is noted in bulk, to the minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::request::Parts;
use stepcell_engine::{Freshness, WorkflowEngine};
use stepcell_model::access::{ApiKey, ApiKeyId, KeyPrefix, KeyState, KeyText};
use stepcell_model::time::Timestamp;
use stepcell_store::StoreError;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Caller, Guard};
use crate::problem::{Problem, ProblemCode};

/// How many keys are kept at hand. Protects memory.
const KEYS_LEN_MAX: usize = 10_000;

/// How many keys are looked for at once. Protects the store's readers from whoever guesses.
const LOOKUPS_MAX: usize = 2;

/// How often uses are noted.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// What every API key begins with; other credentials are for other guards.
const BRAND: &str = "sck_";

/// Knows callers by their API key, as `Authorization: Bearer sck_…`.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use stepcell_server::{ApiOptions, Guards, KeyGuard};
///
/// fn options(engine: &stepcell_engine::WorkflowEngine) -> ApiOptions {
///     let guards = Guards::none().with(Arc::new(KeyGuard::new(engine.clone())));
///     ApiOptions { guards, ..ApiOptions::default() }
/// }
/// ```
pub struct KeyGuard {
    engine: WorkflowEngine,
    state: Mutex<State>,
    lookups: Semaphore,
}

#[derive(Default)]
struct State {
    revision: u64,
    /// How often this process had changed access when the revision was asked for, and since when that is known.
    seen_changes: u64,
    freshness: Freshness,
    known: HashMap<KeyPrefix, Arc<ApiKey>>,
    uses: HashMap<ApiKeyId, Timestamp>,
    noted_at: Option<Instant>,
}

impl KeyGuard {
    /// Knows the keys that an engine keeps.
    #[must_use]
    pub fn new(engine: WorkflowEngine) -> Self {
        Self { engine, state: Mutex::default(), lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// Forgets the keys at hand if any changed.
    async fn refresh(&self) -> Result<(), StoreError> {
        let changes = self.engine.access_changes();
        {
            let mut state = self.state();
            if state.seen_changes == changes && state.freshness.is_known() {
                return Ok(());
            }
        }
        let freshness = Freshness::of(Instant::now());
        let revision = self.engine.store().access_revision().await?;
        let mut state = self.state();
        if revision > state.revision {
            state.known.clear();
            state.revision = revision;
        }
        (state.seen_changes, state.freshness) = (changes, freshness);
        Ok(())
    }

    async fn find(&self, prefix: KeyPrefix) -> Result<Option<Arc<ApiKey>>, StoreError> {
        self.refresh().await?;
        if let Some(known) = self.state().known.get(&prefix) {
            return Ok(Some(Arc::clone(known)));
        }
        let _turn = self.lookups.acquire().await.map_err(|_| StoreError::Closed)?;
        let revision = self.state().revision;
        let Some(key) = self.engine.store().find_key(prefix).await? else { return Ok(None) };
        let key = Arc::new(key);
        let mut state = self.state();
        // What changed since it was read is not kept.
        if state.revision == revision {
            if state.known.len() >= KEYS_LEN_MAX {
                state.known.clear();
            }
            state.known.insert(prefix, Arc::clone(&key));
        }
        Ok(Some(key))
    }

    /// Notes that a key was used, and hands on what was noted once a minute.
    fn note_use(&self, id: ApiKeyId, now: Timestamp) {
        let uses: Vec<_> = {
            let mut state = self.state();
            state.uses.insert(id, now);
            if state.noted_at.is_some_and(|at| at.elapsed() < NOTE_INTERVAL) && state.uses.len() < KEYS_LEN_MAX {
                return;
            }
            state.noted_at = Some(Instant::now());
            state.uses.drain().collect()
        };
        let store = Arc::clone(self.engine.store());
        tokio::spawn(async move {
            if let Err(error) = store.note_key_uses(&uses).await {
                tracing::warn!(%error, "when keys were last used could not be noted");
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Guard for KeyGuard {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Caller>, Problem> {
        let Some(text) = bearer(head)?.filter(|text| text.starts_with(BRAND)) else { return Ok(None) };
        let text: KeyText = text.parse().map_err(|_| refused())?;
        let key = self.find(text.prefix()).await?.ok_or_else(refused)?;
        let now = self.engine.now();
        if text.hash() != key.hash {
            return Err(refused());
        }
        if key.state(now) != KeyState::Active {
            tracing::info!(key = %key.id, state = ?key.state(now), "a key that lets nobody in any more was used");
            return Err(refused());
        }
        self.note_use(key.id, now);
        Ok(Some(Caller {
            user: key.user.clone(),
            groups: key.groups.clone(),
            tenant: key.tenant.clone(),
            scopes: key.scopes,
            key: Some(key.id.to_string()),
        }))
    }
}

/// One text for all that can be wrong with a key: whoever guesses learns nothing.
fn refused() -> Problem {
    let detail = "the API key does not hold: it is not known, or it is revoked or expired; have a new one made";
    Problem::new(ProblemCode::KeyRefused, detail)
}

/// What stands after `Bearer` in the one `Authorization` of a request.
pub(super) fn bearer(head: &Parts) -> Result<Option<&str>, Problem> {
    let mut all = head.headers.get_all(AUTHORIZATION).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Problem::new(ProblemCode::Unauthenticated, "there is more than one `Authorization`; send one"));
    }
    let Some((scheme, text)) = first.to_str().ok().and_then(|text| text.split_once(' ')) else { return Ok(None) };
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| text.trim()))
}
