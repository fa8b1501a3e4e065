//! A store that a host dies on: after a commit that a test chooses, nothing that the host writes is stored any more.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::attempt::ContextData;
use stepcell_model::guard::{ComponentBlock, SealedSecret, SecretRecord, TenantUsage};
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ComponentDigest, DefinitionId, InstanceId, TaskId};
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::json::Json;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ComponentName, SecretName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord, ExecutionRecord, InstanceSummary, TaskRecord};
use stepcell_model::signature::ComponentSignature;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;
use stepcell_store::{
    Activity, Committed, Deletion, GuardState, GuardStore, Inserted, InstanceFilter, KeptLink, LetterKey, Page,
    Prunable, PruneFilter, Pruned, StoreError, TaskFilter, UpkeepStore, WorkflowStore,
};
use tokio::sync::{Mutex, watch};

/// Where a host dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Not here.
    None,
    /// Before this is stored.
    Before,
    /// Once this is stored, before anybody is told.
    After,
}

type Choose = Box<dyn FnMut(&Transition) -> Death + Send>;

/// One host's way to a store.
pub(crate) struct StoppingStore {
    inner: Arc<dyn WorkflowStore>,
    /// Held through each commit, so that nothing is under way when the host dies.
    choose: Mutex<Choose>,
    dead: watch::Sender<bool>,
}

impl StoppingStore {
    /// A way to `inner` that ends where `choose` says.
    pub(crate) fn new(
        inner: Arc<dyn WorkflowStore>,
        choose: impl FnMut(&Transition) -> Death + Send + 'static,
    ) -> Arc<Self> {
        let choose: Choose = Box::new(choose);
        Arc::new(Self { inner, choose: Mutex::new(choose), dead: watch::Sender::new(false) })
    }

    /// Waits until the host is dead.
    pub(crate) async fn died(&self) {
        self.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }

    /// Answers as long as the host is alive; never afterwards.
    async fn alive(&self) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }

    async fn die(&self) -> ! {
        self.dead.send_replace(true);
        std::future::pending().await
    }
}

#[async_trait]
impl WorkflowStore for StoppingStore {
    async fn commit(&self, transition: Transition) -> Result<Committed, StoreError> {
        let mut choose = self.choose.lock().await;
        self.alive().await;
        match choose(&transition) {
            Death::None => self.inner.commit(transition).await,
            Death::Before => self.die().await,
            Death::After => {
                // Where somebody else was first, nothing is stored: that is a death between two commits.
                let _ = self.inner.commit(transition).await;
                self.die().await
            }
        }
    }

