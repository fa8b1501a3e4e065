//! The one secret of a host, from which every other is derived.
//!
//! It is never used itself: whoever needs a key derives one for a purpose of its own, so that no two uses can be played
//! off against each other. Where it comes from and where it is kept is for the program to say.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

/// How many bytes a host key has.
pub const HOST_KEY_BYTES: usize = 32;

/// The one secret of a host. Cloning shares it; it is wiped from memory with the last clone.
#[derive(Clone)]
pub struct HostKey(Arc<Zeroizing<[u8; HOST_KEY_BYTES]>>);

/// A text that is no host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host key is {digits} hexadecimal digits, and this is not", digits = HOST_KEY_BYTES * 2)]
pub struct NoHostKey;

impl HostKey {
    /// Takes over a key; `bytes` is wiped.
    #[must_use]
    pub fn take(bytes: &mut [u8; HOST_KEY_BYTES]) -> Self {
        let key = Self(Arc::new(Zeroizing::new(*bytes)));
        bytes.zeroize();
        key
    }

    /// Reads a key that was written by [`Self::to_hex`]; space around it does not count.
    ///
    /// # Errors
    /// [`NoHostKey`], which does not quote the text.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::host_key::HostKey;
    ///
    /// let key = HostKey::from_hex(&"0f".repeat(32))?;
    /// assert_eq!(key.derive("one purpose"), key.derive("one purpose"));
    /// assert_ne!(key.derive("one purpose"), key.derive("another"));
    /// assert_eq!(format!("{key:?}"), "HostKey(secret)");
    /// # Ok::<(), stepcell_model::host_key::NoHostKey>(())
    /// ```
    pub fn from_hex(text: &str) -> Result<Self, NoHostKey> {
        let digits = text.trim().as_bytes();
        if digits.len() != HOST_KEY_BYTES * 2 {
            return Err(NoHostKey);
        }
        let mut bytes = [0; HOST_KEY_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self::take(&mut bytes))
    }

    /// The key as text, for the file that keeps it.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        let mut text = String::with_capacity(HOST_KEY_BYTES * 2);
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        Zeroizing::new(text)
    }

    /// A key for one purpose: a sentence that names program, date and use, and that nothing else uses.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; HOST_KEY_BYTES] {
        blake3::derive_key(purpose, self.0.as_slice())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey(secret)")
    }
}

fn digit(byte: u8) -> Result<u8, NoHostKey> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(NoHostKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_it_was_written_and_read() {
        let key = HostKey::take(&mut std::array::from_fn(|index| index as u8 * 7));

        let read = HostKey::from_hex(&format!(" {}\n", key.to_hex().as_str())).unwrap();

        assert_eq!(read.derive("x"), key.derive("x"));
    }

    #[test]
    fn what_was_handed_over_is_wiped() {
        let mut bytes = [7; HOST_KEY_BYTES];

        let _key = HostKey::take(&mut bytes);

        assert_eq!(bytes, [0; HOST_KEY_BYTES]);
    }

    #[test]
    fn a_text_of_another_length_or_with_other_letters_is_refused() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"ä".repeat(32)] {
            assert_eq!(HostKey::from_hex(text).map(drop), Err(NoHostKey), "{text}");
        }
    }
}
