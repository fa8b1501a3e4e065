//! Whom a server must prove to be: certificates by the public authorities, and by those of a file.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::cli::exit::Refused;

/// How the connection is secured; `roots_pem` holds more authorities, or nothing.
pub(super) fn config(roots_pem: &str) -> anyhow::Result<ClientConfig> {
    let malformed =
        |why: &dyn std::fmt::Display| Refused::input(format!("the file of `--ca-file` is not usable: {why}"));
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
        roots.add(certificate.map_err(|error| malformed(&error))?).map_err(|error| malformed(&error))?;
        added += 1;
    }
    if added == 0 && !roots_pem.is_empty() {
        return Err(
            malformed(&"there is no certificate in it; it holds PEM, as in `-----BEGIN CERTIFICATE-----`").into()
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
