//! The way of one request, from the rules to the answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stepcell_model::grants::Scheme;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::address::check_address;
use crate::check::{Checked, Target, check};
use crate::connect::{Bounded, Connection, Connector, TcpConnector};
use crate::error::OutboundError;
use crate::exchange::{exchange, wire_bytes_max};
use crate::host::Host;
use crate::request::{OutboundRequest, OutboundResponse};
use crate::resolve::{Resolver, SystemResolver};
use crate::rules::OutboundRules;
use crate::tls::{MalformedRoots, Tls};

/// How many of a host's addresses are tried, each for its share of the time. Protects networks against being scanned.
const ADDRESSES_TRIED_MAX: usize = 4;

/// How many connections are open at once, over all attempts, where the operator says nothing else. Protects the host's
/// file descriptors, of which many systems give a process 1,024.
const CONNECTIONS_AT_ONCE: usize = 512;

/// Sends requests of steps.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Sends a request, if the rules allow it, and waits for the whole answer. Dropping the future breaks it off.
    ///
    /// # Errors
    /// [`OutboundError`], for the request's author, who may go on.
    async fn send(&self, request: OutboundRequest, rules: &OutboundRules) -> Result<OutboundResponse, OutboundError>;
}

/// Sends requests from this host, each over a connection of its own.
pub struct HttpOutbound {
    resolver: Arc<dyn Resolver>,
    connector: Arc<dyn Connector>,
    connections: Semaphore,
    tls: Tls,
}

impl HttpOutbound {
    /// Sends with the system's resolver. `extra_roots_pem` are certificates that are trusted beside Mozilla's, in PEM;
    /// usually none.
    ///
    /// # Errors
    /// [`MalformedRoots`], for the operator.
    pub fn new(extra_roots_pem: &str) -> Result<Self, MalformedRoots> {
        Self::with(Arc::new(SystemResolver::default()), Arc::new(TcpConnector), extra_roots_pem)
    }

    /// Sends with a resolver and a connector of one's own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(
        resolver: Arc<dyn Resolver>,
        connector: Arc<dyn Connector>,
        extra_roots_pem: &str,
    ) -> Result<Self, MalformedRoots> {
        Ok(Self {
            resolver,
            connector,
            connections: Semaphore::new(CONNECTIONS_AT_ONCE),
            tls: Tls::new(extra_roots_pem)?,
        })
    }

    /// Says how many connections are open at once, over all attempts; 512 otherwise. Further requests wait, within their
    /// own time.
    #[must_use]
    pub fn with_connections_max(mut self, connections_max: usize) -> Self {
        self.connections = Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS));
        self
    }

    async fn send_checked(&self, checked: Checked, rules: &OutboundRules) -> Result<OutboundResponse, OutboundError> {
        let _turn = rules.turn().await;
        let addresses = self.list_allowed_addresses(&checked, rules).await?;
        let _connection = self.connections.acquire().await.ok();
        let connect_max = rules.timeout(checked.timeouts.connect);
        let Checked { target, request, timeouts, .. } = checked;
        let connecting = async {
            let stream = self.connect(&target, &addresses, connect_max).await?;
            let stream = Bounded::new(stream, wire_bytes_max(rules));
            let secured: Box<dyn Connection> = match target.scheme {
                Scheme::Http => Box::new(stream),
                Scheme::Https => Box::new(self.tls.secure(&target.host, stream).await?),
            };
            Ok(secured)
        };
        let stream = timeout(connect_max, connecting).await.map_err(|_| took_longer_than(connect_max))??;
        exchange(stream, request, timeouts, rules).await
    }

    /// The addresses of a host, each of which may be reached. One that may not spoils all: whoever mixes them wants
    /// the check to see one and the connection to go to another.
    async fn list_allowed_addresses(
        &self,
        checked: &Checked,
        rules: &OutboundRules,
    ) -> Result<Vec<IpAddr>, OutboundError> {
        let host = &checked.target.host;
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolver.list_addresses(name).await.unwrap_or_else(|error| {
                tracing::debug!(host = name, %error, "a name could not be looked up for a step");
                Vec::new()
            }),
        };
        if found.is_empty() {
            return Err(OutboundError::Unresolved { host: host.to_string() });
        }
        let opened = &rules.grants.allowed.private_networks;
        let allowed: Result<Vec<_>, _> =
            found.into_iter().map(|address| check_address(address, opened).map_err(|kind| (address, kind))).collect();
        allowed.map_err(|(address, kind)| {
            // For the operator alone: the tenant is not told what a name stands for here.
            tracing::info!(%host, %address, ?kind, "a step wanted to reach an address that is not public");
            checked.denied_address()
        })
    }

    async fn connect(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        time_max: Duration,
    ) -> Result<Box<dyn Connection>, OutboundError> {
        let tried = addresses.iter().take(ADDRESSES_TRIED_MAX);
        let share = time_max / u32::try_from(tried.len()).unwrap_or(1).max(1);
        let mut failed = took_longer_than(time_max);
        for address in tried {
            let address = SocketAddr::new(*address, target.port);
            match timeout(share, self.connector.connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = unreachable(target, &error),
                Err(_) => failed = took_longer_than(time_max),
            }
        }
        Err(failed)
    }
}

#[async_trait]
impl Outbound for HttpOutbound {
    async fn send(&self, request: OutboundRequest, rules: &OutboundRules) -> Result<OutboundResponse, OutboundError> {
        rules.count_request()?;
        let checked = check(request, rules)?;
        let time_max = rules.timeout(None);
        let answer = timeout(time_max, self.send_checked(checked, rules)).await;
        answer.map_err(|_| took_longer_than(time_max))?
    }
}

fn unreachable(target: &Target, error: &io::Error) -> OutboundError {
    OutboundError::Connect { host: target.host.to_string(), port: target.port, reason: error.kind().to_string() }
}

pub(crate) fn took_longer_than(time: Duration) -> OutboundError {
    OutboundError::Timeout { time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }
}
