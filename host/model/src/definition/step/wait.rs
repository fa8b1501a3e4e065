//! Steps that wait: for a time, a callback, a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Join;
use crate::definition::component_ref::ComponentRef;
use crate::name::{ContextKey, SignalName};
use crate::time::{Span, Timestamp};

/// Waits for a time. Exactly one of `duration`, `until` and `duration_key` says which.
///
/// It returns what came to it. A time that is past, or a duration of nothing or less, passes at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimerStep {
    /// How long it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Until when it waits, such as `2026-12-24T18:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// The context key that holds how long it waits: a duration such as `5m`, or a number of seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_key: Option<ContextKey>,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it brings the branches together that lead to it.
    #[serde(default, skip_serializing_if = "Join::is_all")]
    pub join: Join,
    /// Whether its end is the end of every branch of the instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
}

/// Waits for a callback from outside. Its payload is the step's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookStep {
    /// The context key that the payload is put under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_key: Option<ContextKey>,
    /// Whether each delivery must be signed as Standard Webhooks says, with the secret that belongs to the address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
    /// How long it waits; then the step fails with the outcome `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
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

/// Waits for a message that is sent to the instance by name. Its payload is the step's result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalStep {
    /// The name of the message; without it, the step's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalName>,
    /// The context key that the payload is put under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_key: Option<ContextKey>,
    /// How long it waits; then the step fails with the outcome `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
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
