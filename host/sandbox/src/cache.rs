//! Compiled components on disk, so that a host that starts again compiles nothing twice.
//!
//! What lies here is run as native code. So the directory belongs to the host's user alone, a file is named by the
//! component's digest and by the engine's settings, and a file whose seal does not fit is never loaded: the component
//! is compiled again and the file replaced.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use stepcell_model::id::ComponentDigest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::SandboxError;

/// The bytes of the seal before the artifact.
const SEAL_BYTES: usize = 32;

/// Compiled components on disk.
#[derive(Debug)]
pub(crate) struct ArtifactCache {
    dir: PathBuf,
    engine_hash: String,
    files_written: AtomicU64,
}

impl ArtifactCache {
    /// Opens the directory, and makes it if need be.
    ///
    /// # Errors
    /// [`SandboxError::CacheDir`] and [`SandboxError::CacheDirShared`].
    pub(crate) fn open(dir: &Path, engine: &Engine) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::CacheDir { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mode = fs::metadata(dir).map_err(failed)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(SandboxError::CacheDirShared { dir: dir.to_owned() });
        }
        Ok(Self { dir: dir.to_owned(), engine_hash: engine_hash(engine), files_written: AtomicU64::new(0) })
    }

    /// The compiled component, if it is there and undamaged.
    pub(crate) fn load(&self, engine: &Engine, digest: ComponentDigest) -> Option<Component> {
        let file = fs::read(self.path_of(digest)).ok()?;
        let (sealed, artifact) = file.split_at_checked(SEAL_BYTES)?;
        if sealed != self.seal(digest, artifact).as_slice() {
            tracing::warn!(%digest, "a compiled component in the cache is damaged and will be compiled again");
            return None;
        }
        deserialize(engine, artifact)
            .inspect_err(
                |error| tracing::warn!(%digest, "a compiled component in the cache can not be loaded: {error:#}"),
            )
            .ok()
    }

    /// Keeps a compiled component. Failing costs only time later, so it is logged and no error.
    pub(crate) fn save(&self, digest: ComponentDigest, component: &Component) {
        let saved =
            component.serialize().map_err(std::io::Error::other).and_then(|artifact| self.write(digest, &artifact));
        if let Err(error) = saved {
            tracing::warn!(%digest, "a compiled component could not be cached: {error}");
        }
    }

    /// Writes beside the file and renames, so that nobody ever reads half of one.
    fn write(&self, digest: ComponentDigest, artifact: &[u8]) -> std::io::Result<()> {
        let number = self.files_written.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.dir.join(format!(".{}-{number}-{}", std::process::id(), digest.hex()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        let written = file
            .write_all(&self.seal(digest, artifact))
            .and_then(|()| file.write_all(artifact))
            .and_then(|()| fs::rename(&unfinished, self.path_of(digest)));
        written.inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    /// Ties an artifact to its component and to the engine that made it.
    ///
    /// A checksum: it tells damage, not malice. The key of a MAC goes in here once the host has one.
    fn seal(&self, digest: ComponentDigest, artifact: &[u8]) -> [u8; SEAL_BYTES] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(digest.as_bytes()).update(self.engine_hash.as_bytes()).update(artifact);
        hasher.finalize().into()
    }

    fn path_of(&self, digest: ComponentDigest) -> PathBuf {
        self.dir.join(format!("{}-{}.artifact", digest.hex(), self.engine_hash))
    }
}

#[expect(
    unsafe_code,
    reason = "precompiled code is native code; the directory is the host's alone, and the seal was checked just before"
)]
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were written by `save` of this module under the same engine settings, and are whole.
    unsafe { Component::deserialize(engine, artifact) }
}

/// Names everything about the engine that an artifact depends on.
fn engine_hash(engine: &Engine) -> String {
    let mut hasher = CompatibilityHasher(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().to_hex()[..16].to_owned()
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
