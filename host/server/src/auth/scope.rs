//! How far credentials reach.

use std::fmt;
use std::str::FromStr;

/// One thing that credentials let somebody do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Look at everything of the tenant but secrets.
    Viewer,
    /// Claim and complete human tasks.
    Worker,
    /// Register definitions and components.
    Author,
    /// Start, cancel, retry, pause, resume and signal instances, and reassign tasks.
    Operator,
    /// Everything of the tenant: its keys, secrets and webhooks too.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Worker, Self::Author, Self::Operator, Self::Admin];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Worker => "worker",
            Self::Author => "author",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no scope: viewer, worker, author, operator or admin"))
    }
}

/// What credentials let somebody do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether they reach that far: `admin` reaches everything, and everything reaches what a viewer sees.
    #[must_use]
    pub const fn allows(self, scope: Scope) -> bool {
        let admin = 1 << Scope::Admin as u8;
        match scope {
            Scope::Viewer => self.0 != 0,
            _ => self.0 & (1 << scope as u8) != 0 || self.0 & admin != 0,
        }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | (1 << scope as u8)))
    }
}
