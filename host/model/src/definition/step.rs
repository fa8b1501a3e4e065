//! The steps of a definition, one struct a kind.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::gateway::{GatewayMode, GatewayStep};
pub use self::group::{CompleteWhen, ConditionalGroup, OnMemberFailure, ParallelGroup, SequentialGroup};
pub use self::human::HumanStep;
pub use self::wait::{SignalStep, TimerStep, WebhookStep};
pub use self::workflow::WorkflowStep;
use super::component_ref::ComponentRef;
use crate::grants::Grants;
use crate::json::Json;
pub use crate::limits::StepLimits;
use crate::name::{ContextKey, StepName};
use crate::status::StepType;
use crate::time::{Span, Timestamp};

mod gateway;
mod group;
mod human;
mod wait;
mod workflow;

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
    /// Waits for a time.
    Timer(TimerStep),
    /// Waits for a callback from outside.
    Webhook(WebhookStep),
    /// Waits for a message that is sent to the instance by name.
    Signal(SignalStep),
    /// Steps that run one after another, as one step.
    Sequential(SequentialGroup),
    /// Steps that run at once, as one step.
    Parallel(ParallelGroup),
    /// Steps of which one runs, as one step.
    Conditional(ConditionalGroup),
    /// Another workflow, run as a step.
    Workflow(WorkflowStep),
}

/// Gives one field of whatever kind a step is.
macro_rules! of_any {
    ($step:expr, $field:ident) => {
        match $step {
            Self::Machine(step) => &step.$field,
            Self::Human(step) => &step.$field,
            Self::Gateway(step) => &step.$field,
            Self::Timer(step) => &step.$field,
            Self::Webhook(step) => &step.$field,
            Self::Signal(step) => &step.$field,
            Self::Sequential(step) => &step.$field,
            Self::Parallel(step) => &step.$field,
            Self::Conditional(step) => &step.$field,
            Self::Workflow(step) => &step.$field,
        }
    };
}

