//! The steps of a definition, one struct a kind.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::component_ref::ComponentRef;
use crate::json::Json;
use crate::name::{ContextKey, GroupId, UserId};
use crate::status::StepType;
use crate::time::{ByteSize, Span, Timestamp};

/// The most attempts that a retry policy may allow.
pub const ATTEMPTS_MAX: u32 = 100;

/// One step, by its `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepDefinition {
    /// A component that the host runs by itself.
    Machine(MachineStep),
    /// A task that a person completes.
    Human(HumanStep),
    /// Decides which of the steps after it follow.
    Gateway(GatewayStep),
}

impl StepDefinition {
    /// The kinds that this version knows, as `type:` names them.
    pub const TYPES: &'static [&'static str] = &["machine", "human", "gateway"];

    /// What kind of step it is.
    #[must_use]
    pub const fn step_type(&self) -> StepType {
        match self {
            Self::Machine(_) => StepType::Machine,
            Self::Human(_) => StepType::Human,
            Self::Gateway(_) => StepType::Gateway,
        }
    }

    /// What the step is for, where the definition says so.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::Machine(step) => step.description.as_deref(),
            Self::Human(step) => step.description.as_deref(),
            Self::Gateway(step) => step.description.as_deref(),
        }
    }
}

/// A component that the host runs by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineStep {
    /// What runs: `name@version`, `sha256:<hex>`, or a path to a file beside the definition.
    pub component: ComponentRef,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Settings that the component may read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub config: BTreeMap<String, Json>,
    /// A CEL expression whose value is the step's input; without it, what the step before returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// How often and when a failed attempt is followed by another.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// How long one attempt may take; longer is a failure with the code `engine.timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How much one attempt may use.
    #[serde(default, skip_serializing_if = "StepLimits::is_default")]
    pub limits: StepLimits,
}

impl MachineStep {
    /// A step that runs `component` with the defaults.
    #[must_use]
    pub fn new(component: ComponentRef) -> Self {
        Self {
            component,
            description: None,
            config: BTreeMap::new(),
            input: None,
            retry: RetryPolicy::default(),
            timeout: None,
            limits: StepLimits::default(),
        }
    }
}

/// How much one attempt may use; what is not given has the host's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepLimits {
    /// Bytes over all linear memories: 64 KiB to 512 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Time on a CPU: 1 ms to 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Span>,
    /// Time on the wall: 1 ms to 15 min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<Span>,
}

impl StepLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How often and when a failed attempt is followed by another.
///
/// Only failures that may pass are retried: those that the step calls retryable, time-outs, and faults of the host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first among them: 1 to 100.
    #[serde(default = "RetryPolicy::default_max_attempts")]
    pub max_attempts: u32,
    /// The wait before the second attempt.
    #[serde(default = "RetryPolicy::default_initial_delay")]
    pub initial_delay: Span,
    /// What each further wait is multiplied by, at least 1.
    #[serde(default = "RetryPolicy::default_backoff")]
    pub backoff: f64,
    /// The longest wait.
    #[serde(default = "RetryPolicy::default_max_delay")]
    pub max_delay: Span,
    /// How waits are spread, so that many failures at once do not come back at once.
    #[serde(default)]
    pub jitter: Jitter,
}

/// How waits are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Anything between nothing and the whole wait.
    #[default]
    Full,
    /// The whole wait, always.
    None,
}

impl RetryPolicy {
    const fn default_max_attempts() -> u32 {
        3
    }

    const fn default_initial_delay() -> Span {
        Span::new(Duration::from_millis(500))
    }

    const fn default_backoff() -> f64 {
        2.0
    }

    const fn default_max_delay() -> Span {
        Span::new(Duration::from_secs(30))
    }

    /// A policy that never retries.
    #[must_use]
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// When the attempt after `attempt` may begin.
    ///
    /// `spread` is a number from 0 to 1 that full jitter multiplies the wait by; `at_least` is what the step asked for.
    #[must_use]
    pub fn retry_at(&self, now: Timestamp, attempt: u32, spread: f64, at_least: Duration) -> Timestamp {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let max_s = self.max_delay.length().as_secs_f64();
        let full_s = (self.initial_delay.length().as_secs_f64() * self.backoff.powi(exponent)).min(max_s);
        let wait_s = match self.jitter {
            Jitter::Full => full_s * spread.clamp(0.0, 1.0),
            Jitter::None => full_s,
        };
        now.after(Duration::try_from_secs_f64(wait_s).unwrap_or(self.max_delay.length()).max(at_least))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: Self::default_max_attempts(),
            initial_delay: Self::default_initial_delay(),
            backoff: Self::default_backoff(),
            max_delay: Self::default_max_delay(),
            jitter: Jitter::default(),
        }
    }
}

/// A task that a person completes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HumanStep {
    /// What to do, in one line; may contain `{context.key}`. Without it, the step's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What to do, at length; may contain `{context.key}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema that the answer must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub form_schema: Option<Json>,
    /// The user who shall do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<UserId>,
    /// The context key that holds the id of the user who shall do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee_key: Option<ContextKey>,
    /// The group whose members may do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee_group: Option<GroupId>,
    /// How long until it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_in: Option<Span>,
    /// How long until a reminder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder_in: Option<Span>,
}

/// Decides which of the steps after it follow, by the conditions of their edges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayStep {
    /// How many follow.
    pub mode: GatewayMode,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How many of the steps after a gateway follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GatewayMode {
    /// The first whose condition holds.
    #[default]
    Exclusive,
    /// All whose condition holds.
    Inclusive,
    /// All.
    Parallel,
}
