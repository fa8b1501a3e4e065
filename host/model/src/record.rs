//! What is kept of instances, executions and tasks: the rows of a store, as types.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::attempt::ContextData;
use crate::component::{Capability, ComponentExports};
use crate::failure::{Failure, InstanceError};
use crate::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId, TaskId};
use crate::json::Json;
use crate::name::{ComponentName, GroupId, StepName, TenantId, UserId, WorkflowName};
use crate::status::{StepStatus, StepType, TaskStatus, WorkflowStatus};
use crate::time::Timestamp;

/// What never changes about an instance once it is started.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceIdentity {
    /// The instance.
    pub id: InstanceId,
    /// The definition that it stays on for life.
    pub definition: DefinitionId,
    /// That definition's name.
    pub workflow_name: WorkflowName,
    /// That definition's version.
    pub workflow_version: semver::Version,
    /// What it was started with.
    pub input: Json,
    /// Values that steps read and can not write.
    pub metadata: Arc<ContextData>,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// Who started it.
    pub created_by: Option<UserId>,
    /// Ties it to something outside.
    pub correlation_id: Option<String>,
    /// Starting twice with the same key, for one tenant, gives the same instance.
    pub idempotency_key: Option<String>,
    /// The step of another instance that it was started by.
    pub parent: Option<ParentLink>,
    /// What the addresses of its callbacks are derived from.
    pub callback_secret: CallbackSecret,
    /// When it was started.
    pub started_at: Timestamp,
}

/// The execution that waits for an instance to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentLink {
    /// The instance that it is an execution of.
    pub instance: InstanceId,
    /// The execution.
    pub execution: ExecutionNumber,
    /// How many instances are above: 1 for a child of an instance that nobody waits for.
    pub depth: u32,
}

/// What the addresses of an instance's callbacks are derived from. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallbackSecret([u8; 32]);

impl CallbackSecret {
    /// Takes over 32 bytes that nobody can guess.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for CallbackSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackSecret(…)")
    }
}

/// An instance as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSummary {
    /// What never changes about it.
    pub identity: Arc<InstanceIdentity>,
    /// The number of its last transition.
    pub seq: u64,
    /// Where it stands.
    pub status: WorkflowStatus,
    /// The step that runs, waits or failed; the oldest active one where there are several.
    pub current_step: Option<StepName>,
    /// Why it failed or was canceled.
    pub error: Option<InstanceError>,
    /// What it came to, once completed.
    pub result: Option<Json>,
    /// When it finished.
    pub completed_at: Option<Timestamp>,
}

/// One execution of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// Its place among the instance's executions, in order of activation.
    pub number: ExecutionNumber,
    /// The step.
    pub step: StepName,
    /// What kind of step.
    pub step_type: StepType,
    /// Where it stands.
    pub status: StepStatus,
    /// How many attempts it took so far.
    pub attempts: u32,
    /// What it was given.
    pub input: Option<Json>,
    /// What it returned.
    pub output: Option<Json>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When its first attempt began, or when it was reached where it has none.
    pub started_at: Timestamp,
    /// When it ended; `ended_order` settles equal times.
    pub completed_at: Option<Timestamp>,
    /// Counts the instance's executions in the order of their end, from 1; none while it is active.
    pub ended_order: Option<u32>,
    /// Whom its human task is assigned to.
    pub assigned_to: Option<UserId>,
    /// Who completed its human task.
    pub completed_by: Option<UserId>,
    /// The execution that it is a part of: of the group, of the step that runs for each item, or of what it undoes.
    pub part_of: Option<ExecutionNumber>,
    /// The item that it runs for, counted from 0.
    pub item: Option<u32>,
}

/// A message that was delivered before its step was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptMessage {
    /// Its place among the instance's messages, from 1.
    pub number: u32,
    /// The step that will take it.
    pub step: StepName,
    /// What it says.
    pub payload: Json,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageChange {
    /// It is kept until its step is reached.
    Kept(KeptMessage),
    /// The message of that number was taken, or is not needed any more.
    Removed(u32),
}

