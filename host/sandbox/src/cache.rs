//! Compiled components on disk, so that a host that starts again compiles nothing twice.
//!
//! What lies here is run as native code. So the directory belongs to the host's user alone, a file is named by the
//! component's digest, by the engine's version and settings and by the host whose it is, and carries a seal over all of that and its bytes that
//! only the host's key makes. A file whose seal does not fit is never loaded: the component is compiled again and the
//! file replaced.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use stepcell_model::host_key::{HOST_KEY_BYTES, HostKey};
use stepcell_model::id::ComponentDigest;
use wasmtime::Engine;

use crate::child::frame::ARTIFACT_BYTES_MAX;
use crate::config::{SandboxConfig, Wall};
use crate::error::SandboxError;

/// The bytes of the seal before the artifact.
const SEAL_BYTES: usize = 32;

/// What the key of the seals is derived from the host's key for.
const SEAL_PURPOSE: &str = "stepcell 2026-11-23 seal of compiled components";

/// What the name of a host among the others of a cache is derived from its key for.
const NAME_PURPOSE: &str = "stepcell 2026-11-23 name of a host in its cache of compiled components";

/// How old a file is that somebody began to write and did not finish before it is removed.
const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// Compiled components on disk.
pub(crate) struct ArtifactCache {
    dir: PathBuf,
    engine_hash: String,
    host_name: String,
    seal: Seal,
    bytes_max: u64,
    files_written: AtomicU64,
    cleaning: Mutex<()>,
}

/// What ties an artifact to its component, to the engine that made it, and to this host.
enum Seal {
    Keyed([u8; HOST_KEY_BYTES]),
    /// Tells damage, not malice.
    Unkeyed,
}

