//! Text that is put together while compiling, for the manifest inside the component.

/// The longest text that can be put together while compiling, in bytes. Bounds the memory that a build needs.
const TEXT_LEN_BYTES_MAX: usize = 32 * 1024;

/// Text that is put together while compiling.
///
/// Const functions can neither allocate nor be generic over a length that they compute, so this is a buffer of fixed
/// size and the length used.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; TEXT_LEN_BYTES_MAX],
    len_bytes: usize,
}

impl Text {
    /// No text.
    pub const EMPTY: Self = Self { bytes: [0; TEXT_LEN_BYTES_MAX], len_bytes: 0 };

    /// The number of bytes used.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The bytes used, as an array of that length.
    #[must_use]
    pub const fn to_array<const LEN: usize>(&self) -> [u8; LEN] {
        let mut array = [0; LEN];
        let mut at = 0;
        while at < LEN && at < self.len_bytes {
            array[at] = self.bytes[at];
            at += 1;
        }
        array
    }

    /// The text.
    ///
    /// # Panics
    /// Never: only whole strings and ASCII are pushed.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len_bytes).0) {
            Ok(text) => text,
            Err(_) => panic!("only whole strings and ASCII are pushed"),
        }
    }

    /// Appends text as it is.
    pub const fn push(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.push_byte(bytes[at]);
            at += 1;
        }
    }

    /// Appends what another text holds.
    pub const fn push_text(&mut self, text: &Self) {
        self.push(text.as_str());
    }

    /// Appends text as a JSON string with its quotes.
    pub const fn push_json_string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let bytes = text.as_bytes();
        self.push_byte(b'"');
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'"' => self.push("\\\""),
                b'\\' => self.push("\\\\"),
                b'\n' => self.push("\\n"),
                byte @ 0..0x20 => {
                    self.push("\\u00");
                    self.push_byte(HEX[(byte >> 4) as usize]);
                    self.push_byte(HEX[(byte & 15) as usize]);
                }
                byte => self.push_byte(byte),
            }
            at += 1;
        }
        self.push_byte(b'"');
    }

    const fn push_byte(&mut self, byte: u8) {
        assert!(
            self.len_bytes < TEXT_LEN_BYTES_MAX,
            "the step's manifest is larger than 32 KiB: describe a part of its input or output with #[schema(any)]"
        );
        self.bytes[self.len_bytes] = byte;
        self.len_bytes += 1;
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_string_is_escaped_so_that_it_reads_back() {
        const HARD: &str = "quote \" backslash \\ line\nbreak tab\t bell\u{7} ümläut 🦀";
        const TEXT: Text = {
            let mut text = Text::EMPTY;
            text.push_json_string(HARD);
            text
        };

        assert_eq!(serde_json::from_str::<String>(TEXT.as_str()).unwrap(), HARD);
    }
}
