//! Why a sandbox could not be set up.

use std::path::PathBuf;

/// Why a sandbox could not be set up. For the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The number of cells is out of range.
    #[error("a sandbox has 1 to {cells_max} cells, not {cells}")]
    CellCount {
        /// What was asked for.
        cells: usize,
        /// The most there may be.
        cells_max: usize,
    },
    /// The runtime can not be set up on this machine.
    #[error("the WebAssembly runtime can not be set up on this machine: {reason}")]
    Runtime {
        /// What it said.
        reason: String,
    },
    /// The cache directory can not be made or read.
    #[error("the cache directory `{}` can not be used: {source}", dir.display())]
    CacheDir {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may write to the cache directory.
    #[error("others than the host may write to the cache directory `{}`, and what lies there is run as native code; `chmod 700` it, or name another", dir.display())]
    CacheDirShared {
        /// The directory.
        dir: PathBuf,
    },
    /// The runtime that this host is built with is known to be bad.
    #[error(
        "this host is built with wasmtime {version}, which is known to be bad: {why}; build or install a host with a newer one"
    )]
    KnownBadRuntime {
        /// Its version.
        version: String,
        /// What is bad about it.
        why: String,
    },
    /// Nothing could be compiled within the limits that are set.
    #[error(
        "compiling takes some time, at least 1 s on a processor, and at least {memory_bytes_least} bytes of memory; set no less"
    )]
    CompileLimits {
        /// The least memory.
        memory_bytes_least: u64,
    },
}
