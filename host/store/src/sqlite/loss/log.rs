//! The write-ahead log, read as SQLite would read it, and beyond.
//!
//! Source: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER_LEN_BYTES: usize = 32;
const FRAME_HEADER_LEN_BYTES: usize = 24;

/// How a log begins; the last bit says that checksums are of big-endian numbers.
const MAGIC: u32 = 0x377f_0682;

/// What there is of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// No file, or an empty one.
    Missing,
    /// There are frames, and the header before them is none. A header lies within one sector and is flushed before any
    /// frame is written, so no power cut leaves that.
    Headless,
    /// It has a header.
    Read(Prefix),
}

/// What of a log reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    /// What the header and every frame of this turn of the log are marked with.
    pub(super) salts: [u8; 8],
    /// The last frame of the last transaction that is whole; what comes after is ignored.
    pub(super) committed: u32,
    /// How many pages the database has after it.
    pub(super) pages: u32,
    /// Its pages that the database file is too short for.
    pub(super) pages_beyond: BTreeSet<u32>,
    /// The last frame of a transaction after that which has a successor: it was flushed, as the next one begins only then.
    ///
    /// What a power cut tears is the last transaction, and has none.
    pub(super) committed_behind: Option<u32>,
}

impl Log {
    /// Reads a log of a database that has so many pages.
    pub(super) fn read(path: &Path, database_pages: u32) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::Missing),
            Err(error) => return Err(error),
        };
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut header = [0; HEADER_LEN_BYTES];
        match fill(&mut file, &mut header)? {
            0 => return Ok(Self::Missing),
            HEADER_LEN_BYTES => {}
            // Nobody writes a frame before the header is flushed.
            _ => return Ok(Self::Read(Prefix::default())),
        }
        let Some(reader) = Reader::after(&header, database_pages) else {
            let mut more = [0; FRAME_HEADER_LEN_BYTES];
            let has_frames = fill(&mut file, &mut more)? == more.len() && more != [0; FRAME_HEADER_LEN_BYTES];
            return Ok(if has_frames { Self::Headless } else { Self::Read(Prefix::default()) });
        };
        Ok(Self::Read(reader.read(file)?))
    }
}

struct Reader {
    is_big_endian: bool,
    page_len_bytes: usize,
    /// The checksum that the next frame goes on from: the one that stands in the frame before.
    checksum: [u32; 2],
    database_pages: u32,
    prefix: Prefix,
    /// Pages of the transaction that is not whole yet.
    open: BTreeSet<u32>,
    is_torn: bool,
    /// The frame before, if a transaction ends with it.
    ended_before: Option<u32>,
}

impl Reader {
    /// None if the header is none.
    fn after(header: &[u8; HEADER_LEN_BYTES], database_pages: u32) -> Option<Self> {
        let is_big_endian = number(header, 0) & 1 == 1;
        let page_len_bytes = usize::try_from(number(header, 8)).ok()?;
        let is_page = page_len_bytes.is_power_of_two() && (512..=65_536).contains(&page_len_bytes);
        let checksum = checksum([0; 2], &header[..24], is_big_endian);
        let is_header = number(header, 0) & !1 == MAGIC && checksum == [number(header, 24), number(header, 28)];
        (is_header && is_page).then(|| Self {
            is_big_endian,
            page_len_bytes,
            checksum,
            database_pages,
            prefix: Prefix { salts: header[16..24].try_into().unwrap_or_default(), ..Prefix::default() },
            open: BTreeSet::new(),
            is_torn: false,
            ended_before: None,
        })
    }

    fn read(mut self, mut file: impl Read) -> io::Result<Prefix> {
        let mut frame = vec![0; FRAME_HEADER_LEN_BYTES + self.page_len_bytes];
        let mut position = 0;
        while fill(&mut file, &mut frame)? == frame.len() {
            position += 1;
            self.take(position, &frame);
        }
        Ok(self.prefix)
    }

    fn take(&mut self, position: u32, frame: &[u8]) {
        let (page, pages) = (number(frame, 0), number(frame, 4));
        let is_of_this_turn = frame[8..16] == self.prefix.salts && page != 0;
        let found = [number(frame, 16), number(frame, 20)];
        let expected = checksum(self.checksum, &frame[..8], self.is_big_endian);
        let expected = checksum(expected, &frame[FRAME_HEADER_LEN_BYTES..], self.is_big_endian);
        let follows = is_of_this_turn && found == expected;
        self.checksum = found;
        self.is_torn |= !follows;
        if self.is_torn {
            self.look_behind(position, is_of_this_turn, follows, pages != 0);
            return;
        }
        if page > self.database_pages {
            self.open.insert(page);
        }
        if pages != 0 {
            self.prefix.committed = position;
            self.prefix.pages = pages;
            self.prefix.pages_beyond.append(&mut self.open);
        }
    }

    /// Looks whether a transaction behind the first frame that does not read was flushed.
    ///
    /// A frame whose checksum goes on from the one before was written after it. Frames that an older, longer transaction has
    /// left behind do not go on from what was written over its beginning.
    fn look_behind(&mut self, position: u32, is_of_this_turn: bool, follows: bool, ends: bool) {
        if follows && let Some(ended) = self.ended_before {
            self.prefix.committed_behind.get_or_insert(ended);
        }
        self.ended_before = (is_of_this_turn && ends).then_some(position);
    }
}

/// The checksum of numbers, which goes on from another one.
pub(super) fn checksum([mut first, mut second]: [u32; 2], bytes: &[u8], is_big_endian: bool) -> [u32; 2] {
    for pair in bytes.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *pair;
        let read = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        first = first.wrapping_add(read([a, b, c, d])).wrapping_add(second);
        second = second.wrapping_add(read([e, f, g, h])).wrapping_add(first);
    }
    [first, second]
}

/// The big-endian number at an offset.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads until the buffer is full or the file ends; returns how much there was.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
