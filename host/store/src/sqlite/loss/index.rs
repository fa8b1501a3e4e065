//! The index of the write-ahead log: shared memory in a file, which outlives the processes that had it mapped.
//!
//! It counts a frame only once that is flushed. A killed process leaves it as it was, and so it tells how much of the log
//! must read. It is never flushed itself: one from before the machine last started may be of any age, and counts only as far
//! as it is of the same turn of the log.
//!
//! Source: <https://www.sqlite.org/walformat.html#the_wal_index_file_format>.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::log::checksum;

/// The length of one of the two copies of the index's header; both must be the same.
const HEADER_LEN_BYTES: usize = 48;

/// The version of the format.
const VERSION: u32 = 3_007_000;

/// The byte that everybody has locked who has mapped an index.
const MAPPED_AT_BYTES: &str = "128";

/// What an index says of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// What the frames are marked with.
    pub(super) salts: [u8; 8],
    /// The last frame that was flushed.
    pub(super) frames: u32,
    /// How many of them were moved into the database.
    pub(super) moved: u32,
    /// Whether somebody has used it since the machine started.
    is_recent: bool,
}

impl Index {
    /// None if there is none that can be relied on.
    pub(super) fn find(path: &Path) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = [0; 2 * HEADER_LEN_BYTES + 4];
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (header, copy) = bytes.split_at(HEADER_LEN_BYTES);
        let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let is_whole = header == &copy[..HEADER_LEN_BYTES]
            && number(0) == VERSION
            && bytes[12] == 1
            && checksum([0; 2], &header[..40], cfg!(target_endian = "big")) == [number(40), number(44)];
        let salts = header[32..40].try_into().unwrap_or_default();
        let is_recent = is_of_this_start(&file)?;
        Ok(is_whole.then(|| Self { salts, frames: number(16), moved: number(96), is_recent }))
    }

    /// How many frames were flushed and stand nowhere but in the log, if that can be relied on without the log.
    pub(super) const fn unmoved(&self) -> u32 {
        if self.is_recent { self.frames.saturating_sub(self.moved) } else { 0 }
    }
}

/// Whether a file was changed since the machine started. Where that can not be known it was.
fn is_of_this_start(file: &File) -> io::Result<bool> {
    let Ok(statistics) = std::fs::read_to_string("/proc/stat") else { return Ok(true) };
    let started = statistics.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let started = started.map_or(UNIX_EPOCH, |seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    Ok(file.metadata()?.modified().unwrap_or_else(|_| SystemTime::now()) >= started)
}

/// Whether another process has the index mapped, as far as the system says.
pub(super) fn is_mapped(path: &Path) -> bool {
    let (Ok(file), Ok(locks)) = (std::fs::metadata(path), std::fs::read_to_string("/proc/locks")) else { return false };
    let inode = format!(":{}", file.ino());
    // Such as `1: POSIX  ADVISORY  READ 4711 fd:01:269 128 128`.
    locks.lines().any(|lock| {
        let words: Vec<_> = lock.split_whitespace().collect();
        matches!(words[..], [.., of, from, _] if of.ends_with(&inode) && from == MAPPED_AT_BYTES)
    })
}
