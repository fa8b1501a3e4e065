//! Groups: several steps as one.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Join, StepDefinition};
use crate::definition::component_ref::ComponentRef;
use crate::name::{ContextKey, StepName};

/// Steps that run one after another, each given what the one before returned. Its result is the last one's.
///
/// Without members it returns what came to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequentialGroup {
    /// The members by name, in their order.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, StepDefinition>")]
    pub steps: IndexMap<StepName, StepDefinition>,
    /// What the group is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A context key that holds a list: the group runs once for each item, which is its input.
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

/// Steps that run at once. Its result is the list of their results in declared order, or the callback's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParallelGroup {
    /// The members by name.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, StepDefinition>")]
    pub steps: IndexMap<StepName, StepDefinition>,
    /// A step that is given the list of results; what it returns is the group's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Box<StepDefinition>>,
    /// What becomes of the other members when so many failed that the group must fail.
    #[serde(default)]
    pub on_member_failure: OnMemberFailure,
    /// How many members must have succeeded for the group to succeed; the others are then canceled.
    #[serde(default)]
    pub complete_when: CompleteWhen,
    /// How many members run at once; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// What the group is for.
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

/// Steps of which one runs: the one whose name a context value is. Its result is the group's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionalGroup {
    /// The context key whose value names a member.
    pub key: ContextKey,
    /// The members by name.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, StepDefinition>")]
    pub steps: IndexMap<StepName, StepDefinition>,
    /// The member that runs when the value names none; without it none does, and the result is `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<StepName>,
    /// What the group is for.
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

/// What becomes of the other members of a parallel group that must fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMemberFailure {
    /// They are canceled, and the group fails at once.
    #[default]
    Cancel,
    /// They end first, and then the group fails.
    Wait,
}

/// How many members of a parallel group must have succeeded for the group to succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(with = "CompleteWhenText", description = "`all`, `any`, or a number of members.")]
pub enum CompleteWhen {
    /// All of them.
    #[default]
    All,
    /// The first one, whose result is the group's; the others are canceled.
    Any,
    /// This many; the others are canceled.
    Count(u32),
}

/// What the published schema says of [`CompleteWhen`].
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum CompleteWhenText {
    Word(CompleteWhenWord),
    Count(std::num::NonZeroU32),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
#[expect(dead_code, reason = "only its schema is used")]
enum CompleteWhenWord {
    All,
    Any,
}

impl CompleteWhen {
    /// How many members of so many must succeed.
    #[must_use]
    pub const fn quorum(self, members: usize) -> usize {
        match self {
            Self::All => members,
            Self::Any => 1,
            Self::Count(count) => count as usize,
        }
    }
}

impl Serialize for CompleteWhen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Any => serializer.serialize_str("any"),
            Self::Count(count) => serializer.serialize_u32(*count),
        }
    }
}

impl<'de> Deserialize<'de> for CompleteWhen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CompleteWhenVisitor)
    }
}

struct CompleteWhenVisitor;

impl Visitor<'_> for CompleteWhenVisitor {
    type Value = CompleteWhen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`all`, `any`, or a number of members from 1")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<CompleteWhen, E> {
        match text {
            "all" => Ok(CompleteWhen::All),
            "any" => Ok(CompleteWhen::Any),
            other => Err(E::custom(format!("`{other}` is none of `all`, `any`, or a number of members from 1"))),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<CompleteWhen, E> {
        match u32::try_from(count) {
            Ok(count) if count > 0 => Ok(CompleteWhen::Count(count)),
            _ => Err(E::custom(format!("{count} members can not succeed; it is `all`, `any`, or a number from 1"))),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<CompleteWhen, E> {
        match u64::try_from(count) {
            Ok(count) => self.visit_u64(count),
            Err(_) => {
                Err(E::custom(format!("{count} members can not succeed; it is `all`, `any`, or a number from 1")))
            }
        }
    }
}
