//! How connections are served, over loopback: by those who mean well, and by those who do not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod draining;
mod kit;
mod tls;
