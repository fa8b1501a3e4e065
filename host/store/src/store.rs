//! The store: what any back end promises.
//!
//! Whatever a call acknowledges is durable (as far as the back end is) and visible to every later call. Lists are
//! bounded. Nothing is decided here: the transition function of the model does that.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::attempt::ContextData;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ComponentDigest, DefinitionId, InstanceId, TaskId};
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{
    ComponentRecord, DefinitionRecord, DefinitionSummary, DefinitionVersion, ExecutionRecord, InstanceSummary,
    TaskRecord,
};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;

use crate::access::AccessStore;
use crate::error::StoreError;
use crate::feed::FeedStore;
use crate::guard::GuardStore;
use crate::query::{
    Activity, Committed, ComponentFilter, DefinitionFilter, Deletion, Inserted, InstanceFilter, LetterKey, Owners,
    Page, TaskFilter,
};
use crate::upkeep::UpkeepStore;
use crate::webhooks::WebhookStore;

/// Keeps components, definitions, instances, tasks and history.
///
/// # Errors
/// Every call may fail with [`StoreError::Unavailable`], [`StoreError::Damaged`] or [`StoreError::Closed`], and every
/// call that writes also with [`StoreError::Full`] or [`StoreError::ReadOnly`]. What else a call refuses stands at it.
#[async_trait]
pub trait WorkflowStore: AccessStore + FeedStore + GuardStore + UpkeepStore + WebhookStore {
    /// Keeps a component under its owner, name and version; its bytes are kept once for each digest, whoever has them.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the owner's name and version stand for another digest.
    async fn insert_component(&self, record: ComponentRecord, bytes: Arc<[u8]>) -> Result<Inserted, StoreError>;

    /// The component of that owner, name and version.
    async fn find_component(
        &self,
        tenant: Option<&TenantId>,
        name: &ComponentName,
        version: &semver::Version,
    ) -> Result<Option<ComponentRecord>, StoreError>;

    /// The component of that digest that was registered first; of what a tenant sees, its own before a shared one, whatever
    /// they are called.
    async fn find_component_by_digest(
        &self,
        digest: &ComponentDigest,
        owners: &Owners,
    ) -> Result<Option<ComponentRecord>, StoreError>;

    /// The components that match, by name, then by semantic version, then by owner.
    async fn list_components(&self, filter: &ComponentFilter) -> Result<Page<ComponentRecord>, StoreError>;

    /// The bytes of the component with that digest.
    async fn load_component_bytes(&self, digest: &ComponentDigest) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// Keeps an owner's version of a definition. The same document with the same components is a no-op, whatever its id.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the owner's name and version stand for another document or other components;
    /// [`StoreError::TooManyVersions`] if the owner's name has [`VERSIONS_MAX`](stepcell_model::definition::VERSIONS_MAX).
    async fn insert_definition(&self, record: DefinitionRecord) -> Result<Inserted, StoreError>;

    /// The definition of that owner, name and version.
    async fn find_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Option<DefinitionRecord>, StoreError>;

    /// The definition of that id.
    async fn find_definition_by_id(&self, id: DefinitionId) -> Result<Option<DefinitionRecord>, StoreError>;

    /// The definitions that match, by name, then by semantic version, then by owner.
    async fn list_definitions(&self, filter: &DefinitionFilter) -> Result<Page<DefinitionRecord>, StoreError>;

    /// The definitions that match without their documents, in the same order.
    async fn list_definition_summaries(&self, filter: &DefinitionFilter)
    -> Result<Page<DefinitionSummary>, StoreError>;

    /// Every version of one workflow, or of all, in the same order, whatever it says: no document is read.
    async fn list_versions(
        &self,
        owners: &Owners,
        name: Option<&WorkflowName>,
    ) -> Result<Vec<DefinitionVersion>, StoreError>;

    /// Says whether new instances may start on a definition. Returns whether there is such a definition.
    async fn set_definition_active(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
        activity: Activity,
    ) -> Result<bool, StoreError>;

