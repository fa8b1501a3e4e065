//! From a name to the addresses that it stands for.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// How many names are looked up at once. The system's lookup can not be broken off and holds a thread as long as the
/// name's servers like: this protects the threads that the rest of the host needs for its files.
const LOOKUPS_AT_ONCE_MAX: usize = 64;

/// Looks names up.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses that a name stands for. The name is in lower case, is no address, and has no dot at its end.
    ///
    /// # Errors
    /// Whatever stands in the way; nobody but the operator sees it.
    async fn list_addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own resolver, with its files and search domains.
#[derive(Debug)]
pub struct SystemResolver {
    turns: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE_MAX)) }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn list_addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            // Kept until the thread is free again, also where nobody waits for the answer any more.
            let _turn = turn;
            (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn the_machine_knows_its_own_name() {
        let found = SystemResolver::default().list_addresses("localhost").await.unwrap();

        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }
}
