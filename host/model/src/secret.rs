//! Confidential values: never shown, wiped when nobody needs them any more.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::name::SecretName;

/// The shortest secret, in bytes. A shorter one could be guessed, and could not be found in texts without blanking much
/// else.
pub const SECRET_BYTES_MIN: usize = 8;

/// The longest secret, in bytes. Protects the store and whoever looks for secrets in texts.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// The value of a secret. Cloning shares it; whoever drops it last wipes it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<Zeroizing<String>>);

/// The secrets that a step is granted by name, each with its value if it has one.
pub type GrantedSecrets = BTreeMap<SecretName, Option<SecretText>>;

impl SecretText {
    /// Takes a value over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// The value. Whoever asks takes care where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Some(SecretText::new("hunter2".to_owned()))), "Some(SecretText(…))");
    }
}
