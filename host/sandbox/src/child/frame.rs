//! How host and child talk: frames of a kind, a length and that many bytes.
//!
//! Each side takes the other for hostile: a frame of another kind or a greater length than expected ends the talk, and
//! room is made as bytes come, not as they are promised.

use std::io::{self, Read, Write};

/// The longest frame that tells a child what it is for, in bytes.
pub(crate) const HELLO_BYTES_MAX: usize = 64 << 10;

/// The longest frame by which a child says that it is confined, or why it refuses, in bytes. Protects the host.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The longest compiled component, in bytes; one in Python has some 100 MiB. Protects the host's memory and disk.
pub(crate) const ARTIFACT_BYTES_MAX: usize = 512 << 20;

/// The longest frame with a component, in bytes. Admission has its own bound, below.
pub(crate) const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// The bytes before a frame's content: its kind, its length.
pub(crate) const HEAD_BYTES: usize = 5;

/// How much room is made for a frame before its bytes come, in bytes.
const ROOM_BYTES: usize = 64 << 10;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal),+ $(,)?) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Kind { $($(#[$doc])* $kind = $number),+ }

        impl Kind {
            fn of(number: u8) -> io::Result<Self> {
                match number {
                    $($number => Ok(Self::$kind),)+
                    _ => Err(malformed(format!("there is no frame of kind {number}"))),
                }
            }
        }
    };
}

kinds! {
    /// To a child: what it is for.
    Hello = 1,
    /// From a child: it is confined.
    Confined = 2,
    /// To a child: a component to compile.
    Component = 3,
    /// A compiled component, either way.
    Artifact = 4,
    /// From a child: why a component is not compiled.
    Refused = 5,
    /// From a child: the compiler panicked.
    Panicked = 6,
    /// To a worker: code to load.
    Load = 7,
    /// From a worker: what came of it.
    Loaded = 8,
    /// To a worker: enter a cell.
    Enter = 9,
    /// From a worker: what came of it.
    Left = 10,
    /// From a worker: send a request for the cell.
    HttpAsked = 11,
    /// To a worker: what came of it.
    HttpAnswered = 12,
}

/// Reads and checks the head of a frame.
pub(crate) fn head(bytes: [u8; HEAD_BYTES], bytes_max: usize) -> io::Result<(Kind, usize)> {
    let [number, length @ ..] = bytes;
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(malformed(format!("a frame has {length} bytes, and may have {bytes_max}")));
    }
    Ok((Kind::of(number)?, length))
}

/// The head of a frame with a content of that length.
pub(crate) fn head_of(kind: Kind, length: usize) -> io::Result<[u8; HEAD_BYTES]> {
    let length = u32::try_from(length).map_err(|_| malformed(format!("{length} bytes do not fit into a frame")))?;
    let [a, b, c, d] = length.to_le_bytes();
    Ok([kind as u8, a, b, c, d])
}

/// Writes a frame.
pub(crate) fn write(stream: &mut impl Write, kind: Kind, content: &[u8]) -> io::Result<()> {
    stream.write_all(&head_of(kind, content.len())?)?;
    stream.write_all(content)
}

/// Reads a frame of at most that length.
pub(crate) fn read(stream: &mut impl Read, bytes_max: usize) -> io::Result<(Kind, Vec<u8>)> {
    let mut bytes = [0; HEAD_BYTES];
    stream.read_exact(&mut bytes)?;
    let (kind, length) = head(bytes, bytes_max)?;
    let mut content = Vec::with_capacity(length.min(ROOM_BYTES));
    stream.take(length as u64).read_to_end(&mut content)?;
    if content.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok((kind, content)) }
}

/// Reads a frame that must be of one kind.
pub(crate) fn read_expected(stream: &mut impl Read, expected: Kind, bytes_max: usize) -> io::Result<Vec<u8>> {
    match read(stream, bytes_max)? {
        (kind, content) if kind == expected => Ok(content),
        (kind, _) => Err(malformed(format!("a frame is {kind:?}, and should be {expected:?}"))),
    }
}

/// The error of a talk that breaks the rules.
pub(crate) fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_same_after_it_was_written_and_read() {
        let mut bytes = Vec::new();

        write(&mut bytes, Kind::Artifact, b"code").unwrap();

        assert_eq!(read(&mut bytes.as_slice(), 4).unwrap(), (Kind::Artifact, b"code".to_vec()));
    }

    #[test]
    fn a_frame_that_is_too_long_cut_off_or_of_no_known_kind_is_an_error() {
        for (bytes, kind) in [
            (&[4, 255, 255, 255, 255, 0][..], io::ErrorKind::InvalidData),
            (&[4, 9, 0, 0, 0][..], io::ErrorKind::InvalidData),
            (&[4, 8, 0, 0, 0, 1, 2][..], io::ErrorKind::UnexpectedEof),
            (&[4, 8][..], io::ErrorKind::UnexpectedEof),
            (&[99, 0, 0, 0, 0][..], io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read(&mut &*bytes, 8).unwrap_err().kind(), kind, "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_of_another_kind_is_not_what_was_expected() {
        let bytes = [Kind::Panicked as u8, 0, 0, 0, 0];

        assert!(read_expected(&mut bytes.as_slice(), Kind::Artifact, 8).is_err());
    }
}
