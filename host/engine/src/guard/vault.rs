//! Secrets as they are kept: each is sealed for its tenant and name.

use stepcell_model::guard::{SealedSecret, SecretRecord};
use stepcell_model::host_key::HostKey;
use stepcell_model::secret::SecretText;

use crate::error::EngineError;
use crate::sealing::Sealer;

/// What the key is derived for.
const PURPOSE: &str = "stepcell 2026-11 secrets of tenants";

/// Seals and opens secrets.
pub(super) struct Vault(Sealer);

impl Vault {
    pub(super) fn new(key: &HostKey) -> Self {
        Self(Sealer::new(key, PURPOSE))
    }

    pub(super) fn seal(&self, record: SecretRecord, value: &SecretText) -> Result<SealedSecret, EngineError> {
        let sealed = self.0.seal(value.expose().as_bytes(), &bound_to(&record)).map_err(|_| unreadable(&record))?;
        Ok(SealedSecret { sealed, record })
    }

    pub(super) fn open(&self, secret: &SealedSecret) -> Result<SecretText, EngineError> {
        let unreadable = || unreadable(&secret.record);
        let value = self.0.open(&secret.sealed, &bound_to(&secret.record)).map_err(|_| unreadable())?;
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