impl ArtifactCache {
    /// Opens the directory, and makes it if need be.
    ///
    /// # Errors
    /// [`SandboxError::CacheDir`] and [`SandboxError::CacheDirShared`].
    pub(crate) fn open(dir: &Path, config: &SandboxConfig, engine: &Engine) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::CacheDir { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mode = fs::metadata(dir).map_err(failed)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(SandboxError::CacheDirShared { dir: dir.to_owned() });
        }
        let key = config.host_key.clone().map_or_else(random_host_key, Ok).map_err(failed)?;
        let cache = Self {
            dir: dir.to_owned(),
            engine_hash: engine_hash(engine),
            host_name: blake3::Hash::from(key.derive(NAME_PURPOSE)).to_hex()[..8].to_owned(),
            seal: match config.walls.seal {
                Wall::Up => Seal::Keyed(key.derive(SEAL_PURPOSE)),
                Wall::Down => Seal::Unkeyed,
            },
            bytes_max: config.cache_bytes_max,
            files_written: AtomicU64::new(0),
            cleaning: Mutex::default(),
        };
        cache.clean().map_err(failed)?;
        Ok(cache)
    }

    /// The compiled component, if it is there with a seal that fits.
    pub(crate) fn load(&self, digest: ComponentDigest) -> Option<Vec<u8>> {
        let mut file = File::open(self.path_of(digest)).ok()?;
        let mut seal = [0; SEAL_BYTES];
        let mut artifact = Vec::new();
        let bytes_max = ARTIFACT_BYTES_MAX as u64;
        let read = file.read_exact(&mut seal).and_then(|()| (&file).take(bytes_max).read_to_end(&mut artifact));
        // Compares in the same time wherever the difference is.
        if read.is_err() || self.seal_of(digest, &artifact) != seal {
            tracing::warn!(%digest, "a compiled component in the cache is not what this host put there; it is compiled again");
            return None;
        }
        // What was used last goes last. Where the time can not be set, it counts as older than it is.
        let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        Some(artifact)
    }

    /// Keeps a compiled component. Failing costs only time later, so it is logged and no error.
    pub(crate) fn save(&self, digest: ComponentDigest, artifact: &[u8]) {
        let saved = self.write(digest, artifact).and_then(|()| self.clean());
        if let Err(error) = saved {
            tracing::warn!(%digest, "a compiled component could not be cached: {error}");
        }
    }

    /// Writes beside the file and renames, so that nobody ever reads half of one.
    fn write(&self, digest: ComponentDigest, artifact: &[u8]) -> io::Result<()> {
        let number = self.files_written.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.dir.join(format!(".{}-{number}-{}", std::process::id(), digest.hex()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let written = file
            .write_all(self.seal_of(digest, artifact).as_bytes())
            .and_then(|()| file.write_all(artifact))
            .and_then(|()| fs::rename(&unfinished, self.path_of(digest)));
        written.inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    /// Ties an artifact to its component, to the engine that made it, and to this host.
    fn seal_of(&self, digest: ComponentDigest, artifact: &[u8]) -> blake3::Hash {
        let mut hasher = match &self.seal {
            Seal::Keyed(key) => blake3::Hasher::new_keyed(key),
            Seal::Unkeyed => blake3::Hasher::new(),
        };
        // Each part but the last is of one length, so no two inputs run together to the same bytes.
        hasher.update(digest.as_bytes()).update(self.engine_hash.as_bytes()).update(artifact);
        hasher.finalize()
    }

    /// Removes what is too much, oldest use first, and what somebody began to write long ago.
    fn clean(&self) -> io::Result<()> {
        // Two at once would each remove what the other leaves.
        let Ok(_alone) = self.cleaning.try_lock() else { return Ok(()) };
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another process may have removed it meanwhile.
            let Ok(facts) = entry.metadata() else { continue };
            let name = entry.file_name();
            if name.as_encoded_bytes().ends_with(b".artifact") {
                kept.push((facts.accessed()?, facts.len(), entry.path()));
            } else if name.as_encoded_bytes().starts_with(b".") && is_older(&facts, UNFINISHED_AGE_MAX) {
                let _ = fs::remove_file(entry.path());
            }
        }
        kept.sort();
        let mut bytes: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
        // The one that was used last stays, however large it is.
        for (_, size, path) in kept.iter().rev().skip(1).rev() {
            if bytes <= self.bytes_max {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= size;
        }
        Ok(())
    }

    fn path_of(&self, digest: ComponentDigest) -> PathBuf {
        self.dir.join(format!("{}-{}-{}.artifact", digest.hex(), self.engine_hash, self.host_name))
    }
}

fn is_older(facts: &fs::Metadata, age: Duration) -> bool {
    facts.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|elapsed| elapsed > age)
}

/// A key that nobody else has.
///
/// # Errors
/// What the system said when it gave no randomness.
pub fn random_host_key() -> io::Result<HostKey> {
    let mut bytes = [0; HOST_KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(HostKey::take(&mut bytes))
}

/// Names everything about the engine that an artifact depends on: its version and its settings.
fn engine_hash(engine: &Engine) -> String {
    let mut hasher = CompatibilityHasher(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().to_hex()[..32].to_owned()
}

/// Feeds what implements [`Hash`] to a hash that is the same in every build.
struct CompatibilityHasher(blake3::Hasher);

impl Hasher for CompatibilityHasher {
    fn finish(&self) -> u64 {
        0 // Never asked for: the whole hash is taken instead.
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{EngineUse, Walls, engine_config};

    use super::*;

    #[test]
    fn what_compiles_and_what_runs_agree_on_every_setting_that_code_depends_on() {
        let hash = |engine_use| engine_hash(&Engine::new(&engine_config(engine_use, &Walls::default())).unwrap());

        assert_eq!(hash(EngineUse::Compile), hash(EngineUse::Cells(2)));
    }

    #[test]
    fn code_for_other_settings_has_another_name() {
        let other = Walls { epoch: Wall::Down, ..Walls::default() };
        let hash = |walls| engine_hash(&Engine::new(&engine_config(EngineUse::Compile, &walls)).unwrap());

        assert_ne!(hash(Walls::default()), hash(other));
    }
}
