//! Only one process may drive a database: whoever does holds a lock on the file `<database>.lock`.
//!
//! The operating system takes the lock back when the process ends, however it ends; the file itself stays and says
//! who holds it, for the message that a second one gets.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long whoever wants to drive waits for somebody who only looked.
const LOOKED_AT_WAIT: Duration = Duration::from_millis(20);

/// The lock of the process that drives a database; released when dropped.
#[derive(Debug)]
pub struct DriverLock {
    _file: File,
}

/// Why a database can not be driven.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process drives it.
    #[error("`{}` is driven by another process ({holder}); stop that one first, or let it do the work", database.display())]
    Held {
        /// The database.
        database: PathBuf,
        /// What the other process says of itself.
        holder: String,
    },
    /// The lock file can not be used.
    #[error("can not lock `{}`: {source}; check that its folder is there and can be written to", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DriverLock {
    /// Takes the lock of a database.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder, if another process drives the database.
    pub fn take(database: &Path) -> Result<Self, LockError> {
        let path = lock_file_of(database);
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match file.try_lock().or_else(|error| try_again(&file, error)) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { database: database.to_owned(), holder: holder_of(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let verb = std::env::args().nth(1).unwrap_or_default();
        let since = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let text = format!("process {}, `stepcell {verb}`, since {since}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(unusable)?;
        Ok(Self { _file: file })
    }

    /// What the process that drives a database says of itself; nothing if none does.
    ///
    /// # Errors
    /// [`LockError::Unusable`] if the lock file can not be read.
    pub fn find_holder(database: &Path) -> Result<Option<String>, LockError> {
        let path = lock_file_of(database);
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder_of(&mut file))),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

/// The lock file beside the database itself, whatever links lead there; hard links are not seen through.
fn lock_file_of(database: &Path) -> PathBuf {
    let mut path = true_path_of(database).into_os_string();
    path.push(".lock");
    path.into()
}

/// The path without symbolic links; of a file that is not there yet, its folder's.
fn true_path_of(database: &Path) -> PathBuf {
    database.canonicalize().unwrap_or_else(|_| {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (folder.canonicalize(), database.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            (Ok(_) | Err(_), _) => database.to_owned(),
        }
    })
}

/// Tries a second time: whoever only looks for a holder has the lock for a moment, too.
fn try_again(file: &File, error: TryLockError) -> Result<(), TryLockError> {
    match error {
        TryLockError::WouldBlock => {
            std::thread::sleep(LOOKED_AT_WAIT);
            file.try_lock()
        }
        TryLockError::Error(_) => Err(error),
    }
}

fn holder_of(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(256).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        Ok(_) | Err(_) => "it does not say which".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn another_way_to_the_same_database_is_no_way_around_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (database, link) = (folder.path().join("x.db"), folder.path().join("link.db"));
        let _first = DriverLock::take(&database).unwrap();
        std::fs::write(&database, "").unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();

        assert!(matches!(DriverLock::take(&link), Err(LockError::Held { .. })));
    }

    #[test]
    fn a_second_driver_is_refused_and_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let first = DriverLock::take(&database).unwrap();

        let second = DriverLock::take(&database).unwrap_err().to_string();

        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");
        drop(first);
        DriverLock::take(&database).unwrap();
    }

    #[test]
    fn a_holder_is_found_while_there_is_one_and_looking_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");

        assert_eq!(DriverLock::find_holder(&database).unwrap(), None);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        let held = DriverLock::take(&database).unwrap();
        assert!(DriverLock::find_holder(&database).unwrap().unwrap().contains("process"));
        drop(held);
        assert_eq!(DriverLock::find_holder(&database).unwrap(), None);
    }
}
