//! Server-Sent Events, taken out of the bytes that they come in.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::collections::VecDeque;

/// What stands between two empty lines, or a comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The place behind it.
    pub(super) id: Option<String>,
    pub(super) kind: String,
    /// None if there is no event in it.
    pub(super) data: Option<String>,
    /// Whether it only shows that the stream is there.
    pub(super) is_comment: bool,
}

/// Why bytes are no stream of events.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("an event is longer than {0} bytes")]
    TooLong(usize),
    #[error("there is a line that is no text")]
    NoText,
}

/// Blocks as they come.
#[derive(Debug)]
pub(super) struct Blocks {
    len_bytes_max: usize,
    line: Vec<u8>,
    block: Block,
    ready: VecDeque<Block>,
}

impl Blocks {
    /// Takes no block that is longer.
    pub(super) fn new(len_bytes_max: usize) -> Self {
        Self { len_bytes_max, line: Vec::new(), block: Block::default(), ready: VecDeque::new() }
    }

    /// Takes what came next.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let held = self.line.len() + self.block.data.as_ref().map_or(0, String::len);
            if held + piece.len() > self.len_bytes_max {
                return Err(Malformed::TooLong(self.len_bytes_max));
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| Malformed::NoText)?;
                self.take_line(line.trim_end_matches(['\r', '\n']));
            }
        }
        Ok(())
    }

    /// The next block that is there as a whole.
    pub(super) fn next(&mut self) -> Option<Block> {
        self.ready.pop_front()
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            return self.ready.push_back(std::mem::take(&mut self.block));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (field, &mut self.block.data) {
            ("", _) => self.ready.push_back(Block { is_comment: true, ..Block::default() }),
            ("id", _) => self.block.id = Some(value.to_owned()),
            ("event", _) => value.clone_into(&mut self.block.kind),
            ("data", Some(data)) => {
                data.push('\n');
                data.push_str(value);
            }
            ("data", data) => *data = Some(value.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "retry: 3000\nid: 4\n\n: still here\n\nid: 5.0\nevent: a\ndata: {\ndata: }\n\nid:6\r\ndata:x\r\n\r\nid: 7\n";

    fn block(id: Option<&str>, kind: &str, data: Option<&str>) -> Block {
        Block { id: id.map(str::to_owned), kind: kind.to_owned(), data: data.map(str::to_owned), is_comment: false }
    }

    #[test]
    fn blocks_are_the_same_however_their_bytes_come() {
        for len in 1..STREAM.len() {
            let mut blocks = Blocks::new(1_000);
            let mut read = Vec::new();
            for chunk in STREAM.as_bytes().chunks(len) {
                blocks.push(chunk).unwrap();
                read.extend(std::iter::from_fn(|| blocks.next()));
            }
            let comment = Block { is_comment: true, ..Block::default() };
            let expected = [
                block(Some("4"), "", None),
                comment,
                Block::default(),
                block(Some("5.0"), "a", Some("{\n}")),
                block(Some("6"), "", Some("x")),
            ];
            assert_eq!(read, expected, "in chunks of {len}");
        }
    }

    #[test]
    fn what_never_ends_or_is_no_text_is_refused() {
        let mut blocks = Blocks::new(10);
        assert!(blocks.push(b"data: 1").is_ok());
        assert!(matches!(blocks.push(b"2345"), Err(Malformed::TooLong(10))));
        assert!(matches!(Blocks::new(10).push(b"\xff\n"), Err(Malformed::NoText)));
    }
}
