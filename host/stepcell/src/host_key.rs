//! Where a host's one secret comes from: the environment, a file that was named, or a file beside the database.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use stepcell_model::host_key::{HOST_KEY_BYTES, HostKey, NoHostKey};
use zeroize::Zeroizing;

/// Counts the keys that this process began to make, so that no two write one file.
static MADE: AtomicU64 = AtomicU64::new(0);

/// The longest file that can be a key: 64 digits and some space.
const FILE_BYTES_MAX: u64 = 256;

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file can not be read or made.
    #[error("the host key `{}` can not be used: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("others than the host may read the host key `{}`; `chmod 600` it, and think of it as known", file.display())]
    Shared {
        /// The file.
        file: PathBuf,
    },
    /// What is there is no key.
    #[error("`{place}`: {source}; `head -c 32 /dev/urandom | xxd -p -c 64` makes one")]
    Malformed {
        /// Where it stands.
        place: String,
        /// What it should look like.
        source: NoHostKey,
    },
}

/// Reads a key that somebody wrote down, as in an environment variable; `place` is what it is called there.
///
/// # Errors
/// [`HostKeyError::Malformed`].
pub fn host_key_of_text(place: &str, text: &str) -> Result<HostKey, HostKeyError> {
    HostKey::from_hex(text).map_err(|source| HostKeyError::Malformed { place: place.to_owned(), source })
}

/// Reads the key in a file that only its owner may read.
///
/// # Errors
/// [`HostKeyError`].
pub fn host_key_of_file(file: &Path) -> Result<HostKey, HostKeyError> {
    let failed = |source| HostKeyError::File { file: file.to_owned(), source };
    let opened = File::open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(HostKeyError::Shared { file: file.to_owned() });
    }
    let mut text = Zeroizing::new(String::new());
    opened.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    host_key_of_text(&file.display().to_string(), &text)
}

/// Reads the key in a file, and makes the file with a new key if there is none.
///
/// # Errors
/// [`HostKeyError`].
///
/// # Examples
/// ```
/// use stepcell::host_key_made_in;
///
/// let folder = std::env::temp_dir().join(format!("stepcell-key-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// let made = host_key_made_in(&folder.join("host.key"))?;
/// let read = host_key_made_in(&folder.join("host.key"))?;
/// assert_eq!(made.derive("a purpose"), read.derive("a purpose"));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn host_key_made_in(file: &Path) -> Result<HostKey, HostKeyError> {
    if !file.exists() {
        make(file).map_err(|source| HostKeyError::File { file: file.to_owned(), source })?;
    }
    host_key_of_file(file)
}

/// Writes a new key beside the file and links it there, so that of two processes that begin at once both read the same,
/// and nobody ever reads half of one.
fn make(file: &Path) -> std::io::Result<()> {
    let mut bytes = [0; HOST_KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(format!(".{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
    let unfinished = PathBuf::from(unfinished);
    let mut opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let written = opened
        .write_all(format!("{}\n", *HostKey::take(&mut bytes).to_hex()).as_bytes())
        .and_then(|()| opened.sync_all())
        .and_then(|()| std::fs::hard_link(&unfinished, file));
    let removed = std::fs::remove_file(&unfinished);
    match written {
        // Somebody was first: theirs is the key.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => removed,
        other => other.and(removed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");

        let keys: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| host_key_made_in(&file).unwrap().derive("x"))).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });

        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        fs::write(&file, "ab".repeat(32)).unwrap();

        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(host_key_made_in(&file), Err(HostKeyError::Shared { .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(host_key_made_in(&file).is_ok());
        fs::write(&file, "no key").unwrap();
        let told = host_key_made_in(&file).unwrap_err().to_string();
        assert!(told.contains("64 hexadecimal digits") && !told.contains("no key"), "{told}");
        assert!(matches!(host_key_of_file(&folder.path().join("none")), Err(HostKeyError::File { .. })));
    }
}
