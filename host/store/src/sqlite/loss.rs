//! Whether a database still has what was acknowledged, before SQLite touches it.
//!
//! SQLite ends a write-ahead log at the first frame whose checksum is wrong, and says nothing: right after a power cut, which
//! leaves a torn end that nobody was answered for, and wrong where a bit has turned in the middle. The two are told apart by
//! what stands behind (see [`Log`]) and by the log's index, which outlives a killed process (see [`Index`]). What can not be
//! known: a bit that turned in the very last transaction, or a log that was removed together with its index.
//!
//! Only the first of those who open a file has to look: while one has it open, SQLite reads the log no more, and closing a
//! file that this process has open would release SQLite's locks on it.

mod index;
mod log;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::index::Index;
use self::log::{Log, Prefix};
use super::Losses;
use crate::error::StoreError;

/// How often a file that does not look whole is looked at: somebody may be writing to it that is not seen.
const LOOKS_MAX: u32 = 10;

/// The wait between two looks.
const LOOK_AGAIN_INTERVAL: Duration = Duration::from_millis(5);

/// Where SQLite holds its locks, as an offset in the file: the page there is never written.
const LOCKED_AT_BYTES: u64 = 0x4000_0000;

/// The files that this process has open, and how often.
static OPEN: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A file that this process has open; it must outlive every connection to it.
#[derive(Debug)]
pub(super) struct Opened(PathBuf);

impl Opened {
    /// Takes note of a file that is about to be opened, and looks whether anything of it is lost.
    ///
    /// Where losses are accepted the log is kept beside the database as `-wal.lost`, as SQLite will write over it.
    pub(super) fn at(path: &Path, losses: Losses) -> Result<Arc<Self>, StoreError> {
        let path = true_path_of(path);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains_key(&path) && !index::is_mapped(&beside(&path, "-shm")) {
            match (look(&path), losses) {
                (Err(StoreError::Lost { what, .. }), Losses::Accept) => accept(&path, &what)?,
                (outcome, _) => outcome?,
            }
        }
        *open.entry(path.clone()).or_default() += 1;
        Ok(Arc::new(Self(path)))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.0);
            }
        }
    }
}

/// Looks at a file, and again as long as it changes and does not look whole.
fn look(path: &Path) -> Result<(), StoreError> {
    let mut last = None;
    for _ in 0..LOOKS_MAX {
        let seen = Seen::of(path).map_err(|error| unreadable(path, error))?;
        let Err(found) = seen.judge(path) else { return Ok(()) };
        if last.as_ref() == Some(&seen) {
            return Err(found);
        }
        last = Some(seen);
        std::thread::sleep(LOOK_AGAIN_INTERVAL);
    }
    Ok(())
}

fn accept(path: &Path, what: &str) -> Result<(), StoreError> {
    let (log, kept) = (beside(path, "-wal"), beside(path, "-wal.lost"));
    tracing::warn!(database = %path.display(), "going on without what is lost: {what}");
    match std::fs::copy(&log, &kept) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unreadable(&kept, error)),
    }
}

/// What is there of a database.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    head: Option<Head>,
    log: Log,
    index: Option<Index>,
}

impl Seen {
    /// The index first: whatever it counts was flushed before.
    fn of(path: &Path) -> io::Result<Self> {
        let index = Index::find(&beside(path, "-shm"))?;
        let head = Head::find(path)?;
        let pages = head.as_ref().map_or(0, |head| head.pages);
        Ok(Self { head, index, log: Log::read(&beside(path, "-wal"), pages)? })
    }

    fn judge(&self, path: &Path) -> Result<(), StoreError> {
        let lost = |what: String| Err(StoreError::Lost { path: path.to_owned(), what });
        let damaged = |what: String| Err(StoreError::damaged(format!("`{}` {what}", path.display())));
        let unmoved = self.index.as_ref().map_or(0, Index::unmoved);
        let none = Prefix::default();
        let prefix = match &self.log {
            Log::Missing if unmoved > 0 => {
                return lost(format!("its log is missing, and with it {unmoved} pages that were written"));
            }
            Log::Headless => return lost("its log does not read from the first byte on".to_owned()),
            Log::Missing => &none,
            Log::Read(prefix) => prefix,
        };
        let read = prefix.committed;
        let index = self.index.as_ref().filter(|index| index.salts == prefix.salts && index.frames > read);
        if let Some(Index { frames, .. }) = index {
            return lost(format!("its log reads up to page {read} of {frames} that were written"));
        }
        if let Some(frame) = prefix.committed_behind {
            return lost(format!("its log reads up to page {read}, and what was written after page {frame} does not"));
        }
        match &self.head {
            None | Some(Head { pages: 0, .. }) if read > 0 => {
                damaged("is missing or empty, but its log is not".to_owned())
            }
            Some(head) => match head.missing(prefix) {
                0 => Ok(()),
                missing => damaged(format!("is cut off: {missing} of its pages are missing")),
            },
            None => Ok(()),
        }
    }
}

/// What the beginning of a database says, and how much there is.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Whole pages that are there.
    pages: u32,
    /// How many there should be, without a log.
    counted: u32,
    page_len_bytes: u64,
}

impl Head {
    /// None without a file, or where it is none of SQLite's, which the first look at it tells.
    fn find(path: &Path) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        let mut bytes = [0; 100];
        if len == 0 {
            return Ok(Some(Self { pages: 0, counted: 0, page_len_bytes: 1 }));
        }
        if len < 100 || !file.metadata()?.is_file() {
            return Ok(None);
        }
        file.read_exact(&mut bytes)?;
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Ok(None);
        }
        let page_len_bytes = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => 65_536,
            len => u64::from(len.max(512)),
        };
        let pages = u32::try_from(len / page_len_bytes).unwrap_or(u32::MAX);
        // The count holds only if it was written by the one who wrote last.
        let counted = if bytes[24..28] == bytes[92..96] { log::number(&bytes, 28) } else { pages };
        Ok(Some(Self { pages, counted, page_len_bytes }))
    }

    /// How many pages are neither here nor in the log.
    fn missing(&self, log: &Prefix) -> u64 {
        let wanted = if log.committed > 0 { log.pages } else { self.counted };
        let beyond = u64::from(wanted.saturating_sub(self.pages));
        let locked = LOCKED_AT_BYTES / self.page_len_bytes + 1;
        let is_locked_beyond = (u64::from(self.pages) + 1..=u64::from(wanted)).contains(&locked);
        beyond.saturating_sub(
            log.pages_beyond.iter().filter(|page| **page <= wanted).count() as u64 + u64::from(is_locked_beyond),
        )
    }
}

/// A file whose name is the database's with an end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// The path without symbolic links, which is where SQLite has its other files; of a file that is not there, its folder's.
fn true_path_of(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (folder.canonicalize(), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            (Ok(_) | Err(_), _) => path.to_owned(),
        }
    })
}

fn unreadable(path: &Path, error: io::Error) -> StoreError {
    StoreError::Unavailable { action: format!("open the database `{}`", path.display()), source: Arc::new(error) }
}
