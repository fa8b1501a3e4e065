//! How much of the host tenants may have: asked wherever an instance starts, and a component or a definition is registered.
//!
//! What a tenant may have comes from its record, which is kept at hand as long as the store's revision of access stays what
//! it was. What it has is counted by the store, at most once a second, and kept up in memory in between: starts and ends
//! of this process are counted as they happen, so that within one process no limit of open instances is passed however
//! many starts race. What other processes start shows with the next count.
//!
//! A tenant without a record, or without quotas, costs a look into a map.

mod account;
mod bucket;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stepcell_model::access::{Quota, Quotas, TenantRecord};
use stepcell_model::name::TenantId;
use stepcell_model::time::Timestamp;
use stepcell_store::{StoreError, WorkflowStore};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

pub(crate) use self::account::Ticket;
use self::account::{Account, DAY_MS};
use crate::clock::Clock;
use crate::error::EngineError;
use crate::fresh::Freshness;

/// Of how many tenants accounts are kept at hand. Protects memory: whoever starts may name any tenant.
const ACCOUNTS_LEN_MAX: usize = 10_000;

/// When to come back where only deleting, pruning or an operator helps.
const RETRY_LATER: Duration = Duration::from_secs(60);

/// Counts what tenants have and holds it against what they may have.
pub(crate) struct QuotaKeeper {
    store: Arc<dyn WorkflowStore>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changes: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The revision of access that the accounts are of, and since when that is known.
    revision: u64,
    freshness: Freshness,
    accounts: HashMap<TenantId, Arc<Account>>,
}

/// Lets one registration in, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    _turn: Option<OwnedMutexGuard<()>>,
}

impl QuotaKeeper {
    pub(crate) fn new(store: Arc<dyn WorkflowStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, state: Mutex::default(), changes: AtomicU64::new(0) }
    }

    /// Lets one instance of a tenant start, with so many bytes of data. Whoever starts it settles the ticket.
    ///
    /// # Errors
    /// [`EngineError::TenantSuspended`], [`EngineError::QuotaExceeded`].
    pub(crate) async fn admit_start(
        &self,
        tenant: Option<&TenantId>,
        data_bytes: u64,
    ) -> Result<Option<Ticket>, EngineError> {
        let Some(tenant) = tenant else { return Ok(None) };
        let (account, Some(record)) = self.account(tenant).await? else { return Ok(None) };
        refuse_suspended(&record)?;
        if record.quotas.is_unlimited() {
            return Ok(None);
        }
        let now = self.clock.now();
        account.count_if_old(&*self.store, tenant, now).await?;
        account.take(tenant, &record.quotas, data_bytes, now).map(Some)
    }

    /// Lets one definition of a tenant be registered. Others of the tenant wait until the answer is dropped.
    ///
    /// # Errors
    /// [`EngineError::TenantSuspended`], [`EngineError::QuotaExceeded`].
    pub(crate) async fn admit_definition(
        &self,
        tenant: Option<&TenantId>,
        bytes: u64,
    ) -> Result<Admission, EngineError> {
        self.admit(tenant, bytes, |_| None).await
    }

    /// Lets one component of a tenant be registered. Others of the tenant wait until the answer is dropped.
    ///
    /// # Errors
    /// [`EngineError::TenantSuspended`], [`EngineError::QuotaExceeded`].
    pub(crate) async fn admit_component(
        &self,
        tenant: Option<&TenantId>,
        bytes: u64,
    ) -> Result<Admission, EngineError> {
        self.admit(tenant, bytes, |quotas| quotas.components).await
    }

    /// Lets something be registered of which there may be so many bytes, and so many components.
    async fn admit(
        &self,
        tenant: Option<&TenantId>,
        bytes: u64,
        components_max: impl FnOnce(&Quotas) -> Option<u64>,
    ) -> Result<Admission, EngineError> {
        let Some(tenant) = tenant else { return Ok(Admission::default()) };
        let (account, Some(record)) = self.account(tenant).await? else { return Ok(Admission::default()) };
        refuse_suspended(&record)?;
        let (components, stored_bytes) = (components_max(&record.quotas), record.quotas.stored_bytes);
        if components.is_none() && stored_bytes.is_none() {
            return Ok(Admission::default());
        }
        let turn = Arc::clone(&account.registering).lock_owned().await;
        let used = self.store.load_tenant_use(tenant, day_of(self.clock.now())).await?;
        let exceeded = |quota, limit| Err(exceeded(tenant, quota, limit, RETRY_LATER));
        match (components, stored_bytes) {
            (Some(limit), _) if used.components >= limit => exceeded(Quota::Components, limit),
            (_, Some(limit)) if used.stored_bytes.saturating_add(bytes) > limit => exceeded(Quota::StoredBytes, limit),
            _ => Ok(Admission { _turn: Some(turn) }),
        }
    }

    /// Refuses a tenant that is suspended, or without a record.
    ///
    /// # Errors
    /// [`EngineError::TenantSuspended`], [`EngineError::TenantNotFound`].
    pub(crate) async fn check_known_tenant(&self, tenant: &TenantId) -> Result<(), EngineError> {
        match self.account(tenant).await? {
            (_, Some(record)) => refuse_suspended(&record),
            (_, None) => Err(EngineError::TenantNotFound { tenant: tenant.clone() }),
        }
    }

    /// How often this process changed tenants or keys.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Has the store asked again, because this process has changed something.
    pub(crate) fn look_again(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.state().freshness = Freshness::default();
    }

    /// Notes that an instance of a tenant has finished.
    pub(crate) fn ended(&self, tenant: &TenantId) {
        let account = self.state().accounts.get(tenant).cloned();
        if let Some(account) = account {
            account.ended();
        }
    }

    /// What is known of a tenant. What another process decides holds within 100 ms.
    async fn account(&self, tenant: &TenantId) -> Result<(Arc<Account>, Option<Arc<TenantRecord>>), StoreError> {
        let is_known = self.state().freshness.is_known();
        if !is_known {
            let freshness = Freshness::of(Instant::now());
            let revision = self.store.access_revision().await?;
            let mut state = self.state();
            if revision > state.revision {
                // Their counts stay: only what they may have is read anew.
                state.accounts.values().for_each(|account| account.forget_record());
                state.revision = revision;
            }
            state.freshness = freshness;
        }
        let account = self.kept(tenant);
        let record = account.record(&*self.store, tenant).await?;
        Ok((account, record))
    }

    fn kept(&self, tenant: &TenantId) -> Arc<Account> {
        let mut state = self.state();
        if let Some(account) = state.accounts.get(tenant) {
            return Arc::clone(account);
        }
        if state.accounts.len() >= ACCOUNTS_LEN_MAX {
            // Those that somebody counts on stay.
            state.accounts.retain(|_, account| Arc::strong_count(account) > 1);
        }
        let account = Arc::new(Account::default());
        state.accounts.insert(tenant.clone(), Arc::clone(&account));
        account
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_suspended(record: &TenantRecord) -> Result<(), EngineError> {
    if record.is_suspended() { Err(EngineError::TenantSuspended { tenant: record.id.clone() }) } else { Ok(()) }
}

fn exceeded(tenant: &TenantId, quota: Quota, limit: u64, retry_after: Duration) -> EngineError {
    EngineError::QuotaExceeded { tenant: tenant.clone(), quota, limit, retry_after }
}

/// The day in UTC, counted from 1970-01-01.
const fn day_of(now: Timestamp) -> i64 {
    now.unix_ms().div_euclid(DAY_MS)
}
