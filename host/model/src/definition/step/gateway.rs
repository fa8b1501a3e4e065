//! Gateways: which of the steps after them follow.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Join, MachineStep, RetryPolicy, StepLimits};
use crate::definition::component_ref::ComponentRef;
use crate::grants::Grants;
use crate::json::Json;
use crate::time::Span;

/// Decides which of the steps after it follow: by the conditions of their edges, or by a component that names them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayStep {
    /// How many follow, where the edges' conditions decide; without it, `component` decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<GatewayMode>,
    /// The component that decides, one that exports `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentRef>,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Settings that the component may read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub config: BTreeMap<String, Json>,
    /// A CEL expression whose value is the component's input; without it, what the step before returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// How often and when a failed attempt of the component is followed by another.
    #[serde(default, skip_serializing_if = "RetryPolicy::is_default")]
    pub retry: RetryPolicy,
    /// How long one attempt of the component may take; longer is a failure with the code `engine.timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How much one attempt of the component may use.
    #[serde(default, skip_serializing_if = "StepLimits::is_default")]
    pub limits: StepLimits,
    /// What the component may reach beyond its cell, as far as the operator allows it too.
    #[serde(default, skip_serializing_if = "Grants::is_default")]
    pub grants: Grants,
    /// How it brings the branches together that lead to it.
    #[serde(default, skip_serializing_if = "Join::is_all")]
    pub join: Join,
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

impl GatewayStep {
    /// A gateway whose edges' conditions decide.
    #[must_use]
    pub fn of_mode(mode: GatewayMode) -> Self {
        Self { mode: Some(mode), ..Self::default() }
    }

    /// A gateway whose component decides.
    #[must_use]
    pub fn of_component(component: ComponentRef) -> Self {
        Self { component: Some(component), ..Self::default() }
    }

    /// Its component as a step that is attempted, where it has one.
    #[must_use]
    pub(crate) fn as_machine(&self) -> Option<MachineStep> {
        let component = self.component.clone()?;
        Some(MachineStep {
            config: self.config.clone(),
            input: self.input.clone(),
            retry: self.retry,
            timeout: self.timeout,
            limits: self.limits,
            grants: self.grants.clone(),
            ..MachineStep::new(component)
        })
    }
}
