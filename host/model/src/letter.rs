//! What one instance has to tell another: kept in the sender's transition, and handed over at least once.
//!
//! The engine hands letters over in the order in which they were written, those to one instance one after another.
//! Each is safe to be handed over again: a child is started once under its id, a child that is finished is not
//! canceled, and an end that nobody waits for any more changes nothing.

use serde::{Deserialize, Serialize};

use crate::definition::VersionRequirement;
use crate::failure::InstanceError;
use crate::id::InstanceId;
use crate::json::Json;
use crate::name::WorkflowName;
use crate::record::ParentLink;
use crate::transition::Compensation;

/// How deep workflows may start each other; a workflow that calls itself without bound ends there.
pub const CHILD_DEPTH_MAX: u32 = 8;

/// Something that one instance has to tell another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// A step of type workflow was reached: the child is to be started.
    StartChild(ChildStart),
    /// The step that waited for a child was canceled or timed out.
    CancelChild {
        /// The child.
        child: InstanceId,
        /// Why.
        reason: String,
        /// What becomes of what it did.
        #[serde(default)]
        compensation: Compensation,
    },
    /// A child is finished.
    ChildEnded {
        /// Who waits for it, and at which execution.
        parent: ParentLink,
        /// The child.
        child: InstanceId,
        /// How it finished.
        outcome: ChildOutcome,
    },
}

/// A child that is to be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildStart {
    /// The id that it gets: the same however often it is started.
    pub child: InstanceId,
    /// Who waits for it, and at which execution.
    pub parent: ParentLink,
    /// The workflow.
    pub workflow: WorkflowName,
    /// Which version; the latest active release without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRequirement>,
    /// Its initial data.
    pub data: Json,
}

/// How a child finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ChildOutcome {
    /// It completed.
    Completed {
        /// Its result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Json>,
    },
    /// It failed, was canceled, or could not be started.
    Failed {
        /// Why.
        error: InstanceError,
    },
}

impl Letter {
    /// The instances that it is about: whoever it is for, and whoever it tells of.
    #[must_use]
    pub fn about(&self) -> Vec<InstanceId> {
        match self {
            Self::StartChild(start) => vec![start.child, start.parent.instance],
            Self::CancelChild { child, .. } => vec![*child],
            Self::ChildEnded { parent, child, .. } => vec![parent.instance, *child],
        }
    }

    /// The instance that it is for.
    #[must_use]
    pub const fn recipient(&self) -> InstanceId {
        match self {
            Self::StartChild(start) => start.child,
            Self::CancelChild { child, .. } => *child,
            Self::ChildEnded { parent, .. } => parent.instance,
        }
    }
}
