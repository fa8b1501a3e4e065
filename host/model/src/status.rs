//! Where an instance, an execution or a task stands, in the words that users see.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every value, in declared order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stores, JSON and people use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { text: text.to_owned(), known: &[$($word),+] }),
                }
            }
        }
    };
}

pub(crate) use words;

/// A text is none of the words that it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is none of {}", known.join(", "))]
pub struct UnknownWord {
    /// What was given.
    pub text: String,
    /// What may be given.
    pub known: &'static [&'static str],
}

words! {
    /// Where an instance stands.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::status::WorkflowStatus;
    ///
    /// assert_eq!("canceled".parse(), Ok(WorkflowStatus::Canceled));
    /// assert!(WorkflowStatus::Canceled.is_finished());
    /// ```
    WorkflowStatus {
        /// Stored, and nothing has started it yet.
        Pending = "pending",
        /// Something of it can move by itself.
        Running = "running",
        /// Every active branch waits: for a person, a time, a message, a retry.
        Waiting = "waiting",
        /// An operator holds it: nothing new starts.
        Paused = "paused",
        /// Every branch came to its end.
        Completed = "completed",
        /// A step failed for good, or no edge could be taken.
        Failed = "failed",
        /// Somebody canceled it.
        Canceled = "canceled",
    }
}

impl WorkflowStatus {
    /// Whether nothing will move the instance any more, short of a retry.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

words! {
    /// Where an execution of a step stands.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::status::StepStatus;
    ///
    /// assert_eq!(StepStatus::Skipped.to_string(), "skipped");
    /// ```
    StepStatus {
        /// It waits in a join for other branches.
        Pending = "pending",
        /// It will run as soon as there is room, or when its retry delay is over.
        Scheduled = "scheduled",
        /// An attempt runs.
        Running = "running",
        /// It waits for somebody or something outside.
        Waiting = "waiting",
        /// It returned a result.
        Succeeded = "succeeded",
        /// It failed for good.
        Failed = "failed",
        /// It was canceled with its branch or its instance.
        Canceled = "canceled",
        /// `can-execute` said no.
        Skipped = "skipped",
    }
}

words! {
    /// What kind of step it is.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::status::StepType;
    ///
    /// assert_eq!("human".parse(), Ok(StepType::Human));
    /// assert!("person".parse::<StepType>().is_err());
    /// ```
    StepType {
        /// A component that the host runs by itself.
        Machine = "machine",
        /// A task that a person completes.
        Human = "human",
        /// Waits for a callback from outside.
        Webhook = "webhook",
        /// Waits for a time.
        Timer = "timer",
        /// Decides which of the steps after it follow.
        Gateway = "gateway",
        /// Waits for a message that is sent to the instance by name.
        Signal = "signal",
        /// Steps that run one after another, as one step.
        Sequential = "sequential",
        /// Steps that run at once, as one step.
        Parallel = "parallel",
        /// Steps of which one runs, as one step.
        Conditional = "conditional",
        /// A step that runs once for each item of a list.
        ForEach = "for_each",
        /// Another workflow, run as a step.
        Workflow = "workflow",
    }
}

words! {
    /// Where a human task stands.
    TaskStatus {
        /// Somebody still has to do it.
        Pending = "pending",
        /// Somebody did it.
        Completed = "completed",
        /// It went with its branch or its instance.
        Canceled = "canceled",
    }
}
