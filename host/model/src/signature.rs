//! Signatures of components: ed25519 over the digest.
//!
//! What is signed is the text `stepcell component v1`, a line break, and the digest as it is written, so that a
//! signature can stand for nothing else.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::id::ComponentDigest;
use crate::time::serde_as_text;

/// What every text of a key begins with.
const PREFIX: &str = "ed25519:";

/// A key that signatures are checked with: `ed25519:` and 32 bytes in base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// A key that signs. Never shown; written to a file by [`Self::to_text`] alone.
pub struct PrivateKey(SigningKey);

/// A text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no {0} key: one is `ed25519:` and 32 bytes in base64; make a pair with `stepcell component keygen`")]
pub struct MalformedKey(&'static str);

/// What somebody says of a component with their key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentSignature {
    /// The component.
    pub digest: ComponentDigest,
    /// Whose key it is.
    pub key: PublicKey,
    /// 64 bytes in base64.
    pub signature: String,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// It is for another component.
    #[error("the signature is for the component {signed}, and this one is {found}; sign this one")]
    OtherDigest {
        /// The component that it is for.
        signed: ComponentDigest,
        /// The component at hand.
        found: ComponentDigest,
    },
    /// It was not made with the key that it names, or was changed.
    #[error("the signature was not made by the key {key} for this component; sign it again")]
    Wrong {
        /// The key that it names.
        key: PublicKey,
    },
    /// Nobody trusts the key.
    #[error(
        "the key {key} is none that is trusted; add it to `trusted_keys` of the policy, or sign with one that is there"
    )]
    Untrusted {
        /// The key.
        key: PublicKey,
    },
    /// There is no signature, and there must be one.
    #[error("the component is not signed, and the policy wants a signature; sign it with `stepcell component sign`")]
    Missing,
}

impl PublicKey {
    /// A short name of the key for lists and logs: the first eight letters of its text.
    #[must_use]
    pub fn short(&self) -> String {
        BASE64.encode(self.0)[..8].to_owned()
    }
}

impl PrivateKey {
    /// Makes a key of 32 bytes that nobody can guess.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The key that its signatures are checked with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a component.
    #[must_use]
    pub fn sign(&self, digest: ComponentDigest) -> ComponentSignature {
        let signature = self.0.sign(message(digest).as_bytes());
        ComponentSignature { digest, key: self.public(), signature: BASE64.encode(signature.to_bytes()) }
    }

    /// The key as its file holds it. Whoever has it can sign.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(self.0.to_bytes()))
    }
}

impl ComponentSignature {
    /// Checks that the key in it has signed the component.
    ///
    /// # Errors
    /// [`BadSignature`].
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::id::ComponentDigest;
    /// use stepcell_model::signature::PrivateKey;
    ///
    /// let key = PrivateKey::from_bytes(&[7; 32]);
    /// let digest = ComponentDigest::of(b"a component");
    /// assert!(key.sign(digest).check(digest).is_ok());
    /// assert!(key.sign(digest).check(ComponentDigest::of(b"another")).is_err());
    /// ```
    pub fn check(&self, digest: ComponentDigest) -> Result<(), BadSignature> {
        if self.digest != digest {
            return Err(BadSignature::OtherDigest { signed: self.digest, found: digest });
        }
        let wrong = BadSignature::Wrong { key: self.key };
        let bytes = BASE64.decode(&self.signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let signature = ed25519_dalek::Signature::from_bytes(&bytes.ok_or_else(|| wrong.clone())?);
        let key = VerifyingKey::from_bytes(&self.key.0).map_err(|_| wrong.clone())?;
        key.verify_strict(message(digest).as_bytes(), &signature).map_err(|_| wrong)
    }

    /// Checks that it holds and that the key is one of those that count.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn check_trusted(&self, digest: ComponentDigest, trusted: &[PublicKey]) -> Result<(), BadSignature> {
        // Whose it is costs less to see than whether it holds.
        if trusted.contains(&self.key) { self.check(digest) } else { Err(BadSignature::Untrusted { key: self.key }) }
    }
}

fn message(digest: ComponentDigest) -> String {
    format!("stepcell component v1\n{digest}")
}

fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let bytes = BASE64.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
    bytes.try_into().ok()
}

impl FromStr for PublicKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedKey("public");
        let key = VerifyingKey::from_bytes(&key_bytes(text).ok_or_else(malformed)?).map_err(|_| malformed())?;
        if key.is_weak() { Err(malformed()) } else { Ok(Self(key.to_bytes())) }
    }
}

impl FromStr for PrivateKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        key_bytes(text).map(|bytes| Self::from_bytes(&bytes)).ok_or(MalformedKey("private"))
    }
}

serde_as_text!(PublicKey);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(byte: u8) -> (PrivateKey, PublicKey) {
        let key = PrivateKey::from_bytes(&[byte; 32]);
        let public = key.public();
        (key, public)
    }

    #[test]
    fn a_signature_counts_for_its_component_and_a_trusted_key_only() {
        let (key, public) = pair(1);
        let (_, other) = pair(2);
        let digest = ComponentDigest::of(b"component");
        let signed = key.sign(digest);

        assert_eq!(signed.check_trusted(digest, &[other, public]), Ok(()));
        assert_eq!(signed.check_trusted(digest, &[other]), Err(BadSignature::Untrusted { key: public }));
        let another = ComponentDigest::of(b"another");
        assert_eq!(signed.check(another), Err(BadSignature::OtherDigest { signed: digest, found: another }));
        let relabeled = ComponentSignature { digest: another, ..signed.clone() };
        assert_eq!(relabeled.check(another), Err(BadSignature::Wrong { key: public }));
        let others = ComponentSignature { key: other, ..signed.clone() };
        assert_eq!(others.check(digest), Err(BadSignature::Wrong { key: other }));
        for odd in ["", "AAAA", "not base64 at all"] {
            let odd = ComponentSignature { signature: odd.to_owned(), ..signed.clone() };
            assert_eq!(odd.check(digest), Err(BadSignature::Wrong { key: public }));
        }
    }

    #[test]
    fn keys_read_back_and_odd_ones_are_refused() {
        let (key, public) = pair(3);

        assert_eq!(key.to_text().parse::<PrivateKey>().unwrap().public(), public);
        assert_eq!(format!("{public}\n").parse::<PublicKey>(), Ok(public));
        for odd in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", &format!("ed25519:{}", BASE64.encode([0; 32]))] {
            assert!(odd.parse::<PublicKey>().is_err(), "{odd}");
        }
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }
}
