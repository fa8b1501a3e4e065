//! What an attempt may use up that nobody can set; the limits that can be set come with its call.

/// The most names that a gateway may answer with; no definition has more steps. Protects whoever follows them.
pub(crate) const GATEWAY_NAMES_MAX: usize = 1_000;

/// The most bytes of all names together that a gateway may answer with; a step's name has at most 64. Protects the
/// store.
pub(crate) const GATEWAY_NAMES_BYTES_MAX: usize = 64 << 10;

/// The most bytes of outputs that one look at the history gives. Protects the host's memory.
pub(crate) const HISTORY_BYTES_MAX: usize = 4 << 20;

/// The largest details of a failure, in bytes; larger ones are left out. Protects the store.
pub(crate) const FAILURE_DETAILS_BYTES_MAX: usize = 64 << 10;

/// The largest fields of one log line, in bytes; larger ones are left out. Protects whoever reads it.
pub(crate) const LOG_FIELDS_BYTES_MAX: usize = 8 << 10;

/// The most bytes that one call may carry from the guest to the host. Protects the host's memory.
///
/// Above the largest output, so that an output somewhat too large is still told apart from an attack.
pub(crate) const CALL_BYTES_MAX: usize = 8 << 20;

/// The most bytes of output that a guest may write before it asks again. Protects the host's memory.
pub(crate) const STDIO_PERMIT_BYTES: usize = 16 << 10;

/// The most bytes that the headers of one HTTP message take in memory, names and values and what holds them. Protects
/// the host's memory.
pub(crate) const HTTP_FIELDS_BYTES_MAX: usize = 32 << 10;

/// The most bytes of an HTTP request's body that wait to be read, before its guest must wait. Protects the host's memory:
/// bodies may be opened by the hundred, and two pieces of each wait.
pub(crate) const HTTP_CHUNK_BYTES: usize = 16 << 10;

/// How many HTTP bodies of the largest size an attempt may make the host hold at once, written or not read yet. Protects
/// the host's memory.
pub(crate) const HTTP_BODIES_HELD_MAX: u64 = 4;
