//! Signatures of webhooks, of those that come and of those that go.
//!
//! Source: <https://www.standardwebhooks.com/>, version 1: `v1,` and HMAC-SHA256 of `id.timestamp.body` in base 64, under a
//! secret that is told as `whsec_` and base 64.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use stepcell_model::secret::SecretText;

/// What begins a secret as it is told.
const SECRET_PREFIX: &str = "whsec_";

/// What begins a signature of version 1.
const VERSION_PREFIX: &str = "v1,";

/// What webhooks are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// A text that is no signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing secret is none: `whsec_` and base 64")]
pub struct NoSigningSecret;

impl SigningSecret {
    /// Takes over bytes that nobody can guess.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a secret as it is told.
    ///
    /// # Errors
    /// [`NoSigningSecret`].
    pub fn parse(text: &str) -> Result<Self, NoSigningSecret> {
        let key = text.strip_prefix(SECRET_PREFIX).and_then(|key| STANDARD.decode(key).ok());
        key.map(Self).ok_or(NoSigningSecret)
    }

    /// The secret as it is told.
    #[must_use]
    pub fn told(&self) -> SecretText {
        SecretText::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The signature of a webhook, for `webhook-signature`.
    ///
    /// # Examples
    /// ```
    /// use stepcell_engine::signing::SigningSecret;
    ///
    /// let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    /// let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
    /// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    /// # Ok::<(), stepcell_engine::signing::NoSigningSecret>(())
    /// ```
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        format!("{VERSION_PREFIX}{}", STANDARD.encode(self.mac(id, timestamp, body).finalize().into_bytes()))
    }

    /// Whether one of the signatures in `webhook-signature`, with spaces between, is right.
    #[must_use]
    pub fn has_signed(&self, signatures: &str, id: &str, timestamp: &str, body: &[u8]) -> bool {
        let expected = self.mac(id, timestamp, body);
        let is_right = |signature: &str| {
            let given = signature.strip_prefix(VERSION_PREFIX).and_then(|given| STANDARD.decode(given).ok());
            given.is_some_and(|given| expected.clone().verify_slice(&given).is_ok())
        };
        signatures.split(' ').any(is_right)
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        mac(&self.0, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: the test vector of the specification's own libraries.
    #[test]
    fn the_published_vector_is_signed_as_it_is_published() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, timestamp, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

        assert_eq!(secret.sign(id, timestamp, body), published);
        assert!(secret.has_signed(published, id, timestamp, body));
    }

    #[test]
    fn a_signature_is_right_for_what_was_signed_and_for_nothing_else() {
        let secret = SigningSecret::of(b"a secret of some bytes");
        let signature = secret.sign("msg_1", "17", b"{}");
        let others = format!("v1a,xyz v1,AAAA {signature}");

        assert!(secret.has_signed(&others, "msg_1", "17", b"{}"));
        for (id, timestamp, body) in [("msg_2", "17", "{}"), ("msg_1", "18", "{}"), ("msg_1", "17", "{ }")] {
            assert!(!secret.has_signed(&others, id, timestamp, body.as_bytes()));
        }
        assert!(!SigningSecret::of(b"another").has_signed(&others, "msg_1", "17", b"{}"));
        assert!(!secret.has_signed("", "msg_1", "17", b"{}"));
    }

    #[test]
    fn a_secret_is_read_as_it_is_told() {
        let secret = SigningSecret::of(&[0, 200, 255]);

        assert_eq!(secret.told().expose(), "whsec_AMj/");
        assert_eq!(SigningSecret::parse("whsec_AMj/"), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
        for text in ["", "AMj/", "whsec_A", "whsec_ü"] {
            assert_eq!(SigningSecret::parse(text), Err(NoSigningSecret), "{text}");
        }
    }
}