/// One human task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The task.
    pub id: TaskId,
    /// Whose instance it belongs to.
    pub instance: InstanceId,
    /// The execution that it is the work of.
    pub execution: ExecutionNumber,
    /// The step.
    pub step: StepName,
    /// The instance's tenant.
    pub tenant: Option<TenantId>,
    /// What to do, in one line.
    pub title: String,
    /// What to do, at length.
    pub description: Option<String>,
    /// The JSON Schema that the answer must fit.
    pub form_schema: Option<Json>,
    /// Who shall do it.
    pub assignee: Option<UserId>,
    /// Whose members may do it.
    pub group: Option<GroupId>,
    /// Until when.
    pub due_at: Option<Timestamp>,
    /// When to remind.
    pub reminder_at: Option<Timestamp>,
    /// Where it stands.
    pub status: TaskStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was completed or canceled.
    pub completed_at: Option<Timestamp>,
    /// Who completed it.
    pub completed_by: Option<UserId>,
    /// What was said on completing it.
    pub comment: Option<String>,
}

/// One registered version of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct DefinitionRecord {
    /// The id of this version.
    pub id: DefinitionId,
    /// Whose it is; the platform's own, which all share, without one.
    pub tenant: Option<TenantId>,
    /// The workflow's name.
    pub name: WorkflowName,
    /// The version.
    pub version: semver::Version,
    /// What it is for.
    pub description: Option<String>,
    /// The definition as JSON, in the published format.
    pub document: Json,
    /// The component that each machine step runs, by digest; fixed at registration.
    pub components: Vec<(StepName, ComponentDigest)>,
    /// Of those, the steps that are pure: nobody outside can tell an attempt of them from none.
    pub pure_steps: Vec<StepName>,
    /// Whether new instances may start on it.
    pub is_active: bool,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// A version of a definition without its document: what a name and a version mean is decided by these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionVersion {
    /// The id of this version.
    pub id: DefinitionId,
    /// Whose it is; the platform's own, which all share, without one.
    pub tenant: Option<TenantId>,
    /// The workflow's name.
    pub name: WorkflowName,
    /// The version.
    pub version: semver::Version,
    /// Whether new instances may start on it.
    pub is_active: bool,
}

/// A version of a definition as lists show it, without its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionSummary {
    /// The id of this version.
    pub id: DefinitionId,
    /// Whose it is; the platform's own, which all share, without one.
    pub tenant: Option<TenantId>,
    /// The workflow's name.
    pub name: WorkflowName,
    /// The version.
    pub version: semver::Version,
    /// What it is for.
    pub description: Option<String>,
    /// Whether new instances may start on it.
    pub is_active: bool,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl DefinitionRecord {
    /// It without what it says.
    #[must_use]
    pub fn to_version(&self) -> DefinitionVersion {
        DefinitionVersion {
            id: self.id,
            tenant: self.tenant.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            is_active: self.is_active,
        }
    }

    /// It as lists show it.
    #[must_use]
    pub fn to_summary(&self) -> DefinitionSummary {
        DefinitionSummary {
            id: self.id,
            tenant: self.tenant.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            description: self.description.clone(),
            is_active: self.is_active,
            created_at: self.created_at,
        }
    }
}

impl DefinitionSummary {
    /// It without what it is for.
    #[must_use]
    pub fn to_version(&self) -> DefinitionVersion {
        DefinitionVersion {
            id: self.id,
            tenant: self.tenant.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            is_active: self.is_active,
        }
    }
}

/// One registered component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentRecord {
    /// What it is.
    pub digest: ComponentDigest,
    /// The name that it was pushed under.
    pub name: ComponentName,
    /// The version that it was pushed under.
    pub version: semver::Version,
    /// What its own manifest says, if it carries one.
    pub manifest: Option<Json>,
    /// The size of its bytes.
    pub size_bytes: u64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// What it can be used as.
    pub exports: ComponentExports,
    /// What it can make use of, if it is granted.
    pub capabilities: Vec<Capability>,
    /// Whose it is, whose keys must sign it and whose turn it is to compile; the platform's own, which all share, without
    /// one.
    pub tenant: Option<TenantId>,
}
