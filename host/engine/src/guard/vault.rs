//! Secrets as they are kept: encrypted with a key that is derived from the host's.
//!
//! Each value is sealed with XChaCha20-Poly1305 under a nonce of its own and bound to its tenant and name, so that one
//! row can not be put in another's place.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use stepcell_model::guard::{SealedSecret, SecretRecord};
use stepcell_model::host_key::HostKey;
use stepcell_model::secret::SecretText;

use crate::error::EngineError;

/// What the key is derived for.
const PURPOSE: &str = "stepcell 2026-11 secrets of tenants";

/// The bytes of the nonce before the encrypted value.
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets.
pub(super) struct Vault(XChaCha20Poly1305);

impl Vault {
    pub(super) fn new(key: &HostKey) -> Self {
        Self(XChaCha20Poly1305::new(&key.derive(PURPOSE).into()))
    }

    pub(super) fn seal(&self, record: SecretRecord, value: &SecretText) -> Result<SealedSecret, EngineError> {
        let nonce = new_nonce();
        let payload = Payload { msg: value.expose().as_bytes(), aad: &bound_to(&record) };
        let encrypted = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| unreadable(&record))?;
        Ok(SealedSecret { sealed: [nonce.as_slice(), &encrypted].concat(), record })
    }

    pub(super) fn open(&self, secret: &SealedSecret) -> Result<SecretText, EngineError> {
        let unreadable = || unreadable(&secret.record);
        let (nonce, encrypted) = secret.sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(unreadable)?;
        let payload = Payload { msg: encrypted, aad: &bound_to(&secret.record) };
        let value = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| unreadable())?;
        String::from_utf8(value).map(SecretText::new).map_err(|_| unreadable())
    }
}

fn bound_to(record: &SecretRecord) -> Vec<u8> {
    let tenant = record.tenant.as_ref().map_or("", |tenant| tenant.as_str());
    format!("{tenant}\n{}", record.name).into_bytes()
}

fn unreadable(record: &SecretRecord) -> EngineError {
    EngineError::SecretUnreadable { name: record.name.clone() }
}

/// Random bytes that never come twice: of two UUIDs, of which more than 180 bits are random.
fn new_nonce() -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    nonce[16..].copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..8]);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_model::name::{SecretName, TenantId};
    use stepcell_model::time::Timestamp;

    fn vault(byte: u8) -> Vault {
        Vault::new(&HostKey::take(&mut [byte; 32]))
    }

    fn record(tenant: Option<&str>, name: &str) -> SecretRecord {
        let tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
        SecretRecord { tenant, name: SecretName::new(name).unwrap(), updated_at: Timestamp::from_unix_ms(0) }
    }

    #[test]
    fn a_secret_opens_with_its_key_in_its_place_only() {
        let value = SecretText::new("hunter2".to_owned());
        let sealed = vault(1).seal(record(Some("acme"), "TOKEN"), &value).unwrap();

        assert_eq!(vault(1).open(&sealed).unwrap(), value);
        assert!(vault(2).open(&sealed).is_err());
        for elsewhere in [record(None, "TOKEN"), record(Some("bolt"), "TOKEN"), record(Some("acme"), "OTHER")] {
            assert!(vault(1).open(&SealedSecret { record: elsewhere, ..sealed.clone() }).is_err());
        }
        for byte in 0..sealed.sealed.len() {
            let mut changed = sealed.clone();
            changed.sealed[byte] ^= 1;
            assert!(vault(1).open(&changed).is_err(), "byte {byte}");
        }
        assert!(vault(1).open(&SealedSecret { sealed: vec![1; 5], ..sealed.clone() }).is_err());
        assert!(!sealed.sealed.windows(7).any(|bytes| bytes == b"hunter2"));
    }

    #[test]
    fn the_same_value_is_never_sealed_alike() {
        let value = SecretText::new("hunter2".to_owned());
        let seal = || vault(1).seal(record(None, "TOKEN"), &value).unwrap().sealed;

        assert_ne!(seal(), seal());
    }
}
