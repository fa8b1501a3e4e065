//! What a caller may do, in five words.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{UnknownWord, words};

words! {
    /// What a caller may do.
    Scope {
        /// Read. Every other scope implies it.
        Viewer = "viewer",
        /// Work on tasks, and send signals.
        Worker = "worker",
        /// Register definitions and components, and start instances.
        Author = "author",
        /// Start, cancel, retry, pause and resume instances.
        Operator = "operator",
        /// Everything, keys and secrets among it. It implies every other scope.
        Admin = "admin",
    }
}

/// A set of scopes. An empty one allows nothing.
///
/// # Examples
/// ```
/// use stepcell_model::access::{Scope, Scopes};
///
/// let worker = Scopes::of(&[Scope::Worker]);
/// assert!(worker.allows(Scope::Viewer) && !worker.allows(Scope::Operator));
/// assert!(Scopes::of(&[Scope::Admin]).allows(Scope::Operator));
/// assert_eq!("worker, author".parse::<Scopes>()?.to_string(), "worker,author");
/// # Ok::<(), stepcell_model::status::UnknownWord>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Scope>", into = "Vec<Scope>")]
pub struct Scopes(u8);

impl Scopes {
    /// The set of those.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        scopes.iter().copied().collect()
    }

    /// The set of all.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Scope::ALL)
    }

    /// Whether whoever has these may do what needs `scope`.
    #[must_use]
    pub const fn allows(self, scope: Scope) -> bool {
        match scope {
            Scope::Viewer => self.0 != 0,
            Scope::Worker | Scope::Author | Scope::Operator | Scope::Admin => {
                self.0 & (bit(scope) | bit(Scope::Admin)) != 0
            }
        }
    }

    /// Whether whoever has these may do all that the others allow.
    #[must_use]
    pub fn covers(self, others: Self) -> bool {
        others.iter().all(|scope| self.allows(scope))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that were given, without what they imply.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.0 & bit(*scope) != 0)
    }
}

const fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | bit(scope)))
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<Scopes> for Vec<Scope> {
    fn from(scopes: Scopes) -> Self {
        scopes.iter().collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.pad(&words.join(","))
    }
}

impl FromStr for Scopes {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_implies_viewer_and_admin_implies_all() {
        for scope in Scope::ALL {
            let alone = Scopes::of(&[*scope]);
            assert!(alone.allows(Scope::Viewer) && alone.allows(*scope), "{scope}");
            assert!(Scopes::of(&[Scope::Admin]).allows(*scope), "{scope}");
            let allowed = Scope::ALL.iter().filter(|other| alone.allows(**other)).count();
            let expected = match scope {
                Scope::Viewer => 1,
                Scope::Admin => Scope::ALL.len(),
                Scope::Worker | Scope::Author | Scope::Operator => 2,
            };
            assert_eq!(allowed, expected, "{scope}");
        }
        assert!(Scope::ALL.iter().all(|scope| !Scopes::default().allows(*scope)));
    }

    #[test]
    fn nobody_covers_more_than_they_have() {
        let operator = Scopes::of(&[Scope::Operator, Scope::Worker]);

        assert!(operator.covers(Scopes::of(&[Scope::Worker, Scope::Viewer])));
        assert!(!operator.covers(Scopes::of(&[Scope::Author])));
        assert!(!operator.covers(Scopes::of(&[Scope::Admin])));
        assert!(Scopes::of(&[Scope::Admin]).covers(operator));
    }

    #[test]
    fn scopes_read_back_what_they_printed_and_refuse_other_words() {
        let all: Scopes = Scope::ALL.iter().copied().collect();

        assert_eq!(all.to_string().parse(), Ok(all));
        assert_eq!("".parse(), Ok(Scopes::default()));
        assert!("admin,root".parse::<Scopes>().is_err());
        assert_eq!(serde_json::to_string(&Scopes::of(&[Scope::Admin])).unwrap(), r#"["admin"]"#);
    }
}