    async fn remove_letters(&self, keys: &[LetterKey]) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.remove_letters(keys).await
    }

    async fn take_nudges(&self) -> Result<Vec<InstanceId>, StoreError> {
        self.alive().await;
        self.inner.take_nudges().await
    }

    async fn insert_component(&self, record: ComponentRecord, bytes: Arc<[u8]>) -> Result<Inserted, StoreError> {
        self.inner.insert_component(record, bytes).await
    }

    async fn find_component(
        &self,
        name: &ComponentName,
        version: &semver::Version,
    ) -> Result<Option<ComponentRecord>, StoreError> {
        self.inner.find_component(name, version).await
    }

    async fn find_component_by_digest(&self, digest: &ComponentDigest) -> Result<Option<ComponentRecord>, StoreError> {
        self.inner.find_component_by_digest(digest).await
    }

    async fn list_components(&self, name: Option<&ComponentName>) -> Result<Vec<ComponentRecord>, StoreError> {
        self.inner.list_components(name).await
    }

    async fn load_component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.inner.load_component_bytes(digest).await
    }

    async fn insert_definition(&self, record: DefinitionRecord) -> Result<Inserted, StoreError> {
        self.inner.insert_definition(record).await
    }

    async fn find_definition(
        &self,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Option<DefinitionRecord>, StoreError> {
        self.inner.find_definition(name, version).await
    }

    async fn find_definition_by_id(&self, id: DefinitionId) -> Result<Option<DefinitionRecord>, StoreError> {
        self.inner.find_definition_by_id(id).await
    }

    async fn list_definitions(&self, name: Option<&WorkflowName>) -> Result<Vec<DefinitionRecord>, StoreError> {
        self.inner.list_definitions(name).await
    }

    async fn set_definition_active(
        &self,
        name: &WorkflowName,
        version: &semver::Version,
        activity: Activity,
    ) -> Result<bool, StoreError> {
        self.inner.set_definition_active(name, version, activity).await
    }

    async fn delete_definition(&self, name: &WorkflowName, version: &semver::Version) -> Result<Deletion, StoreError> {
        self.inner.delete_definition(name, version).await
    }

    async fn load_instance(&self, id: InstanceId) -> Result<Option<WorkflowInstance>, StoreError> {
        self.inner.load_instance(id).await
    }

    async fn find_instance(&self, id: InstanceId) -> Result<Option<InstanceSummary>, StoreError> {
        self.inner.find_instance(id).await
    }

    async fn list_instances(&self, filter: &InstanceFilter) -> Result<Page<InstanceSummary>, StoreError> {
        self.inner.list_instances(filter).await
    }

    async fn load_context(&self, id: InstanceId) -> Result<ContextData, StoreError> {
        self.inner.load_context(id).await
    }

    async fn list_executions(&self, id: InstanceId) -> Result<Vec<ExecutionRecord>, StoreError> {
        self.inner.list_executions(id).await
    }

    async fn list_failed_executions(
        &self,
        instance: Option<InstanceId>,
    ) -> Result<Vec<(InstanceId, ExecutionRecord)>, StoreError> {
        self.inner.list_failed_executions(instance).await
    }

    async fn list_history(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        self.inner.list_history(id, after_seq, limit).await
    }

    async fn list_history_after(&self, position: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        self.inner.list_history_after(position, limit).await
    }

    async fn last_position(&self) -> Result<u64, StoreError> {
        self.inner.last_position().await
    }

    async fn find_task(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError> {
        self.inner.find_task(id).await
    }

    async fn list_tasks(&self, filter: &TaskFilter) -> Result<Page<TaskRecord>, StoreError> {
        self.inner.list_tasks(filter).await
    }

    async fn list_running(&self, after: Option<InstanceId>, limit: u32) -> Result<Vec<(InstanceId, u64)>, StoreError> {
        self.inner.list_running(after, limit).await
    }

    async fn list_due(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, InstanceId)>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, InstanceId)>, StoreError> {
        self.inner.list_due(now, after, limit).await
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_wake().await
    }

    async fn list_letters(&self, limit: u32) -> Result<Vec<(LetterKey, Letter)>, StoreError> {
        self.inner.list_letters(limit).await
    }
}

#[async_trait]
impl UpkeepStore for StoppingStore {
    async fn list_links_of(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
        self.inner.list_links_of(id, after_seq, limit).await
    }

    async fn list_links(&self, after: Option<(InstanceId, u64)>, limit: u32) -> Result<Vec<KeptLink>, StoreError> {
        self.inner.list_links(after, limit).await
    }

    async fn list_prunable(
        &self,
        filter: &PruneFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Prunable>, StoreError> {
        self.inner.list_prunable(filter, after, limit).await
    }

    async fn prune(&self, filter: &PruneFilter, instances: &[InstanceId]) -> Result<Pruned, StoreError> {
        self.alive().await;
        self.inner.prune(filter, instances).await
    }
}

#[async_trait]
impl GuardStore for StoppingStore {
    async fn guard_revision(&self) -> Result<u64, StoreError> {
        self.inner.guard_revision().await
    }

    async fn load_guard(&self) -> Result<GuardState, StoreError> {
        self.inner.load_guard().await
    }

    async fn put_policy(&self, policy: Json) -> Result<(), StoreError> {
        self.inner.put_policy(policy).await
    }

    async fn insert_block(&self, block: ComponentBlock) -> Result<Inserted, StoreError> {
        self.inner.insert_block(block).await
    }

    async fn remove_block(&self, digest: &ComponentDigest) -> Result<bool, StoreError> {
        self.inner.remove_block(digest).await
    }

    async fn count_host_fault(&self, digest: &ComponentDigest) -> Result<u32, StoreError> {
        self.inner.count_host_fault(digest).await
    }

    async fn put_signature(&self, signature: ComponentSignature) -> Result<(), StoreError> {
        self.inner.put_signature(signature).await
    }

    async fn put_secret(&self, secret: SealedSecret) -> Result<(), StoreError> {
        self.inner.put_secret(secret).await
    }

    async fn delete_secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Result<bool, StoreError> {
        self.inner.delete_secret(tenant, name).await
    }

    async fn find_secret(
        &self,
        tenant: Option<&TenantId>,
        name: &SecretName,
    ) -> Result<Option<SealedSecret>, StoreError> {
        self.inner.find_secret(tenant, name).await
    }

    async fn list_secrets(&self) -> Result<Vec<SecretRecord>, StoreError> {
        self.inner.list_secrets().await
    }

    async fn list_usage(&self, since_day: i64) -> Result<Vec<TenantUsage>, StoreError> {
        self.inner.list_usage(since_day).await
    }
}
