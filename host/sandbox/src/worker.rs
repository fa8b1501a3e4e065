//! Worker processes: each runs one attempt at a time, for one tenant all its life, and has nothing that is worth taking.
//!
//! So an attempt that brings its process down, or breaks out of its cell, has cost itself and found a process without
//! files, network, keys or database. What a worker says is checked as if its tenant had written it: see `answer`.
//!
//! Reading order: `wire` (what is said), `within` (the worker's side), `handle` (the host's side), `answer` and
//! `receipt` (what the host believes), `pool` (who gets which worker), `broker` (HTTP through the host).

pub(crate) mod answer;
pub(crate) mod broker;
pub(crate) mod handle;
pub(crate) mod pool;
pub(crate) mod receipt;
pub(crate) mod wire;
pub(crate) mod within;

/// How many attempts a worker runs before it is replaced: what one may have left behind does not pile up.
pub(crate) const ATTEMPTS_MAX: u32 = 100;

/// How many components a worker keeps before it is replaced. Protects the machine's memory.
pub(crate) const COMPONENTS_MAX: usize = 16;

/// The most memory that a worker may write to, in bytes: the largest cell, its code, and what the host's side needs.
pub(crate) const DATA_BYTES_MAX: u64 = 1 << 30;

/// The longest time on a processor that a worker can need in its life, in seconds.
pub(crate) const CPU_S_MAX: u64 = 61 * ATTEMPTS_MAX as u64;

/// How many more requests than an attempt may send a worker may ask for. A worker refuses those itself. Protects the
/// host's time.
pub(crate) const HTTP_ASKED_SLACK: u32 = 4;

/// The longest frame from a worker, in bytes: the largest report, with all of its text escaped, or a request. Protects
/// the host's memory.
pub(crate) const FROM_WORKER_BYTES_MAX: usize = 40 << 20;

/// The longest frame to a worker that is no code, in bytes: a context of 4 MiB and a history, escaped.
pub(crate) const TO_WORKER_BYTES_MAX: usize = 64 << 20;
