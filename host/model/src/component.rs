//! What the engine can use a component as.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{UnknownWord, words};

words! {
    /// An interface that the engine calls.
    Export {
        /// What a machine step runs.
        Step = "step",
        /// What a gateway asks.
        Gateway = "gateway",
    }
}

words! {
    /// Which of the interfaces that the engine calls a component exports; one that exports none is no component of
    /// ours.
    ComponentExports {
        /// A step.
        Step = "step",
        /// A gateway.
        Gateway = "gateway",
        /// A step and a gateway.
        Both = "both",
    }
}

impl ComponentExports {
    /// The interfaces that it exports.
    #[must_use]
    pub const fn list(self) -> &'static [Export] {
        match self {
            Self::Step => &[Export::Step],
            Self::Gateway => &[Export::Gateway],
            Self::Both => &[Export::Step, Export::Gateway],
        }
    }

    /// Checks that the component can be used as what a step needs.
    ///
    /// # Errors
    /// [`LacksExport`], for whoever wrote the step.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::component::{ComponentExports, Export};
    ///
    /// assert!(ComponentExports::Both.check(Export::Gateway).is_ok());
    /// assert!(ComponentExports::Step.check(Export::Gateway).is_err());
    /// ```
    pub fn check(self, needed: Export) -> Result<(), LacksExport> {
        if self.list().contains(&needed) { Ok(()) } else { Err(LacksExport { needed }) }
    }
}

words! {
    /// What a component may want of its host beyond the data of its own attempt. What it imports says what it could
    /// use, and its grants what it may; one that has neither can not be told from one that did not run.
    Capability {
        /// Requests to other hosts.
        Http = "http",
        /// Confidential settings.
        Secrets = "secrets",
        /// The time of day, and time that passes.
        Clock = "clock",
        /// Random numbers.
        Randomness = "randomness",
    }
}

/// A component lacks the interface that a step needs; what it exports is the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", match needed {
    Export::Step => "exports `gateway` and no `step`, which a machine step needs; name another component, or make it a gateway step",
    Export::Gateway => "exports `step` and no `gateway`, which a gateway needs; name another component, or make it a machine step",
})]
pub struct LacksExport {
    /// What the step needs.
    pub needed: Export,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_what_it_exports_and_says_what_it_lacks() {
        use ComponentExports::{Both, Gateway, Step};

        for (exports, needed, fits) in [
            (Step, Export::Step, true),
            (Step, Export::Gateway, false),
            (Gateway, Export::Step, false),
            (Gateway, Export::Gateway, true),
            (Both, Export::Step, true),
            (Both, Export::Gateway, true),
        ] {
            assert_eq!(exports.check(needed).is_ok(), fits, "{exports} {needed}");
        }
        for (exports, needed) in [(Gateway, Export::Step), (Step, Export::Gateway)] {
            let told = exports.check(needed).unwrap_err().to_string();
            assert!(told.starts_with(&format!("exports `{exports}` and no `{needed}`, which a ")), "{told}");
        }
    }

    #[test]
    fn the_words_that_are_stored_read_back() {
        for exports in ComponentExports::ALL {
            assert_eq!(exports.as_str().parse(), Ok(*exports));
        }
        for capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(*capability));
        }
    }
}
