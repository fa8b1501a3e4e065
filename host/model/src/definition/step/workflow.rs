//! Workflows as steps of others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Join;
use crate::definition::component_ref::{ComponentRef, VersionRequirement};
use crate::name::{ContextKey, WorkflowName};
use crate::time::Span;

/// Another workflow, run as a step: an instance of its own, whose result is the step's.
///
/// When the step is canceled or times out, so is that instance; when that instance fails, so does the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowStep {
    /// The workflow's name.
    pub workflow: WorkflowName,
    /// Which version: all of it, or its beginning as in `1`; without it the latest active release when the step runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRequirement>,
    /// A CEL expression whose value is the initial data; without it, what the step before returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The context key that the result is put under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_key: Option<ContextKey>,
    /// How long it may take; then the step fails with the outcome `timeout`, and the other instance is canceled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
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

impl WorkflowStep {
    /// A step that runs the latest version of a workflow with what the step before returned.
    #[must_use]
    pub const fn new(workflow: WorkflowName) -> Self {
        Self {
            workflow,
            version: None,
            input: None,
            result_key: None,
            timeout: None,
            description: None,
            for_each: None,
            max_concurrency: None,
            compensate: None,
            join: Join::All,
            terminate: false,
        }
    }
}
