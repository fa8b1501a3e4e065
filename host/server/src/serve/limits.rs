//! What strangers may hold of a server.

use std::time::Duration;

/// How long a server that can not accept rests before it tries again: long enough that connections end meanwhile.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(200);

/// What a stranger is told to wait for where there is no room for a connection, in seconds.
pub(super) const RETRY_AFTER_SECONDS: &str = "1";

/// What those who connect may hold of one server.
///
/// A limit that is over its hard top is lowered to it by whoever reads the settings; here it is taken as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// How many connections may be open. Bounds descriptors and memory; one more is answered `503` and closed.
    pub connections_max: usize,
    /// How long a connection may take for the head of a request, and how long it may be idle before one.
    pub head_timeout: Duration,
    /// How many bytes the head of a request may have; a longer one is answered `431`. At least 8 KiB.
    pub head_bytes_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a body may keep its reader waiting in all, beside [`Self::body_bytes_per_second_min`].
    pub body_grace: Duration,
    /// The rate at which a body must arrive: each of so many bytes buys another second of waiting, so that large uploads get
    /// longer than small requests. A slower one is answered `408`, and its connection is closed.
    pub body_bytes_per_second_min: u32,
    /// How long a client may take nothing at all of what it is sent before its connection is closed.
    pub write_timeout: Duration,
    /// How long what is under way may take to end once the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_timeout: Duration::from_secs(30),
            head_bytes_max: 32 * 1024,
            handshake_timeout: Duration::from_secs(10),
            body_grace: Duration::from_secs(10),
            body_bytes_per_second_min: 32 * 1024,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
