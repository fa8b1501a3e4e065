//! TLS 1.2 and 1.3 by rustls, with Mozilla's roots and those that the operator adds.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connect::Bounded;
use crate::error::OutboundError;
use crate::host::Host;

/// How much of what is wrong is told, in characters. Protects whoever reads it.
const REASON_CHARS_MAX: usize = 300;

/// The operator's own root certificates can not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the extra root certificates can not be used: {reason}; give them in PEM, each between `BEGIN CERTIFICATE` and `END CERTIFICATE`"
)]
pub struct MalformedRoots {
    reason: String,
}

/// How connections are made private.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// `extra_roots_pem` holds certificates in PEM, or nothing.
    pub(crate) fn new(extra_roots_pem: &str) -> Result<Self, MalformedRoots> {
        let malformed = |reason: String| MalformedRoots { reason };
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(extra_roots_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| malformed(error.to_string()))?;
            roots.add(certificate).map_err(|error| malformed(error.to_string()))?;
            added += 1;
        }
        if added == 0 && !extra_roots_pem.trim().is_empty() {
            return Err(malformed("there is no certificate among them".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| malformed(error.to_string()))?;
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is taken up again would tell a server that two tenants share a host.
        config.resumption = Resumption::disabled();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with whoever is at the other end, who must prove to be `host`.
    pub(crate) async fn secure(&self, host: &Host, stream: Bounded) -> Result<TlsStream<Bounded>, OutboundError> {
        let failed = |reason: String| OutboundError::Tls { host: host.to_string(), reason };
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| failed(error.to_string()))?,
            Host::Address(address) => ServerName::from(*address),
        };
        self.0.connect(name, stream).await.map_err(|error| explain(host, &error))
    }
}

fn explain(host: &Host, error: &io::Error) -> OutboundError {
    let host = host.to_string();
    let source = error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>());
    // A certificate may name thousands of hosts.
    let told = |error: &rustls::Error| error.to_string().chars().take(REASON_CHARS_MAX).collect();
    match source {
        Some(error @ rustls::Error::InvalidCertificate(_)) => OutboundError::Certificate { host, reason: told(error) },
        Some(error) => OutboundError::Tls { host, reason: told(error) },
        None => OutboundError::Tls { host, reason: error.kind().to_string() },
    }
}
