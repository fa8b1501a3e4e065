//! What one tenant has, as this process knows it.
//!
//! A count of the store is taken over only if nothing moved meanwhile: otherwise nobody could say whether a start that was
//! just committed is in it. Under constant load that may never be; then, after a while, what is under way is counted twice
//! rather than not at all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepcell_model::access::{Quota, Quotas, TenantRecord, TenantUse};
use stepcell_model::name::TenantId;
use stepcell_model::time::Timestamp;
use stepcell_store::{StoreError, WorkflowStore};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::{RETRY_LATER, day_of, exceeded};
use crate::error::EngineError;

/// How long a day is, in milliseconds.
pub(super) const DAY_MS: i64 = 86_400_000;

/// How often the store counts, at most.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// How many times as long as a count took the next one waits. Protects the readers from tenants with much to count.
const COUNT_PAUSE_FACTOR: u32 = 20;

/// After how long a count is taken over although something moved meanwhile.
const COUNT_OVERDUE: Duration = Duration::from_secs(10);

/// When to come back where something has to finish first.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// What is known of a tenant.
#[derive(Debug, Default)]
pub(super) struct Account {
    state: Mutex<State>,
    /// Held by whoever asks the store, so that nobody asks it twice at once.
    asking: tokio::sync::Mutex<()>,
    /// Held by whoever registers a component or a definition of the tenant.
    pub(super) registering: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    record: Record,
    /// How often the record was forgotten.
    forgotten: u64,
    /// Instances that were not finished at the last count, and what came and went since.
    open: u64,
    /// Starts that were let in and are not committed yet.
    reserved: u64,
    /// How often anything of the above changed.
    moves: u64,
    counted: Option<Counted>,
    bucket: Bucket,
}

/// What is known of the tenant's record.
#[derive(Clone, Debug, Default)]
enum Record {
    #[default]
    Unknown,
    None,
    Is(Arc<TenantRecord>),
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Timestamp,
    /// When the number of open instances was last taken over.
    exact_at: Timestamp,
    /// When the next one may be.
    next_at: Timestamp,
    used: TenantUse,
}

/// A start that was let in. Dropped without being settled, it was none.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ticket {
    account: Option<Arc<Account>>,
    data_bytes: u64,
}

impl Ticket {
    /// Notes that the instance is there.
    pub(crate) fn settle(mut self) {
        if let Some(account) = self.account.take() {
            account.started(self.data_bytes);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            account.moves(|state| state.reserved = state.reserved.saturating_sub(1));
        }
    }
}

impl Account {
    /// The tenant's record, read where it is not known.
    pub(super) async fn record(
        &self,
        store: &dyn WorkflowStore,
        tenant: &TenantId,
    ) -> Result<Option<Arc<TenantRecord>>, StoreError> {
        if let Some(known) = self.state().record.known() {
            return Ok(known.cloned());
        }
        let _turn = self.asking.lock().await;
        let forgotten = {
            let state = self.state();
            if let Some(known) = state.record.known() {
                return Ok(known.cloned());
            }
            state.forgotten
        };
        let found = store.find_tenant(tenant).await?.map(Arc::new);
        let mut state = self.state();
        // What was forgotten meanwhile may have changed since it was read.
        if state.forgotten == forgotten {
            state.record = found.clone().map_or(Record::None, Record::Is);
        }
        Ok(found)
    }

    /// Has the record read anew.
    pub(super) fn forget_record(&self) {
        let mut state = self.state();
        state.record = Record::Unknown;
        state.forgotten += 1;
    }

