//! The types of events, in the words that stores, JSON and people use.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::Event;
use crate::status::{UnknownWord, words};

words! {
    /// What kind of thing happened; the `type` of an [`Event`] as JSON.
    EventType {
        /// [`Event::WorkflowStarted`].
        WorkflowStarted = "workflow_started",
        /// [`Event::WorkflowWaiting`].
        WorkflowWaiting = "workflow_waiting",
        /// [`Event::WorkflowResumed`].
        WorkflowResumed = "workflow_resumed",
        /// [`Event::WorkflowCompleted`].
        WorkflowCompleted = "workflow_completed",
        /// [`Event::WorkflowFailed`].
        WorkflowFailed = "workflow_failed",
        /// [`Event::WorkflowCanceled`].
        WorkflowCanceled = "workflow_canceled",
        /// [`Event::StepActivated`].
        StepActivated = "step_activated",
        /// [`Event::BranchJoined`].
        BranchJoined = "branch_joined",
        /// [`Event::StepStarted`].
        StepStarted = "step_started",
        /// [`Event::StepParked`].
        StepParked = "step_parked",
        /// [`Event::StepRetryScheduled`].
        StepRetryScheduled = "step_retry_scheduled",
        /// [`Event::StepCompleted`].
        StepCompleted = "step_completed",
        /// [`Event::StepSkipped`].
        StepSkipped = "step_skipped",
        /// [`Event::StepFailed`].
        StepFailed = "step_failed",
        /// [`Event::StepCanceled`].
        StepCanceled = "step_canceled",
        /// [`Event::HookEnded`].
        HookEnded = "hook_ended",
        /// [`Event::EdgesDecided`].
        EdgesDecided = "edges_decided",
        /// [`Event::TaskCreated`].
        TaskCreated = "task_created",
        /// [`Event::TaskClaimed`].
        TaskClaimed = "task_claimed",
        /// [`Event::TaskReassigned`].
        TaskReassigned = "task_reassigned",
        /// [`Event::TaskCompleted`].
        TaskCompleted = "task_completed",
        /// [`Event::TaskCanceled`].
        TaskCanceled = "task_canceled",
        /// [`Event::WorkflowPaused`].
        WorkflowPaused = "workflow_paused",
        /// [`Event::WorkflowRetried`].
        WorkflowRetried = "workflow_retried",
        /// [`Event::CompensationStarted`].
        CompensationStarted = "compensation_started",
        /// [`Event::BranchAbsorbed`].
        BranchAbsorbed = "branch_absorbed",
        /// [`Event::TaskReminded`].
        TaskReminded = "task_reminded",
        /// [`Event::TaskOverdue`].
        TaskOverdue = "task_overdue",
        /// [`Event::MessageKept`].
        MessageKept = "message_kept",
        /// [`Event::MessageTaken`].
        MessageTaken = "message_taken",
        /// [`Event::ChildStarted`].
        ChildStarted = "child_started",
        /// [`Event::ChildEnded`].
        ChildEnded = "child_ended",
    }
}

impl Event {
    /// What kind of thing happened.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::WorkflowStarted { .. } => EventType::WorkflowStarted,
            Self::WorkflowWaiting => EventType::WorkflowWaiting,
            Self::WorkflowResumed { .. } => EventType::WorkflowResumed,
            Self::WorkflowCompleted => EventType::WorkflowCompleted,
            Self::WorkflowFailed { .. } => EventType::WorkflowFailed,
            Self::WorkflowCanceled { .. } => EventType::WorkflowCanceled,
            Self::StepActivated { .. } => EventType::StepActivated,
            Self::BranchJoined { .. } => EventType::BranchJoined,
            Self::StepStarted { .. } => EventType::StepStarted,
            Self::StepParked { .. } => EventType::StepParked,
            Self::StepRetryScheduled { .. } => EventType::StepRetryScheduled,
            Self::StepCompleted { .. } => EventType::StepCompleted,
            Self::StepSkipped { .. } => EventType::StepSkipped,
            Self::StepFailed { .. } => EventType::StepFailed,
            Self::StepCanceled { .. } => EventType::StepCanceled,
            Self::HookEnded { .. } => EventType::HookEnded,
            Self::EdgesDecided { .. } => EventType::EdgesDecided,
            Self::TaskCreated { .. } => EventType::TaskCreated,
            Self::TaskClaimed { .. } => EventType::TaskClaimed,
            Self::TaskReassigned { .. } => EventType::TaskReassigned,
            Self::TaskCompleted { .. } => EventType::TaskCompleted,
            Self::TaskCanceled { .. } => EventType::TaskCanceled,
            Self::WorkflowPaused { .. } => EventType::WorkflowPaused,
            Self::WorkflowRetried { .. } => EventType::WorkflowRetried,
            Self::CompensationStarted { .. } => EventType::CompensationStarted,
            Self::BranchAbsorbed { .. } => EventType::BranchAbsorbed,
            Self::TaskReminded { .. } => EventType::TaskReminded,
            Self::TaskOverdue { .. } => EventType::TaskOverdue,
            Self::MessageKept { .. } => EventType::MessageKept,
            Self::MessageTaken { .. } => EventType::MessageTaken,
            Self::ChildStarted { .. } => EventType::ChildStarted,
            Self::ChildEnded { .. } => EventType::ChildEnded,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Every field that some event needs.
    fn event(word: &str) -> Event {
        let failure = json!({ "code": "c", "message": "m", "retryable": false, "details": null });
        let mut fields = json!({
            "type": word, "execution": 1, "step": "s", "step_type": "machine", "from": 1, "edge": 0, "attempt": 1,
            "failure": failure, "retry_at": "2026-01-01T00:00:00Z", "hook": "on-success", "edges": [], "reason": "r",
            "task": "01a20607-442f-722f-8252-1df4668eb21f", "user": "u", "to": "u",
            "steps": ["s"], "executions": [1], "message": 1, "child": "01a20607-442f-722f-8252-1df4668eb21f",
            "error": { "code": "c", "message": "m", "step": null, "details": null },
        });
        if word == "task_reassigned" {
            fields["from"] = json!("u");
        }
        serde_json::from_value(fields).unwrap_or_else(|error| panic!("{word}: {error}"))
    }

    #[test]
    fn the_word_of_an_events_type_is_the_one_that_the_event_has_as_json() {
        for wanted in EventType::ALL {
            let event = event(wanted.as_str());

            assert_eq!(event.event_type(), *wanted);
            assert_eq!(serde_json::to_value(&event).unwrap()["type"], wanted.as_str());
        }
    }

    #[test]
    fn a_word_that_is_no_type_is_refused_with_those_there_are() {
        let refused = "done".parse::<EventType>().unwrap_err().to_string();

        assert!(refused.starts_with("`done` is none of workflow_started, workflow_waiting, "), "{refused}");
    }
}
