//! Makes texts that are almost right: a seed with a few changes, by a generator that always makes the same.

/// Pieces that parsers stumble over.
const PIECES: [&str; 44] = [
    "\n",
    "\t",
    "\r\n",
    " ",
    "  ",
    "- ",
    ": ",
    ", ",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "# ",
    "---\n",
    "|\n",
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "0.1",
    "9223372036854775808",
    "18446744073709551615",
    "context",
    "context.get('a')",
    "default",
    "failure",
    "machine",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{202e}",
    "ä💥",
];

/// The longest text that is made, in bytes.
const LEN_BYTES_MAX: usize = 8_000;

/// Changes seeds.
pub(crate) struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    pub(crate) const fn new(seeds: &'a [Vec<u8>], state: u64) -> Self {
        Self { seeds, state }
    }

    /// A seed with one to six changes.
    pub(crate) fn text(&mut self) -> Vec<u8> {
        let mut text = self.seed();
        for _ in 0..=self.below(6) {
            self.change(&mut text);
        }
        text.truncate(LEN_BYTES_MAX);
        text
    }

    fn change(&mut self, text: &mut Vec<u8>) {
        let (from, to) = self.range(text);
        match self.below(8) {
            0 => drop(text.drain(from..to)),
            1 => {
                let again = text[from..to].to_vec();
                self.insert(text, &again);
            }
            2 | 3 => {
                let piece = PIECES[self.below(PIECES.len())];
                drop(text.splice(from..to, piece.bytes()));
            }
            4 | 5 => {
                let piece = PIECES[self.below(PIECES.len())];
                self.insert(text, piece.as_bytes());
            }
            6 => {
                let other = self.seed();
                let (other_from, other_to) = self.range(&other);
                drop(text.splice(from..to, other[other_from..other_to].iter().copied()));
            }
            _ => {
                if let Some(byte) = text.get_mut(from) {
                    *byte = b' ' + (self.state >> 40) as u8 % 95;
                }
            }
        }
    }

    fn insert(&mut self, text: &mut Vec<u8>, piece: &[u8]) {
        let at = self.below(text.len() + 1);
        drop(text.splice(at..at, piece.iter().copied()));
    }

    fn seed(&mut self) -> Vec<u8> {
        self.seeds[self.below(self.seeds.len())].clone()
    }

    /// A part of the text: a few bytes, a word, or a line, so that what is left has a form.
    fn range(&mut self, text: &[u8]) -> (usize, usize) {
        let at = self.below(text.len() + 1);
        let is_end: fn(u8) -> bool = match self.below(3) {
            0 => return (at, (at + self.below(4)).min(text.len())),
            1 => |byte| !byte.is_ascii_alphanumeric() && byte != b'_',
            _ => |byte| byte == b'\n',
        };
        let from = text[..at].iter().rposition(|byte| is_end(*byte)).map_or(0, |end| end + 1);
        let to = text[at..].iter().position(|byte| is_end(*byte)).map_or(text.len(), |end| at + end);
        (from, to)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators (`SplitMix64`).
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
