//! Everything that a call to the engine can be refused for.

use std::time::Duration;

use semver::Version;
use stepcell_model::access::{ApiKeyId, Quota};
use stepcell_model::component::Capability;
use stepcell_model::failure::Failure;
use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::name::{ComponentName, SecretName, StepName, TenantId, UserId, WorkflowName};
use stepcell_model::problem::Problems;
use stepcell_model::schema::FieldError;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Span;
use stepcell_model::transition::Refusal;
use stepcell_store::StoreError;

/// How many versions a message names. Protects whoever reads it: there may be thousands.
const VERSIONS_TOLD_MAX: usize = 20;

/// Why the engine did not do what it was asked to. Nothing was changed.
///
/// # Examples
/// ```
/// use stepcell_engine::EngineError;
///
/// /// What a program that completes tasks for people makes of it.
/// fn answer(error: &EngineError) -> &'static str {
///     match error {
///         EngineError::TaskAlreadyCompleted { .. } | EngineError::AlreadyCompleted { .. } => "somebody was first",
///         EngineError::TaskUnauthorized { .. } => "the task is somebody else's",
///         EngineError::InvalidData { .. } => "the form is not filled in as it should",
///         _ => "it did not work",
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No such workflow, or no such version of it.
    #[error("{}", not_found("workflow", name.as_str(), version.as_ref(), known))]
    WorkflowNotFound {
        /// What was asked for.
        name: WorkflowName,
        /// Which version, if one was named.
        version: Option<Version>,
        /// The versions there are.
        known: Vec<Version>,
    },
    /// The workflow has versions, and none that may be started is one of those that are wanted.
    #[error("no active version of workflow `{name}` fits `{wanted}`; the versions there are: {}", told_versions(known))]
    NoVersionFits {
        /// The workflow.
        name: WorkflowName,
        /// What was asked for, such as `2`.
        wanted: String,
        /// The versions there are.
        known: Vec<Version>,
    },
    /// The version is registered and starts nothing new.
    #[error("`{name}` {version} is deactivated and starts nothing new; start another version, or register a new one")]
    WorkflowInactive {
        /// The workflow.
        name: WorkflowName,
        /// The version.
        version: Version,
    },
    /// No such component.
    #[error("{}", not_found("component", name.as_str(), None, known))]
    ComponentNotFound {
        /// What was asked for.
        name: ComponentName,
        /// The versions there are.
        known: Vec<Version>,
    },
    /// A component does not fit.
    #[error("component {what} was refused: {reason}")]
    ComponentRefused {
        /// Which one, as it was named.
        what: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A new version of a component can do more than the one before, and nobody accepted that.
    #[error(
        "component {what} wants more than {last}: {}; look at what it does with that, and accept it with \
         `--accept-capabilities`",
        more.iter().map(|more| more.as_str()).collect::<Vec<_>>().join(", ")
    )]
    WantsMore {
        /// Which one, as it was named.
        what: String,
        /// The version that it was compared with.
        last: Version,
        /// What it wants more.
        more: Vec<Capability>,
    },
    /// The same name and version is registered with other content.
    #[error("{what} is registered with other content; a version never changes, so register a new one")]
    VersionTaken {
        /// What, with its version.
        what: String,
    },
    /// The workflow has as many versions of its owner as it may have.
    #[error(
        "workflow `{name}` has {max} versions, the most there may be; remove old ones that nothing runs on with \
         `stepcell definition unregister`, or register it under a new name"
    )]
    TooManyVersions {
        /// The workflow.
        name: WorkflowName,
        /// How many there may be.
        max: usize,
    },
    /// Something still needs what was to be removed.
    #[error("`{name}` {version} can not be removed: {instances} instances run or ran on it; deactivate it instead")]
    InUse {
        /// The workflow.
        name: WorkflowName,
        /// The version.
        version: Version,
        /// How many instances.
        instances: u64,
    },
    /// No such instance.
    #[error("there is no instance {id}; `stepcell instance list` shows those there are")]
    InstanceNotFound {
        /// What was asked for.
        id: InstanceId,
    },
    /// The store has not come to the position that a feed of events shall begin after.
    #[error(
        "there is no event at position {position}: the last one is at {last}; begin after a position of this database"
    )]
    PositionNotFound {
        /// What was asked for.
        position: u64,
        /// The position of the newest entry.
        last: u64,
    },
    /// A definition is wrong.
    #[error("the definition is not valid:\n{problems}")]
    Validation {
        /// Everything that is wrong.
        problems: Problems,
    },
    /// Data does not fit the schema that it is checked against.
    #[error("{what} is not valid: {}", told(errors))]
    InvalidData {
        /// What was checked.
        what: String,
        /// Every field that is wrong.
        errors: Vec<FieldError>,
    },
    /// A step that was run alone has failed.
    #[error("step `{step}` failed at attempt {attempt}: {cause}; {}", way_out(cause))]
    StepExecution {
        /// The step.
        step: StepName,
        /// Which attempt, from 1.
        attempt: u32,
        /// What the step said, or the engine of it.
        #[source]
        cause: Failure,
    },
    /// What is meant is not where this can happen.
    #[error("{what} can not go from {from} to {to}: {why}")]
    InvalidTransition {
        /// The instance, execution or task.
        what: String,
        /// Where it stands.
        from: String,
        /// Where it was to go.
        to: String,
        /// What stands in the way, and what to do instead.
        why: String,
    },
    /// The instance is finished.
    #[error("instance {id} is already {status}; nothing was changed")]
    AlreadyCompleted {
        /// The instance.
        id: InstanceId,
        /// How it finished.
        status: WorkflowStatus,
    },
    /// No such task.
    #[error("there is no {what}; `stepcell task list` shows those that wait")]
    TaskNotFound {
        /// What was asked for.
        what: String,
    },
    /// Somebody was first, or the task went with its instance.
    #[error("task {task} is already {status}; nothing was changed")]
    TaskAlreadyCompleted {
        /// The task.
        task: TaskId,
        /// Where it stands.
        status: stepcell_model::status::TaskStatus,
    },
    /// The task is not this user's.
    #[error("`{user}` may not act on the task of step `{step}`: {why}")]
    TaskUnauthorized {
        /// Who tried.
        user: UserId,
        /// The step.
        step: StepName,
        /// Whose it is.
        why: String,
    },
    /// No step waits for a message, and none that is still to come will.
    #[error("{why}; nothing was changed")]
    NobodyWaits {
        /// What came, and what the workflow waits for instead.
        why: String,
    },
    /// The same was told before.
    #[error("this was told before; nothing was changed")]
    Repeated,
    /// A callback is not genuine, or does not fit its step.
    #[error("the callback was refused: {why}")]
    CallbackRefused {
        /// What is wrong.
        why: String,
    },
    /// A callback is genuine, as far as that was asked for, and what it says can not be read.
    #[error("the callback can not be read: {why}")]
    CallbackMalformed {
        /// What is wrong.
        why: String,
    },
    /// The tenant has as much as it may have.
    #[error(
        "tenant `{tenant}` has used up its quota `{quota}`: it may have {limit}; {}",
        remedy(*quota, *retry_after)
    )]
    QuotaExceeded {
        /// Whose.
        tenant: TenantId,
        /// Which quota.
        quota: Quota,
        /// How much it may have.
        limit: u64,
        /// When trying again may help.
        retry_after: Duration,
    },
    /// The tenant is suspended: nothing of it is started or registered.
    #[error(
        "tenant `{tenant}` is suspended; nothing was changed, and an administrator of the platform can let it go on"
    )]
    TenantSuspended {
        /// Whose.
        tenant: TenantId,
    },
    /// There is no record of the tenant.
    #[error("there is no tenant `{tenant}`; `stepcell tenant list` shows those there are")]
    TenantNotFound {
        /// What was asked for.
        tenant: TenantId,
    },
    /// There are as many of something as one tenant, or the platform, may have.
    #[error("there are {max} {what} already, as many as there may be; {helps}")]
    TooMany {
        /// What there are too many of, as one says it of several.
        what: &'static str,
        /// How many there may be.
        max: u64,
        /// What to do.
        helps: &'static str,
    },
    /// There is no such API key.
    #[error("there is no API key {id}; `stepcell key list` shows those there are")]
    KeyNotFound {
        /// What was asked for.
        id: ApiKeyId,
    },
    /// There is no key that secrets could be encrypted with.
    #[error(
        "there is no host key to encrypt secrets with; name a file with `--host-key-file`, or set STEPCELL_HOST_KEY"
    )]
    NoHostKey,
    /// A secret does not open: it was kept with another host key, or its row was changed.
    #[error(
        "secret `{name}` does not open with this host's key; start with the key that it was set with, or set it anew"
    )]
    SecretUnreadable {
        /// Which one.
        name: SecretName,
    },
    /// The store can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine is stopping and takes nothing new.
    #[error("the engine is stopping; try again once it is back")]
    Stopping,
}

