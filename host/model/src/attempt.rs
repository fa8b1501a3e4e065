//! What crosses the wall between the engine and a step, and what comes back.
//!
//! The engine fills a [`StepCall`], whoever runs steps answers with an [`AttemptReport`]. Neither knows the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::grants::StepGrants;
use crate::id::{ComponentDigest, DefinitionId, ExecutionId, InstanceId};
use crate::json::Json;
pub use crate::limits::{CellLimits, TimeLimit};
use crate::name::{ContextKey, SecretName, StepName, TenantId, UserId, WorkflowName};
use crate::record::ExecutionRecord;
use crate::secret::GrantedSecrets;
use crate::signature::PublicKey;
use crate::time::Timestamp;
use crate::trace::TraceContext;

/// The data that the steps of one instance share. Cloning shares the values.
pub type ContextData = BTreeMap<ContextKey, Json>;

/// Writes to the context in key order; `None` removes the key.
pub type ContextWrites = BTreeMap<ContextKey, Option<Json>>;

/// How many ended executions a step may look back on.
pub const STEP_HISTORY_LEN_MAX: usize = 100;

/// The largest output of an attempt, in bytes. Protects the store and whoever reads it.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// One attempt of a step, ready to be run.
#[derive(Clone, Debug)]
pub struct StepCall {
    /// Which component runs.
    pub component: ComponentDigest,
    /// Who is running what, and for whom.
    pub info: ExecutionInfo,
    /// What the workflow maps to the step.
    pub input: Json,
    /// The context as it was when the attempt began.
    pub context: Arc<ContextData>,
    /// Values fixed when the instance was started.
    pub metadata: Arc<ContextData>,
    /// Settings that the definition gives the step.
    pub config: Arc<BTreeMap<String, Json>>,
    /// The executions that have ended, oldest first, at most [`STEP_HISTORY_LEN_MAX`].
    pub history: Arc<Vec<ExecutionRecord>>,
    /// What the step before returned.
    pub previous: Option<Json>,
    /// How much the attempt may use.
    pub limits: CellLimits,
    /// What it may reach beyond its cell.
    pub grants: StepGrants,
    /// The secrets that it is granted.
    pub secrets: Arc<GrantedSecrets>,
}

/// Who is running what, and for whom; the same for every call of one attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionInfo {
    /// The workflow's name.
    pub workflow_name: WorkflowName,
    /// The version of its definition.
    pub workflow_version: semver::Version,
    /// That definition at that version.
    pub definition: DefinitionId,
    /// The instance.
    pub instance: InstanceId,
    /// The step.
    pub step: StepName,
    /// The execution; also the idempotency key, and the seed of the randomness that the step sees.
    pub execution: ExecutionId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The last attempt that the retry policy allows.
    pub attempts_max: u32,
    /// Whose instance it is.
    pub tenant: Option<TenantId>,
    /// Who started the instance, or completed the last human task.
    pub user: Option<UserId>,
    /// When the instance began.
    pub instance_started_at: Timestamp,
    /// When the execution's first attempt began; the time that the step's frozen clock shows.
    pub execution_started_at: Timestamp,
    /// When the engine will stop this attempt.
    pub deadline: Option<Timestamp>,
    /// Where requests of the step stand in a trace, if they are in one.
    #[serde(default)]
    pub trace: Option<TraceContext>,
}

/// How one attempt ended, and what it left.
#[derive(Clone, Debug)]
pub struct AttemptReport {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What it wrote; empty unless it succeeded.
    pub writes: ContextWrites,
    /// Why `on-success` failed, if it did; the outcome stands.
    pub hook_failure: Option<Failure>,
    /// What it cost and said.
    pub trace: AttemptTrace,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptOutcome {
    /// `execute` returned this; of a gateway, the array of names that `evaluate` returned.
    Succeeded(Json),
    /// `can-execute` said no.
    Skipped,
    /// It failed, trapped, or was stopped.
    Failed(Failure),
}

/// How `on-failure` ended, and what it left.
#[derive(Clone, Debug)]
pub struct HookReport {
    /// What it wrote; empty when it failed itself.
    pub writes: ContextWrites,
    /// Why it failed, if it did; recorded beside the original failure.
    pub failure: Option<Failure>,
    /// What it cost and said.
    pub trace: AttemptTrace,
}

/// What an attempt cost and what it said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptTrace {
    /// What it cost.
    pub receipt: Receipt,
    /// Its log, oldest line first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// How many lines past the quota were dropped.
    #[serde(default)]
    pub log_lines_dropped: u32,
    /// What it wanted and was not granted, each once, at most [`DENIALS_LEN_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// The secrets that it read, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets_read: Vec<SecretName>,
    /// The trusted key that signed the component, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<PublicKey>,
    /// How it broke the host's side, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_fault: Option<HostFault>,
}

/// The most different denials that an attempt's trace keeps. Protects the store.
pub const DENIALS_LEN_MAX: usize = 32;

/// The longest name of what was denied that a trace keeps, in bytes. Protects the store.
pub const DENIED_NAME_BYTES_MAX: usize = 256;

/// Something that an attempt wanted and was not granted. It was told so, and could go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What kind of thing.
    pub wanted: Wanted,
    /// Which one: a key, a secret's name, a method and where the request should have gone.
    pub name: String,
    /// How often.
    pub count: u32,
}

/// What can be granted, and so be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// To read a key of the context.
    ContextRead,
    /// To write or remove a key of the context.
    ContextWrite,
    /// To read a setting.
    Config,
    /// To read a secret.
    Secret,
    /// To send an HTTP request.
    Http,
}

/// How an attempt broke the host's side, instead of failing within its cell.
///
/// No guest should be able to: a component that does so twice is not to be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostFault {
    /// The host's own code panicked, and the panic was caught.
    Panicked,
    /// The worker process that ran it died, or answered what no worker answers.
    WorkerDied,
}

/// What an attempt cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Time on a CPU, in microseconds.
    pub cpu_us: u64,
    /// Time on the wall, in microseconds.
    pub wall_us: u64,
    /// Of that, the time in which the guest computed; in the rest the host prepared, waited or worked for others.
    #[serde(default)]
    pub guest_us: u64,
    /// The most linear memory it had at once, in bytes.
    pub memory_bytes_peak: u64,
    /// How often it called the host.
    pub host_calls: u64,
    /// Bytes of input and context that it was given.
    pub bytes_in: u64,
    /// Bytes of output and context that it gave.
    pub bytes_out: u64,
    /// How often it wanted what it is not granted.
    #[serde(default)]
    pub denials: u64,
    /// How many HTTP requests it sent.
    #[serde(default)]
    pub http_requests: u32,
}

/// One line of an attempt's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// How grave it is.
    pub level: LogLevel,
    /// The text, at most 8 KiB.
    pub message: String,
    /// A JSON object beside the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Json>,
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the five levels that every log has")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}
