//! What the engine can use a component as.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::grants::Grants;
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

words! {
    /// What lets a component reach beyond its cell, if it is granted; a component that does not import it never can.
    Capability {
        /// It can send HTTP requests.
        Http = "http",
        /// It can read secrets.
        Secrets = "secrets",
        /// It can ask for the time.
        Clock = "clock",
        /// It can draw random bits.
        Randomness = "randomness",
    }
}

words! {
    /// Whether anybody outside can tell an attempt of a step from none at all.
    Purity {
        /// Nobody can: to run it again after a crash is invisible.
        Pure = "pure",
        /// It can send requests, or comes to something else each time.
        Effectful = "effectful",
    }
}

impl Purity {
    /// What a step is whose component imports `capabilities` and whose definition asks for `grants`.
    ///
    /// The operator's policy can only take away, so it does not matter here. A secret is the same for every attempt
    /// until somebody changes it, and nobody outside learns that it was read.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::component::{Capability, Purity};
    /// use stepcell_model::grants::Grants;
    ///
    /// let asked: Grants = serde_json::from_str(r#"{"http": ["https://api.example"]}"#)?;
    /// assert_eq!(Purity::of(&[Capability::Http], &asked), Purity::Effectful);
    /// assert_eq!(Purity::of(&[Capability::Http], &Grants::default()), Purity::Pure);
    /// assert_eq!(Purity::of(&[Capability::Clock], &asked), Purity::Pure);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn of(capabilities: &[Capability], grants: &Grants) -> Self {
        let reaches = capabilities.iter().any(|capability| match capability {
            Capability::Http => !grants.http.is_empty(),
            Capability::Clock => !grants.clock.is_default(),
            Capability::Randomness => !grants.randomness.is_default(),
            Capability::Secrets => false,
        });
        if reaches { Self::Effectful } else { Self::Pure }
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