fn not_found(what: &str, name: &str, version: Option<&Version>, known: &[Version]) -> String {
    let asked = version.map(|version| format!(" {version}")).unwrap_or_default();
    if known.is_empty() {
        return format!("there is no {what} `{name}`; `stepcell {} list` shows those there are", verb_of(what));
    }
    let known = told_versions(known);
    if version.is_none() {
        let wanted = if what == "workflow" { "active version" } else { "version that fits" };
        return format!("{what} `{name}` has no {wanted}; the versions there are: {known}");
    }
    format!("there is no {what} `{name}`{asked}; the versions there are: {known}")
}

/// The newest of some versions, which are in order, and how many more there are.
pub(crate) fn told_versions(known: &[Version]) -> String {
    let older = known.len().saturating_sub(VERSIONS_TOLD_MAX);
    let told = known[older..].iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if older == 0 { told } else { format!("{told}, and {older} older ones") }
}

fn verb_of(what: &str) -> &str {
    if what == "workflow" { "definition" } else { what }
}

const fn way_out(cause: &Failure) -> &'static str {
    if cause.retryable {
        "the same call may succeed later"
    } else {
        "the same call will fail again, so change what it says"
    }
}

fn told(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The status that an operation was to bring an instance to.
fn led_to(operation: &str) -> WorkflowStatus {
    match operation {
        "pause" => WorkflowStatus::Paused,
        "cancel" => WorkflowStatus::Canceled,
        _ => WorkflowStatus::Running,
    }
}

/// What to do about a quota that is used up. Time alone helps with those that fill up again.
fn remedy(quota: Quota, retry_after: Duration) -> String {
    match quota {
        Quota::StartsPerSecond | Quota::CpuMsPerDay => {
            format!("try again in {}, or have the quota raised", Span::new(retry_after))
        }
        Quota::OpenInstances => "cancel one or wait until one has finished, or have the quota raised".to_owned(),
        Quota::StoredBytes => {
            "have finished instances pruned, or the quota raised; time alone frees nothing".to_owned()
        }
        Quota::Components => "have the quota raised; time alone frees nothing".to_owned(),
    }
}

impl EngineError {
    /// A single value that breaks its rule.
    pub(crate) fn refused_value(what: String, message: String) -> Self {
        Self::InvalidData { what, errors: vec![FieldError { pointer: String::new(), message }] }
    }

    /// What a refusal of the transition function means to whoever called.
    pub(crate) fn refused(id: InstanceId, refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidTransition { execution, from, to, why } => Self::InvalidTransition {
                what: format!("execution {execution} of instance {id}"),
                from: from.to_owned(),
                to: to.to_string(),
                why: why.to_owned(),
            },
            Refusal::WrongState { what, status, why } => Self::InvalidTransition {
                what: format!("instance {id}"),
                from: status.to_string(),
                to: led_to(what).to_string(),
                why: why.to_owned(),
            },
            Refusal::NobodyWaits { .. } | Refusal::TooManyMessages { .. } => {
                Self::NobodyWaits { why: format!("instance {id}: {refusal}") }
            }
            Refusal::Repeated { .. } => Self::Repeated,
            Refusal::NothingDue => Self::NobodyWaits { why: refusal.to_string() },
            Refusal::AlreadyCompleted { status } => Self::AlreadyCompleted { id, status },
            Refusal::TaskNotPending { task } => Self::TaskNotFound { what: format!("pending task {task}") },
            Refusal::TaskUnauthorized { user, step, why } => Self::TaskUnauthorized { user, step, why },
            Refusal::InvalidData { step, errors } => {
                Self::InvalidData { what: format!("the data for step `{step}`"), errors }
            }
        }
    }
}
