//! TLS by a certificate and a key in files, which can be read anew while connections are open.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why a certificate and its key can not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can not be read, or has none of what it should have.
    #[error("can not read `{}` as PEM: {source}; it must have {wanted}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What it should have.
        wanted: &'static str,
        /// What stood in the way.
        source: rustls::pki_types::pem::Error,
    },
    /// The key is not that of the certificate, or of a kind that is not known.
    #[error("the certificate in `{}` can not be used with the key in `{}`: {source}", certificate.display(), key.display())]
    Unusable {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What stood in the way.
        source: rustls::Error,
    },
}

/// The certificate that a server shows, and its key.
#[derive(Clone)]
pub struct Tls {
    files: Arc<(PathBuf, PathBuf)>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads a certificate with its chain, and its key, both as PEM.
    ///
    /// # Errors
    /// [`TlsError`] if one of them can not be read, or they do not belong together.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let config = config_of(certificate, key)?;
        let files = Arc::new((certificate.to_owned(), key.to_owned()));
        Ok(Self { files, config: Arc::new(RwLock::new(config)) })
    }

    /// Reads the files again, for connections that begin from now on.
    ///
    /// # Errors
    /// [`TlsError`] as when they were first read. What was read before stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let (certificate, key) = &*self.files;
        let config = config_of(certificate, key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn config_of(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |file: &Path, wanted| {
        let file = file.to_owned();
        move |source| TlsError::Unreadable { file, wanted, source }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable(certificate, "a certificate, and the chain above it"))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key, "the key of the certificate"))?;
    let unusable = |source| TlsError::Unusable { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
