//! Human steps: what a person is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Join;
use crate::definition::component_ref::ComponentRef;
use crate::json::Json;
use crate::name::{ContextKey, GroupId, UserId};
use crate::time::Span;

/// A task that a person completes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HumanStep {
    /// What to do, in one line; may contain `{context.key}`, and `{item}` in a `for_each`. Without it, the step's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What to do, at length; may contain the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema that the answer must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub form_schema: Option<Json>,
    /// The user who shall do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<UserId>,
    /// The context key that holds the id of the user who shall do it; `item` in a `for_each` is the item itself.
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
    /// How long until it is given up: the step fails with the outcome `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
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
