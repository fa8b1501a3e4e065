//! A store with something between it and the engine: a way that may be slow, fail, or end.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part of the kit")]

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::access::{
    ApiKey, ApiKeyId, AuditEntry, AuditRecord, IdempotencyClaim, IdempotencyRoom, KeptAnswer, KeyPrefix, Reservation,
    TenantRecord, TenantUse,
};
use stepcell_model::attempt::ContextData;
use stepcell_model::guard::{ComponentBlock, SealedSecret, SecretRecord, TenantUsage};
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ComponentDigest, DefinitionId, DeliveryId, InstanceId, TaskId, WebhookId};
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::json::Json;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ComponentName, SecretName, TenantId, WorkflowName};
use stepcell_model::record::{
    ComponentRecord, DefinitionRecord, DefinitionSummary, DefinitionVersion, ExecutionRecord, InstanceSummary,
    TaskRecord,
};
use stepcell_model::signature::ComponentSignature;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;
use stepcell_model::webhook::{WebhookDelivery, WebhookSubscription};
use stepcell_store::{
    AccessStore, Activity, Admitted, AuditFilter, Committed, ComponentFilter, DefinitionFilter, Deletion,
    DeliveryFilter, FeedStore, GuardState, GuardStore, HistoryFilter, HistoryWindow, Inserted, InstanceFilter,
    KeptLink, KeyFilter, KeyRoom, LetterKey, MadeDeliveries, Owners, Page, Prunable, PruneFilter, Pruned, Redelivered,
    SecretFilter, StoreError, StoreStats, SubscriptionChange, TaskFilter, TenantChange, TenantFilter, UpkeepStore,
    UsageFilter, WebhookFilter, WebhookHead, WebhookStore, WorkflowStore,
};