    /// Has the store count, if the last count is old. The first one is waited for, and later ones by one caller each.
    pub(super) async fn count_if_old(
        &self,
        store: &dyn WorkflowStore,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let needs = self.state().needs_count(now);
        let _turn = match needs {
            Needs::Nothing => return Ok(()),
            Needs::First => self.asking.lock().await,
            Needs::Another => match self.asking.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(()),
            },
        };
        let still = {
            let state = self.state();
            if matches!(state.needs_count(now), Needs::Nothing) {
                return Ok(());
            }
            Some(state.moves).filter(|_| state.reserved == 0)
        };
        let began_at = Instant::now();
        let used = store.load_tenant_use(tenant, day_of(now)).await?;
        let pause = COUNT_INTERVAL.max(began_at.elapsed() * COUNT_PAUSE_FACTOR);
        self.state().take_count(used, now, pause, still);
        Ok(())
    }

    /// Lets one start in, if it fits.
    pub(super) fn take(
        self: &Arc<Self>,
        tenant: &TenantId,
        quotas: &Quotas,
        data_bytes: u64,
        now: Timestamp,
    ) -> Result<Ticket, EngineError> {
        let mut state = self.state();
        let used = state.counted.map(|counted| counted.used).unwrap_or_default();
        let told = |quota, limit, retry_after| Err(exceeded(tenant, quota, limit, retry_after));
        if let Some(limit) = quotas.open_instances.filter(|limit| state.open + state.reserved >= *limit) {
            return told(Quota::OpenInstances, limit, RETRY_SOON);
        }
        if let Some(limit) = quotas.stored_bytes.filter(|limit| used.stored_bytes.saturating_add(data_bytes) > *limit) {
            return told(Quota::StoredBytes, limit, RETRY_LATER);
        }
        if let Some(limit) = quotas.cpu_ms_per_day.filter(|limit| used.cpu_us_of_day / 1_000 >= *limit) {
            let left_ms = DAY_MS - now.unix_ms().rem_euclid(DAY_MS);
            return told(Quota::CpuMsPerDay, limit, Duration::from_millis(left_ms.unsigned_abs()));
        }
        if let Some(limit) = quotas.starts_per_second
            && let Err(retry_after) = state.bucket.take(limit, now)
        {
            return told(Quota::StartsPerSecond, limit, retry_after);
        }
        state.reserved += 1;
        state.moves += 1;
        Ok(Ticket { account: Some(Arc::clone(self)), data_bytes })
    }

    /// Notes that an instance has finished.
    pub(super) fn ended(&self) {
        self.moves(|state| state.open = state.open.saturating_sub(1));
    }

    fn started(&self, data_bytes: u64) {
        self.moves(|state| {
            state.reserved = state.reserved.saturating_sub(1);
            state.open += 1;
            if let Some(counted) = &mut state.counted {
                counted.used.stored_bytes = counted.used.stored_bytes.saturating_add(data_bytes);
            }
        });
    }

    fn moves(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.moves += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    const fn known(&self) -> Option<Option<&Arc<TenantRecord>>> {
        match self {
            Self::Unknown => None,
            Self::None => Some(None),
            Self::Is(record) => Some(Some(record)),
        }
    }
}

/// Whether the store is to count.
enum Needs {
    Nothing,
    /// It never has, or not on this day.
    First,
    /// It has, a while ago.
    Another,
}

impl State {
    fn needs_count(&self, now: Timestamp) -> Needs {
        match &self.counted {
            None => Needs::First,
            // A clock that was set back tells nothing of how old a count is.
            Some(counted) if now < counted.at || day_of(now) != day_of(counted.at) => Needs::First,
            Some(counted) if now < counted.next_at => Needs::Nothing,
            Some(_) => Needs::Another,
        }
    }

    /// Takes a count over. It is exact if nothing was under way when it began, `still` moves ago, and nothing moved since.
    fn take_count(&mut self, used: TenantUse, now: Timestamp, pause: Duration, still: Option<u64>) {
        let is_exact = still == Some(self.moves);
        let exact_at = self.counted.map(|counted| counted.exact_at);
        let is_overdue = exact_at.is_none_or(|at| now < at || now.since(at) >= COUNT_OVERDUE);
        let is_taken = is_exact || is_overdue;
        if is_taken {
            self.open = used.open_instances;
        }
        let exact_at = exact_at.filter(|_| !is_taken).unwrap_or(now);
        self.counted = Some(Counted { at: now, exact_at, next_at: now.after(pause), used });
    }
}
