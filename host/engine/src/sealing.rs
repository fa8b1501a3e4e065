//! What is kept encrypted: a key for each purpose, derived from the host's.
//!
//! Each value is sealed with XChaCha20-Poly1305 under a nonce of its own and bound to its place, so that one row can not be
//! put in another's.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use stepcell_model::host_key::HostKey;

/// The bytes of the nonce before the encrypted value.
const NONCE_BYTES: usize = 24;

/// Seals and opens values for one purpose.
pub struct Sealer(XChaCha20Poly1305);

/// A value that can not be opened: it was sealed with another key or for another place, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with another host key or for another place, or was changed since")]
pub struct Unsealable;

impl Sealer {
    pub(crate) fn new(key: &HostKey, purpose: &str) -> Self {
        Self(XChaCha20Poly1305::new(&key.derive(purpose).into()))
    }

    /// Encrypts a value for a place.
    ///
    /// # Errors
    /// [`Unsealable`] if it is larger than the cipher takes, which is hundreds of gigabytes.
    pub fn seal(&self, value: &[u8], place: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let nonce = new_nonce();
        let payload = Payload { msg: value, aad: place };
        let encrypted = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| Unsealable)?;
        Ok([nonce.as_slice(), &encrypted].concat())
    }

    /// Decrypts what was sealed for that place.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn open(&self, sealed: &[u8], place: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (nonce, encrypted) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Unsealable)?;
        let payload = Payload { msg: encrypted, aad: place };
        self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Unsealable)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Random bytes that never come twice: of two UUIDs, of which more than 180 bits are random.
fn new_nonce() -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    nonce[16..].copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..8]);
    nonce
}