impl StepDefinition {
    /// The kinds that there are, as `type:` names them.
    pub const TYPES: &'static [&'static str] = &[
        "machine",
        "human",
        "gateway",
        "timer",
        "webhook",
        "signal",
        "sequential",
        "parallel",
        "conditional",
        "workflow",
    ];

    /// What kind of step it is.
    #[must_use]
    pub const fn step_type(&self) -> StepType {
        match self {
            Self::Machine(_) => StepType::Machine,
            Self::Human(_) => StepType::Human,
            Self::Gateway(_) => StepType::Gateway,
            Self::Timer(_) => StepType::Timer,
            Self::Webhook(_) => StepType::Webhook,
            Self::Signal(_) => StepType::Signal,
            Self::Sequential(_) => StepType::Sequential,
            Self::Parallel(_) => StepType::Parallel,
            Self::Conditional(_) => StepType::Conditional,
            Self::Workflow(_) => StepType::Workflow,
        }
    }

    /// What the step is for, where the definition says so.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        of_any!(self, description).as_deref()
    }

    /// How it brings branches together.
    #[must_use]
    pub const fn join(&self) -> Join {
        *of_any!(self, join)
    }

    /// Whether its end is the end of every branch.
    #[must_use]
    pub const fn terminates(&self) -> bool {
        match self {
            Self::Gateway(_) => false,
            Self::Machine(MachineStep { terminate, .. })
            | Self::Human(HumanStep { terminate, .. })
            | Self::Timer(TimerStep { terminate, .. })
            | Self::Webhook(WebhookStep { terminate, .. })
            | Self::Signal(SignalStep { terminate, .. })
            | Self::Sequential(SequentialGroup { terminate, .. })
            | Self::Parallel(ParallelGroup { terminate, .. })
            | Self::Conditional(ConditionalGroup { terminate, .. })
            | Self::Workflow(WorkflowStep { terminate, .. }) => *terminate,
        }
    }

    /// The component that undoes what the step did.
    #[must_use]
    pub const fn compensate(&self) -> Option<&ComponentRef> {
        match self {
            Self::Gateway(_) | Self::Timer(_) => None,
            Self::Machine(MachineStep { compensate, .. })
            | Self::Human(HumanStep { compensate, .. })
            | Self::Webhook(WebhookStep { compensate, .. })
            | Self::Signal(SignalStep { compensate, .. })
            | Self::Sequential(SequentialGroup { compensate, .. })
            | Self::Parallel(ParallelGroup { compensate, .. })
            | Self::Conditional(ConditionalGroup { compensate, .. })
            | Self::Workflow(WorkflowStep { compensate, .. }) => compensate.as_ref(),
        }
    }

    /// What its component asks to reach beyond its cell; none where it runs no component.
    #[must_use]
    pub const fn grants(&self) -> Option<&Grants> {
        match self {
            Self::Machine(step) => Some(&step.grants),
            Self::Gateway(step) => Some(&step.grants),
            Self::Human(_)
            | Self::Timer(_)
            | Self::Webhook(_)
            | Self::Signal(_)
            | Self::Sequential(_)
            | Self::Parallel(_)
            | Self::Conditional(_)
            | Self::Workflow(_) => None,
        }
    }

    /// The list that the step runs once for each item of, and how many at once.
    #[must_use]
    pub const fn for_each(&self) -> Option<(&ContextKey, Option<u32>)> {
        let (key, max_concurrency) = match self {
            Self::Machine(step) => (&step.for_each, step.max_concurrency),
            Self::Human(step) => (&step.for_each, step.max_concurrency),
            Self::Sequential(step) => (&step.for_each, step.max_concurrency),
            Self::Workflow(step) => (&step.for_each, step.max_concurrency),
            Self::Gateway(_)
            | Self::Timer(_)
            | Self::Webhook(_)
            | Self::Signal(_)
            | Self::Parallel(_)
            | Self::Conditional(_) => return None,
        };
        match key {
            Some(key) => Some((key, max_concurrency)),
            None => None,
        }
    }

    /// Its members by name; none where it is no group.
    #[must_use]
    pub const fn members(&self) -> Option<&IndexMap<StepName, Self>> {
        match self {
            Self::Sequential(group) => Some(&group.steps),
            Self::Parallel(group) => Some(&group.steps),
            Self::Conditional(group) => Some(&group.steps),
            Self::Machine(_)
            | Self::Human(_)
            | Self::Gateway(_)
            | Self::Timer(_)
            | Self::Webhook(_)
            | Self::Signal(_)
            | Self::Workflow(_) => None,
        }
    }

    /// The step that is given the results of a parallel group.
    #[must_use]
    pub fn callback(&self) -> Option<&Self> {
        match self {
            Self::Parallel(group) => group.callback.as_deref(),
            _ => None,
        }
    }
}

/// How a step brings the branches together that lead to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// It waits for every branch that can still come.
    #[default]
    All,
    /// It runs when the first one comes; the others end there.
    Any,
}

impl Join {
    /// Whether it is the usual one.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
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
    /// What it may reach beyond its cell, as far as the operator allows it too.
    #[serde(default, skip_serializing_if = "Grants::is_default")]
    pub grants: Grants,
    /// A context key that holds a list: the step runs once for each item, which is its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ContextKey>,
    /// How many items run at once; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// The component that undoes what the step did, should the instance fail for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<ComponentRef>,
    /// How it brings the branches together that lead to it.
    #[serde(default, skip_serializing_if = "Join::is_all")]
    pub join: Join,
    /// Whether its end is the end of every branch of the instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
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
            grants: Grants::default(),
            for_each: None,
            max_concurrency: None,
            compensate: None,
            join: Join::default(),
            terminate: false,
        }
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

    fn is_default(&self) -> bool {
        *self == Self::default()
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
