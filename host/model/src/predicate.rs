//! Conditions that the embedding program decides: the definition names them, the program has registered them.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::expression::Scope;
use crate::name::PredicateName;

/// What decides: looks at what an expression could look at, and says yes, no, or why it can not.
///
/// It is part of the pure transition function: the same scope gives the same answer, at once and without effects.
pub type Decide = dyn Fn(&Scope<'_>) -> Result<bool, String> + Send + Sync;

/// One registered predicate.
#[derive(Clone)]
pub struct Predicate {
    name: PredicateName,
    decide: Arc<Decide>,
}

impl Predicate {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &PredicateName {
        &self.name
    }

    /// Decides. A panic of the program's code is an error of this decision, and of nothing else.
    ///
    /// # Errors
    /// What the program says, or that it panicked.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<bool, String> {
        catch_unwind(AssertUnwindSafe(|| (self.decide)(scope)))
            .unwrap_or_else(|_| Err(format!("the predicate `{}` panicked", self.name)))
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Predicate").field(&self.name).finish()
    }
}

/// The predicates that definitions may name.
#[derive(Clone, Debug, Default)]
pub struct Predicates(BTreeMap<PredicateName, Predicate>);

impl Predicates {
    /// Takes in a predicate, in place of an earlier one of that name.
    pub fn insert(
        &mut self,
        name: PredicateName,
        decide: impl Fn(&Scope<'_>) -> Result<bool, String> + Send + Sync + 'static,
    ) {
        self.0.insert(name.clone(), Predicate { name, decide: Arc::new(decide) });
    }

    /// The predicate of that name.
    #[must_use]
    pub fn find(&self, name: &PredicateName) -> Option<&Predicate> {
        self.0.get(name)
    }

    /// The names there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(PredicateName::as_str)
    }
}