/// What a call meets on its way to the store and back.
#[async_trait]
pub trait Way: Send + Sync + 'static {
    /// What a call meets before the store does what it says; an error is its answer, and nothing is done.
    async fn there(&self, call: &'static str) -> Result<(), StoreError>;

    /// What a call meets once it is done; an error is its answer all the same.
    async fn back(&self, call: &'static str) -> Result<(), StoreError>;

    /// What a commit meets; it commits if it comes to the store.
    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError>;

    /// The instances that somebody changed who does not drive the store, beside those that the store knows of.
    fn nudges(&self) -> Vec<InstanceId>;
}

/// A store behind a way.
pub struct Between<W> {
    pub store: Arc<dyn WorkflowStore>,
    pub way: Arc<W>,
}

macro_rules! passes_on {
    ($trait:ident { $(fn $name:ident($($given:ident: $type:ty),*) -> $told:ty;)+ } $($more:item)*) => {
        #[async_trait]
        impl<W: Way> $trait for Between<W> {
            $(async fn $name(&self, $($given: $type),*) -> Result<$told, StoreError> {
                self.way.there(stringify!($name)).await?;
                let told = self.store.$name($($given),*).await?;
                self.way.back(stringify!($name)).await?;
                Ok(told)
            })+
            $($more)*
        }
    };
}

passes_on! { WorkflowStore {
    fn insert_component(record: ComponentRecord, bytes: Arc<[u8]>) -> Inserted;
    fn find_component(tenant: Option<&TenantId>, name: &ComponentName, version: &semver::Version) -> Option<ComponentRecord>;
    fn find_component_by_digest(digest: &ComponentDigest, owners: &Owners) -> Option<ComponentRecord>;
    fn list_components(filter: &ComponentFilter) -> Page<ComponentRecord>;
    fn load_component_bytes(digest: &ComponentDigest) -> Option<Arc<[u8]>>;
    fn insert_definition(record: DefinitionRecord) -> Inserted;
    fn find_definition(tenant: Option<&TenantId>, name: &WorkflowName, version: &semver::Version) -> Option<DefinitionRecord>;
    fn find_definition_by_id(id: DefinitionId) -> Option<DefinitionRecord>;
    fn list_definitions(filter: &DefinitionFilter) -> Page<DefinitionRecord>;
    fn list_definition_summaries(filter: &DefinitionFilter) -> Page<DefinitionSummary>;
    fn list_versions(owners: &Owners, name: Option<&WorkflowName>) -> Vec<DefinitionVersion>;
    fn set_definition_active(tenant: Option<&TenantId>, name: &WorkflowName, version: &semver::Version, activity: Activity) -> bool;
    fn delete_definition(tenant: Option<&TenantId>, name: &WorkflowName, version: &semver::Version) -> Deletion;
    fn load_instance(id: InstanceId) -> Option<WorkflowInstance>;
    fn find_instance(id: InstanceId) -> Option<InstanceSummary>;
    fn list_instances(filter: &InstanceFilter) -> Page<InstanceSummary>;
    fn load_context(id: InstanceId) -> ContextData;
    fn list_executions(id: InstanceId) -> Vec<ExecutionRecord>;
    fn list_failed_executions(instance: Option<InstanceId>) -> Vec<(InstanceId, ExecutionRecord)>;
    fn list_history(id: InstanceId, after_seq: u64, limit: u32) -> Vec<HistoryEntry>;
    fn list_history_after(position: u64, limit: u32) -> Vec<HistoryEntry>;
    fn last_position() -> u64;
    fn find_task(id: TaskId) -> Option<TaskRecord>;
    fn list_tasks(filter: &TaskFilter) -> Page<TaskRecord>;
    fn list_running(after: Option<InstanceId>, limit: u32) -> Vec<(InstanceId, u64)>;
    fn list_due(now: Timestamp, after: Option<(Timestamp, InstanceId)>, limit: u32) -> Vec<(Timestamp, InstanceId)>;
    fn next_wake() -> Option<Timestamp>;
    fn list_letters(limit: u32) -> Vec<(LetterKey, Letter)>;
    fn remove_letters(keys: &[LetterKey]) -> ();
}
    async fn commit(&self, transition: Transition) -> Result<Committed, StoreError> {
        self.way.commit(self.store.as_ref(), transition).await
    }

    async fn take_nudges(&self) -> Result<Vec<InstanceId>, StoreError> {
        self.way.there("take_nudges").await?;
        let mut nudges = self.store.take_nudges().await?;
        nudges.extend(self.way.nudges());
        Ok(nudges)
    }
}

passes_on! { FeedStore {
    fn list_window(filter: &HistoryFilter, position: u64, limit: u32) -> HistoryWindow;
}}

passes_on! { GuardStore {
    fn guard_revision() -> u64;
    fn load_guard() -> GuardState;
    fn put_policy(policy: Json) -> ();
    fn insert_block(block: ComponentBlock) -> Inserted;
    fn find_block(digest: &ComponentDigest) -> Option<ComponentBlock>;
    fn remove_block(digest: &ComponentDigest) -> bool;
    fn count_host_fault(digest: &ComponentDigest) -> u32;
    fn insert_signature(signature: ComponentSignature, max: u64) -> Admitted;
    fn put_secret(secret: SealedSecret, max: u64) -> bool;
    fn delete_secret(tenant: Option<&TenantId>, name: &SecretName) -> bool;
    fn find_secret(tenant: Option<&TenantId>, name: &SecretName) -> Option<SealedSecret>;
    fn list_secrets(filter: &SecretFilter) -> Page<SecretRecord>;
    fn list_usage(filter: &UsageFilter) -> Page<TenantUsage>;
}}

passes_on! { WebhookStore {
    fn webhook_head() -> WebhookHead;
    fn insert_webhook(webhook: WebhookSubscription, max: u64) -> Admitted;
    fn find_webhook(id: WebhookId) -> Option<WebhookSubscription>;
    fn list_webhooks(filter: &WebhookFilter) -> Page<WebhookSubscription>;
    fn change_webhook(id: WebhookId, change: SubscriptionChange, now: Timestamp) -> Option<WebhookSubscription>;
    fn delete_webhook(id: WebhookId) -> bool;
    fn make_deliveries(made: MadeDeliveries) -> bool;
    fn insert_delivery(delivery: WebhookDelivery) -> bool;
    fn find_delivery(id: DeliveryId) -> Option<WebhookDelivery>;
    fn list_deliveries(filter: &DeliveryFilter) -> Page<(u64, WebhookDelivery)>;
    fn list_waiting_webhooks() -> Vec<WebhookId>;
    fn list_pending(webhook: WebhookId, limit: u32) -> Vec<WebhookDelivery>;
    fn put_attempt(delivery: WebhookDelivery) -> bool;
    fn redeliver(webhook: WebhookId, which: Redelivered, now: Timestamp) -> u64;
    fn forget_deliveries(ended_before: Timestamp) -> u64;
}}

passes_on! { UpkeepStore {
    fn list_links_of(id: InstanceId, after_seq: u64, limit: u32) -> Vec<KeptLink>;
    fn list_links(after: Option<(InstanceId, u64)>, limit: u32) -> Vec<KeptLink>;
    fn list_prunable(filter: &PruneFilter, after: Option<InstanceId>, limit: u32) -> Vec<Prunable>;
    fn prune(filter: &PruneFilter, instances: &[InstanceId]) -> Pruned;
}}

passes_on! { AccessStore {
    fn access_revision() -> u64;
    fn insert_tenant(tenant: TenantRecord) -> Inserted;
    fn find_tenant(id: &TenantId) -> Option<TenantRecord>;
    fn list_tenants(filter: &TenantFilter) -> Page<TenantRecord>;
    fn change_tenant(id: &TenantId, change: TenantChange) -> Option<TenantRecord>;
    fn insert_key(key: ApiKey, room: KeyRoom) -> Admitted;
    fn find_key(prefix: KeyPrefix) -> Option<ApiKey>;
    fn find_key_by_id(id: ApiKeyId) -> Option<ApiKey>;
    fn list_keys(filter: &KeyFilter) -> Page<ApiKey>;
    fn revoke_key(id: ApiKeyId, at: Timestamp) -> bool;
    fn note_key_uses(uses: &[(ApiKeyId, Timestamp)]) -> ();
    fn append_audit(records: Vec<AuditRecord>) -> ();
    fn list_audit(filter: &AuditFilter) -> Page<AuditEntry>;
    fn forget_audit(before: Timestamp) -> u64;
    fn claim_idempotency(claim: IdempotencyClaim, room: IdempotencyRoom) -> Reservation;
    fn answer_idempotency(claim: &IdempotencyClaim, answer: KeptAnswer) -> bool;
    fn release_idempotency(claim: &IdempotencyClaim) -> ();
    fn forget_idempotency(before: Timestamp) -> u64;
    fn load_tenant_use(tenant: &TenantId, day: i64) -> TenantUse;
    fn find_started(tenant: Option<&TenantId>, key: &str) -> Option<InstanceId>;
    fn load_stats(tenant: Option<&TenantId>, now: Timestamp) -> StoreStats;
}}
