//! The part of a store that safety rests on.

use async_trait::async_trait;
use stepcell_model::guard::{ComponentBlock, SealedSecret, SecretRecord, TenantUsage};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{SecretName, TenantId};
use stepcell_model::signature::ComponentSignature;

use crate::access::Whose;
use crate::error::StoreError;
use crate::query::{Admitted, Inserted, Page, PageLimit};

/// What the engine keeps at hand to decide what may run and what it may reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardState {
    /// Grows with every change of what is below, and of any secret.
    pub revision: u64,
    /// The operator's policy in the published format, if there is one.
    pub policy: Option<Json>,
    /// The components that may not run, by digest.
    pub blocks: Vec<ComponentBlock>,
    /// Who signed what, by digest and key.
    pub signatures: Vec<ComponentSignature>,
}

/// Which secrets to list; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct SecretFilter {
    /// Only those of these.
    pub whose: Whose,
    /// Only those that come after this one.
    pub after: Option<(Option<TenantId>, SecretName)>,
    /// The length of the page.
    pub limit: PageLimit,
}

/// Of whom and since when to tell what was used; every part that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Only of these.
    pub whose: Whose,
    /// Only on this day of UTC and later, counted from 1970-01-01.
    pub since_day: i64,
    /// Only of tenants that come after this one; instances without one come first.
    pub after: Option<Option<TenantId>>,
    /// Of how many tenants at most.
    pub limit: PageLimit,
}

/// Keeps what the operator decided about safety, secrets, and what tenants used.
///
/// # Errors
/// As those of [`WorkflowStore`](crate::WorkflowStore).
#[async_trait]
pub trait GuardStore: Send + Sync + 'static {
    /// The number that grows with every change that [`Self::load_guard`] or a secret shows. Cheap to ask.
    async fn guard_revision(&self) -> Result<u64, StoreError>;

    /// Everything but the secrets.
    async fn load_guard(&self) -> Result<GuardState, StoreError>;

    /// Puts a policy in place of the one there is.
    async fn put_policy(&self, policy: Json) -> Result<(), StoreError>;

    /// Says that a component may not run. One that is blocked already stays so, with its first reason.
    async fn insert_block(&self, block: ComponentBlock) -> Result<Inserted, StoreError>;

    /// Why a component may not run; none if it may.
    async fn find_block(&self, digest: &ComponentDigest) -> Result<Option<ComponentBlock>, StoreError>;

    /// Lets a component run again, and forgets its faults. Returns whether it was blocked.
    async fn remove_block(&self, digest: &ComponentDigest) -> Result<bool, StoreError>;

    /// Counts that a component broke the host's side, and says how often it has.
    async fn count_host_fault(&self, digest: &ComponentDigest) -> Result<u32, StoreError>;

    /// Keeps a signature of a component that fewer than `max` keys have signed. Of one key for one component the first stays.
    async fn insert_signature(&self, signature: ComponentSignature, max: u64) -> Result<Admitted, StoreError>;

    /// Keeps a secret in place of the one there is. One more of a tenant that has `max` of other names is not kept; returns
    /// whether it is.
    async fn put_secret(&self, secret: SealedSecret, max: u64) -> Result<bool, StoreError>;

    /// Deletes a secret. Returns whether there was one.
    async fn delete_secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Result<bool, StoreError>;

    /// A secret as it is kept.
    async fn find_secret(
        &self,
        tenant: Option<&TenantId>,
        name: &SecretName,
    ) -> Result<Option<SealedSecret>, StoreError>;

    /// The secrets that match without their values, by tenant and name. The total counts those before the page, too.
    async fn list_secrets(&self, filter: &SecretFilter) -> Result<Page<SecretRecord>, StoreError>;

    /// What tenants used, by tenant and day: all days of each tenant of the page. The total is that of tenants, and counts
    /// those before the page, too.
    async fn list_usage(&self, filter: &UsageFilter) -> Result<Page<TenantUsage>, StoreError>;
}
