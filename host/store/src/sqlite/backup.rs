//! A consistent copy of a database while others write to it.
//!
//! SQLite's own online backup, under one read transaction that is held to the end: what the copy holds is what was committed
//! when it began, nobody who writes waits for it, and it never begins anew. (Without that transaction every commit of another
//! process would send it back to the first page; `VACUUM INTO` would build each index again, for minutes of a large file.)
//! The price: the write-ahead log is not started over until the copy is there.
//!
//! A copy has its name only once it is complete, checked and on disk.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::failure::during;
use super::loss::Opened;
use super::{Losses, SqliteOptions, SqliteStore, lists, open};
use crate::error::StoreError;

/// How many pages are copied between two reports of progress: 2 MiB of a file of ours.
const STEP_PAGES: i32 = 256;

/// Who may read and write a copy that is not complete: its owner.
const MODE: u32 = 0o600;

/// What becomes of a file that has the backup's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the backup is refused.
    Kept,
    /// The backup takes its place, at once and only once it is complete.
    Replaced,
}

/// How far a backup has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// How many pages are copied.
    pub pages_done: u64,
    /// How many there are.
    pub pages: u64,
}

/// A backup that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// The size of the file.
    pub bytes: u64,
    /// The position of the newest history row in it.
    pub last_position: u64,
}

/// Why there is no backup. Whatever had its name before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file of that name.
    #[error("`{}` is there already; name another file, or allow this one to be replaced", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file of that name is the database that was to be copied.
    #[error("`{}` is the database itself; name another file", path.display())]
    Itself {
        /// The file.
        path: PathBuf,
    },
    /// The file of that name is, or was, open as a database.
    #[error(
        "`{}` is a database that is in use or was not closed in order: `{}` lies beside it; name another file",
        path.display(), beside.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// What lies beside it.
        beside: PathBuf,
    },
    /// Another process writes a backup of that name.
    #[error("another process is writing `{}`; wait for it, or name another file", partial.display())]
    UnderWay {
        /// The file that it writes.
        partial: PathBuf,
    },
    /// The copy does not pass SQLite's own check, and so the database does not either.
    #[error(
        "the copy is damaged, and so is what it was made of: {what}; there is no backup, keep the last one you have"
    )]
    Damaged {
        /// What SQLite says.
        what: String,
    },
    /// A file can not be written.
    #[error("can not {action} `{}`: {source}; check the disk and the folder", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What stood in the way.
        #[source]
        source: io::Error,
    },
    /// The database or the copy can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(during("copy the database", error))
    }
}

impl SqliteStore {
    /// Copies the database at `from` into the file `to`, while others may go on writing. Blocks on I/O.
    ///
    /// What was acknowledged before the call is in the copy. It is written as `<to>.partial`, checked as a whole, flushed to
    /// disk, and then gets its name. The schema may be that of an older version.
    ///
    /// # Errors
    /// [`BackupError`]; then there is no copy, and a file that had the name is as it was.
    pub fn back_up(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        existing: Existing,
        on_progress: impl FnMut(BackupProgress),
    ) -> Result<BackedUp, BackupError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        if from.canonicalize().is_ok_and(|from| to.canonicalize().is_ok_and(|to| from == to)) {
            return Err(BackupError::Itself { path: to.to_owned() });
        }
        refuse_taken(to, existing)?;
        // A copy of what has lost something would look as if nothing were missing.
        let _opened = Opened::at(from, Losses::Refuse)?;
        let source = open::for_reading(from, &SqliteOptions::default())?;
        let partial = Partial::begin(to)?;
        let last_position = copy(&source, &partial.path, on_progress)?;
        partial.finish(from, to, existing, last_position)
    }
}

/// Refuses a name that is taken, and in any case that of a database in use: its log would be taken for the copy's.
fn refuse_taken(to: &Path, existing: Existing) -> Result<(), BackupError> {
    if existing == Existing::Kept && to.exists() {
        return Err(BackupError::Exists { path: to.to_owned() });
    }
    for suffix in ["-wal", "-journal"] {
        let beside = with_suffix(to, suffix);
        if beside.exists() {
            return Err(BackupError::InUse { path: to.to_owned(), beside });
        }
    }
    Ok(())
}

/// Copies page by page, checks the copy, and answers with the position of its newest history row.
fn copy(source: &Connection, partial: &Path, mut on_progress: impl FnMut(BackupProgress)) -> Result<u64, BackupError> {
    let snapshot = source.unchecked_transaction()?;
    // The first read begins it.
    lists::last_position(&snapshot)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(partial, flags)?;
    target.pragma_update(None, "synchronous", "FULL")?;
    {
        let backup = Backup::new(&snapshot, &mut target)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let progress = backup.progress();
            let (pages, left) = (count(progress.pagecount), count(progress.remaining));
            on_progress(BackupProgress { pages_done: pages - left, pages });
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => {
                    return Err(BackupError::Io {
                        action: "copy into",
                        path: partial.to_owned(),
                        source: io::Error::other("another process holds it"),
                    });
                }
            }
        }
    }
    // One file, without a log beside it, that can be read where nothing can be written.
    target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    check(&target)?;
    Ok(lists::last_position(&target)?)
}

/// Has SQLite read every page, and hold every index against its table.
fn check(copy: &Connection) -> Result<(), BackupError> {
    let what: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if what == "ok" { Ok(()) } else { Err(BackupError::Damaged { what }) }
}

fn count(pages: i32) -> u64 {
    u64::try_from(pages).unwrap_or(0)
}

/// A copy that is not complete yet; removed unless it was finished.
struct Partial {
    path: PathBuf,
    /// Locked, so that two of one name do not mix.
    file: File,
    is_named: bool,
}

impl Partial {
    fn begin(to: &Path) -> Result<Self, BackupError> {
        let path = with_suffix(to, ".partial");
        let failed = |source| BackupError::Io { action: "make", path: path.clone(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(MODE);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_named(&file, &path).map_err(failed)? => {}
            Ok(()) | Err(TryLockError::WouldBlock) => return Err(BackupError::UnderWay { partial: path }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // What a backup left that was interrupted.
        file.set_len(0).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(MODE)).map_err(failed)?;
        Ok(Self { path, file, is_named: false })
    }

    /// Flushes the copy, and gives it its name.
    fn finish(
        mut self,
        from: &Path,
        to: &Path,
        existing: Existing,
        last_position: u64,
    ) -> Result<BackedUp, BackupError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::Io { action, path, source }
        };
        // Whoever may not read the database may not read its copy either.
        let permissions = std::fs::metadata(from).map_err(failed("read", from))?.permissions();
        self.file.set_permissions(permissions).map_err(failed("write", &self.path))?;
        self.file.sync_all().map_err(failed("flush", &self.path))?;
        let bytes = self.file.metadata().map_err(failed("read", &self.path))?.len();
        refuse_taken(to, existing)?;
        std::fs::rename(&self.path, to).map_err(failed("name", to))?;
        self.is_named = true;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("flush", folder))?;
        Ok(BackedUp { bytes, last_position })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_named {
            for suffix in ["-journal", ""] {
                // What is not there need not go.
                let _ = std::fs::remove_file(with_suffix(&self.path, suffix));
            }
        }
    }
}

/// Whether a file still has the name that it was opened by: whoever locked it before may have given it another one.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let (file, named) = (file.metadata()?, path.metadata());
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (file.dev(), file.ino())))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
