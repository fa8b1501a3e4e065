//! 32 bytes as 64 hexadecimal digits: how digests and links of chains are written.

use std::fmt;

/// How many digits that is.
const DIGITS: usize = 64;

/// Reads exactly 64 digits, of either case.
pub(crate) fn parse(text: &str) -> Option<[u8; 32]> {
    // Asked first: a number may also begin with a sign.
    if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Writes them in lower case.
pub(crate) fn write(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
