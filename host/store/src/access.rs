//! The part of a store that says who may come in, keeps who did what, and counts what tenants have.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stepcell_model::access::{
    ApiKey, ApiKeyId, AuditEntry, AuditRecord, IdempotencyClaim, IdempotencyRoom, KeptAnswer, KeyPrefix, Reservation,
    TenantRecord, TenantStatus, TenantUse,
};
use stepcell_model::id::InstanceId;
use stepcell_model::name::{ActionName, TenantId, UserId};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;

use crate::error::StoreError;
use crate::query::{Admitted, Inserted, Page, PageLimit};

/// Whose things are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    #[default]
    Anybody,
    /// Those of the platform, which belong to no tenant.
    Platform,
    /// Those of one tenant.
    Of(TenantId),
}

impl Whose {
    /// Whether a thing of `tenant` is meant.
    #[must_use]
    pub fn matches(&self, tenant: Option<&TenantId>) -> bool {
        match self {
            Self::Anybody => true,
            Self::Platform => tenant.is_none(),
            Self::Of(wanted) => tenant == Some(wanted),
        }
    }
}

impl From<Option<TenantId>> for Whose {
    fn from(tenant: Option<TenantId>) -> Self {
        tenant.map_or(Self::Platform, Self::Of)
    }
}

/// Which tenants to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct TenantFilter {
    /// Only those with this status.
    pub status: Option<TenantStatus>,
    /// Only those whose id comes after this one.
    pub after: Option<TenantId>,
    /// The length of the page.
    pub limit: PageLimit,
}

/// Which API keys to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Only those of these.
    pub whose: Whose,
    /// Only those whose id comes before this one: they are older.
    pub after: Option<ApiKeyId>,
    /// The length of the page.
    pub limit: PageLimit,
}

/// Which records of the audit log to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only those of these.
    pub whose: Whose,
    /// Only this action.
    pub action: Option<ActionName>,
    /// Only what this user did.
    pub user: Option<UserId>,
    /// Only what happened at this time or later.
    pub since: Option<Timestamp>,
    /// Only what happened before this time.
    pub until: Option<Timestamp>,
    /// Only records with a number below this one: they are older.
    pub after: Option<u64>,
    /// The length of the page.
    pub limit: PageLimit,
}

/// How many keys one tenant, or the platform, may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRoom {
    /// How many that let somebody in. One more is refused.
    pub live_max: u64,
    /// How many records in all. The oldest of keys that let nobody in any more make room.
    pub kept_max: u64,
}

/// What becomes of a tenant's record. It may be asked more than once, and then gives the same.
pub type TenantChange = Box<dyn Fn(&mut TenantRecord) + Send + Sync>;

/// How much there is of what, of one tenant or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Instances by status; a status that none has is not there.
    pub instances: BTreeMap<WorkflowStatus, u64>,
    /// Tasks that wait for somebody.
    pub tasks_pending: u64,
    /// Of those, the ones that should have been completed by now.
    pub tasks_overdue: u64,
    /// Versions of definitions.
    pub definitions: u64,
    /// Versions of components.
    pub components: u64,
    /// Bytes that instances, components and definitions keep.
    pub stored_bytes: u64,
    /// Letters between instances that were not handed over yet. They are nobody's: none where one tenant was asked for.
    pub letters: Option<u64>,
}

/// Keeps tenants, API keys, the audit log, and what was answered to requests that may be repeated.
///
/// # Errors
/// As those of [`WorkflowStore`](crate::WorkflowStore).
#[async_trait]
pub trait AccessStore: Send + Sync + 'static {
    /// The number that grows with every change of tenants and keys, but for their last use. Cheap to ask.
    async fn access_revision(&self) -> Result<u64, StoreError>;

    /// Keeps a tenant. One that is there already stays as it is.
    async fn insert_tenant(&self, tenant: TenantRecord) -> Result<Inserted, StoreError>;

    /// The tenant of that id.
    async fn find_tenant(&self, id: &TenantId) -> Result<Option<TenantRecord>, StoreError>;

    /// The tenants that match, by id. The total counts those before the page, too.
    async fn list_tenants(&self, filter: &TenantFilter) -> Result<Page<TenantRecord>, StoreError>;

    /// Changes the record of a tenant, but for its id and when it was made, and returns what it is then; none if there is no
    /// such tenant. No other change comes between what `change` is shown and what is kept.
    async fn change_tenant(&self, id: &TenantId, change: TenantChange) -> Result<Option<TenantRecord>, StoreError>;

    /// Keeps a key, where there is room as of the time when it is made. Where its id or its prefix is taken, nothing changes.
    async fn insert_key(&self, key: ApiKey, room: KeyRoom) -> Result<Admitted, StoreError>;

    /// The key with that prefix, whatever became of it.
    async fn find_key(&self, prefix: KeyPrefix) -> Result<Option<ApiKey>, StoreError>;

    /// The key of that id, whatever became of it.
    async fn find_key_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// The keys that match, newest first. The total counts those before the page, too.
    async fn list_keys(&self, filter: &KeyFilter) -> Result<Page<ApiKey>, StoreError>;

    /// Revokes a key; one that was revoked before stays so since then. Returns whether there is such a key.
    async fn revoke_key(&self, id: ApiKeyId, at: Timestamp) -> Result<bool, StoreError>;

    /// Notes when keys were last used, where that is later than what is known.
    async fn note_key_uses(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError>;

    /// Appends to the audit log, in that order.
    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<(), StoreError>;

    /// The records of the audit log that match, newest first. The total counts those before the page, too.
    async fn list_audit(&self, filter: &AuditFilter) -> Result<Page<AuditEntry>, StoreError>;

    /// Forgets records from before that time, the oldest first, at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX). Returns how
    /// many.
    async fn forget_audit(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Takes the key of a request that is to be answered once, if the claim comes to
    /// [`Reservation::New`]; the model decides to what it comes, given what is kept of the tenant.
    async fn claim_idempotency(
        &self,
        claim: IdempotencyClaim,
        room: IdempotencyRoom,
    ) -> Result<Reservation, StoreError>;

    /// Keeps what was answered to a claim that was new. Returns whether the key was still its.
    async fn answer_idempotency(&self, claim: &IdempotencyClaim, answer: KeptAnswer) -> Result<bool, StoreError>;

    /// Lets go of a claim that was new and came to nothing: whoever asks again is the first.
    async fn release_idempotency(&self, claim: &IdempotencyClaim) -> Result<(), StoreError>;

    /// Forgets claims that came before that time, at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX). Returns how many.
    async fn forget_idempotency(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// What a tenant has at this moment, and what it used on a day of UTC, counted from 1970-01-01.
    async fn load_tenant_use(&self, tenant: &TenantId, day: i64) -> Result<TenantUse, StoreError>;

    /// The instance that was started with an idempotency key.
    async fn find_started(&self, tenant: Option<&TenantId>, key: &str) -> Result<Option<InstanceId>, StoreError>;

    /// How much there is of what, of one tenant or of all.
    async fn load_stats(&self, tenant: Option<&TenantId>, now: Timestamp) -> Result<StoreStats, StoreError>;
}