    /// Deletes a definition that no instance refers to.
    async fn delete_definition(
        &self,
        tenant: Option<&TenantId>,
        name: &WorkflowName,
        version: &semver::Version,
    ) -> Result<Deletion, StoreError>;

    /// Stores everything that a transition changes, or nothing of it.
    ///
    /// Number 1 creates the instance; any other is stored only if the instance's last transition is the one before.
    /// A call that is dropped before it answers may or may not have stored the transition: load the instance to see.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if another transition came first: load and decide again. [`StoreError::DuplicateStart`]
    /// if the tenant has used the idempotency key: answer with that instance. [`StoreError::UnknownDefinition`] if an
    /// instance starts on a definition that is not there. After [`StoreError::Unavailable`] load the instance to see
    /// where it stands.
    async fn commit(&self, transition: Transition) -> Result<Committed, StoreError>;

    /// The instance with everything that a decision about it needs, all of one moment.
    ///
    /// Its results are what the executions that it refers to returned, or were given as long as they have not ended.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it refers to an execution that has neither, unless that is a group that runs its parts:
    /// nothing may have come to it.
    async fn load_instance(&self, id: InstanceId) -> Result<Option<WorkflowInstance>, StoreError>;

    /// The instance as lists show it.
    async fn find_instance(&self, id: InstanceId) -> Result<Option<InstanceSummary>, StoreError>;

    /// The instances that match, newest first.
    async fn list_instances(&self, filter: &InstanceFilter) -> Result<Page<InstanceSummary>, StoreError>;

    /// The instance's context; empty if there is no such instance.
    async fn load_context(&self, id: InstanceId) -> Result<ContextData, StoreError>;

    /// The instance's recorded executions in the order of their end; what has not ended comes after, by number.
    async fn list_executions(&self, id: InstanceId) -> Result<Vec<ExecutionRecord>, StoreError>;

    /// Executions that failed for good, of one instance or of all, latest end first; at most
    /// [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    async fn list_failed_executions(
        &self,
        instance: Option<InstanceId>,
    ) -> Result<Vec<(InstanceId, ExecutionRecord)>, StoreError>;

    /// The instance's history after transition `after_seq`, in order; at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    async fn list_history(&self, id: InstanceId, after_seq: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError>;

    /// The history of all instances after `position`, in order; at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    ///
    /// A row never appears before one that was listed already: whoever resumes at the last position misses nothing.
    async fn list_history_after(&self, position: u64, limit: u32) -> Result<Vec<HistoryEntry>, StoreError>;

    /// The position of the newest history row; 0 where there is none.
    async fn last_position(&self) -> Result<u64, StoreError>;

    /// The task of that id.
    async fn find_task(&self, id: TaskId) -> Result<Option<TaskRecord>, StoreError>;

    /// The tasks that match, by due time, those without one last, then by time of creation, then by id.
    async fn list_tasks(&self, filter: &TaskFilter) -> Result<Page<TaskRecord>, StoreError>;

    /// Instances whose status is running, with the number of their last transition, by id after `after`.
    async fn list_running(&self, after: Option<InstanceId>, limit: u32) -> Result<Vec<(InstanceId, u64)>, StoreError>;

    /// Instances, neither finished nor paused, whose time to be looked at has come, with that time, after `after` in the
    /// order of time and id: the longest waiting first.
    async fn list_due(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, InstanceId)>,
        limit: u32,
    ) -> Result<Vec<(Timestamp, InstanceId)>, StoreError>;

    /// The earliest time at which an instance that is neither finished nor paused wants to be looked at.
    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The letters that were committed and not removed since, oldest first; at most
    /// [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    ///
    /// Keys grow in the order of the commits and, within one, in that of the transition, so that a letter never appears
    /// before one that was listed already.
    async fn list_letters(&self, limit: u32) -> Result<Vec<(LetterKey, Letter)>, StoreError>;

    /// Removes letters that were handed over. One that is not there any more is none to remove.
    async fn remove_letters(&self, keys: &[LetterKey]) -> Result<(), StoreError>;

    /// Takes the instances that processes changed which do not drive the store; each is told once.
    async fn take_nudges(&self) -> Result<Vec<InstanceId>, StoreError>;
}
