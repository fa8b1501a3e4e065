//! Named places at which a test lets the engine fail or end. Compiled with the feature `failpoints` alone.
//!
//! `fail_point!(inner, Place)` is an `Ok` without the feature. With it, it asks the plan of the engine, which may let
//! the place pass, answer as a store does that can not be reached, or never let anything of the place go on, as if the
//! process had ended there: whoever made the plan then abandons the engine.

use std::fmt;
use std::sync::{Arc, OnceLock};

use stepcell_model::history::Event;
use stepcell_model::transition::Transition;
use stepcell_store::StoreError;

use crate::engine::WorkflowEngine;

macro_rules! places {
    ($(#[$doc:meta])* $name:ident { $($(#[$place_doc:meta])* $place:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$place_doc])* $place),+ }

        impl $name {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$place),+];
        }
    };
}

places! {
    /// Somewhere in the engine.
    FailPoint {
        /// A transition is decided, and about to be committed.
        CommitBegins,
        /// A transition is committed, and nobody was told.
        CommitDone,
        /// A driver begins to look at its instance.
        DriverBegins,
        /// A driver found that somebody else was first, and decides again.
        DecidesAgain,
        /// Nothing of an instance can move any more, and its driver is about to go.
        DriverRetires,
        /// An attempt that waited for room was given some.
        RoomGiven,
        /// An attempt has room, and its guest is about to run.
        GuestBegins,
        /// A guest has run, and nobody knows what came of it.
        GuestEnds,
        /// `on-failure` is about to run.
        HookBegins,
        /// `on-failure` has run, and nobody knows what came of it.
        HookEnds,
        /// Instances were found whose time has come.
        TimeComes,
        /// Letters were found that are to be handed over.
        LettersFound,
        /// A letter has had its effect, and is still there.
        LetterHandedOver,
        /// Letters that were handed over are removed.
        LettersRemoved,
        /// It was taken from the store what other processes changed.
        NudgesTaken,
        /// The engine begins to go on with what was running when it last stopped.
        RecoveryBegins,
        /// The engine is told to let its attempts end.
        StopBegins,
    }
}

places! {
    /// What a transition is about, by the first of these that holds.
    TransitionKind {
        /// An instance is started.
        Start,
        /// An attempt was cut off by the end of a host.
        Interrupted,
        /// An instance is canceled.
        Canceled,
        /// An operator holds an instance.
        Paused,
        /// An operator lets a failed instance go on.
        Retried,
        /// An operator lets an instance go on that was held.
        Resumed,
        /// Somebody takes a task.
        TaskClaimed,
        /// A task is given to somebody else.
        TaskReassigned,
        /// A task is completed.
        TaskCompleted,
        /// A message came before its step was reached.
        MessageKept,
        /// A message came to the step that waited for it.
        MessageTaken,
        /// Another instance has ended.
        ChildEnded,
        /// A time came to remind of a task, or until when it was to be done.
        TaskTimed,
        /// `on-failure` has ended.
        HookEnded,
        /// What several attempts came to is committed together.
        Fused,
        /// An attempt failed, and another one follows.
        RetryScheduled,
        /// An attempt has failed for good.
        AttemptFailed,
        /// An attempt has ended, or a wait.
        StepEnded,
        /// An attempt begins.
        AttemptBegun,
        /// Anything else, such as the beginning of `on-failure`.
        Other,
    }
}

/// What happens where a fail point is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailAction {
    /// Nothing.
    Pass,
    /// The store can not be reached.
    Fail,
    /// Whoever came here never goes on.
    Crash,
}

/// Says what happens at a fail point; at those of commits it is told what is committed.
pub type FailPlan = Arc<dyn Fn(FailPoint, Option<TransitionKind>) -> FailAction + Send + Sync>;

/// The plan of one engine.
#[derive(Default)]
pub(crate) struct Fails(OnceLock<FailPlan>);

impl fmt::Debug for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fails").field(&self.0.get().is_some()).finish()
    }
}

impl Fails {
    pub(crate) async fn reach(&self, point: FailPoint, kind: Option<TransitionKind>) -> Result<(), StoreError> {
        let action = self.0.get().map_or(FailAction::Pass, |plan| plan(point, kind));
        match action {
            FailAction::Pass => Ok(()),
            FailAction::Fail => {
                let source = Arc::new(std::io::Error::other("a test says so"));
                Err(StoreError::Unavailable { action: format!("go on after {point:?}"), source })
            }
            FailAction::Crash => std::future::pending().await,
        }
    }
}

impl WorkflowEngine {
    /// Lets a plan say what happens at each fail point of this engine; the first one stays.
    pub fn set_fail_plan(&self, plan: FailPlan) {
        let _ = self.inner.fails.0.set(plan);
    }
}

impl TransitionKind {
    /// What a transition is about.
    #[must_use]
    pub fn of(transition: &Transition) -> Self {
        let events = &transition.events;
        if is_fused(events) {
            return Self::Fused;
        }
        events.iter().map(Self::of_event).min().unwrap_or(Self::Other)
    }

    fn of_event(event: &Event) -> Self {
        match event {
            Event::WorkflowStarted { .. } => Self::Start,
            Event::StepRetryScheduled { trace: None, .. } => Self::Interrupted,
            Event::WorkflowCanceled { .. } => Self::Canceled,
            Event::WorkflowPaused { .. } => Self::Paused,
            Event::WorkflowRetried { .. } => Self::Retried,
            Event::WorkflowResumed { by: Some(_) } => Self::Resumed,
            Event::TaskClaimed { .. } => Self::TaskClaimed,
            Event::TaskReassigned { .. } => Self::TaskReassigned,
            Event::TaskCompleted { .. } => Self::TaskCompleted,
            Event::MessageKept { .. } => Self::MessageKept,
            Event::MessageTaken { .. } => Self::MessageTaken,
            Event::ChildEnded { .. } => Self::ChildEnded,
            Event::TaskReminded { .. } | Event::TaskOverdue { .. } => Self::TaskTimed,
            Event::HookEnded { .. } => Self::HookEnded,
            Event::StepRetryScheduled { .. } => Self::RetryScheduled,
            Event::StepFailed { .. } => Self::AttemptFailed,
            Event::StepCompleted { .. } | Event::StepSkipped { .. } => Self::StepEnded,
            Event::StepStarted { .. } => Self::AttemptBegun,
            _ => Self::Other,
        }
    }
}

/// Whether an attempt both begins and ends in it.
fn is_fused(events: &[Event]) -> bool {
    let started = |event: &Event| match event {
        Event::StepStarted { execution, .. } => Some(*execution),
        _ => None,
    };
    let begun: Vec<_> = events.iter().filter_map(started).collect();
    events.iter().any(|event| matches!(event, Event::StepCompleted { execution, .. } if begun.contains(execution)))
}
