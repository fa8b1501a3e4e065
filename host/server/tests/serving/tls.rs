//! Answers within TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stepcell_server::{Drained, ServeLimits, Tls};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::kit::{GET_HELLO, Running, SHORT, greet, read_all, wide};

/// A certificate and its key in files, and what a client trusts to take it.
struct Certificate {
    folder: tempfile::TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn make() -> Self {
        let mut certificate = Self { folder: tempfile::tempdir().unwrap(), der: CertificateDer::from(Vec::new()) };
        certificate.make_anew();
        certificate
    }

    fn make_anew(&mut self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.file("tls.crt"), made.cert.pem()).unwrap();
        fs::write(self.file("tls.key"), made.signing_key.serialize_pem()).unwrap();
        self.der = made.cert.der().clone();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls::of_files(&self.file("tls.crt"), &self.file("tls.key")).unwrap()
    }

    async fn connect(&self, server: &Running) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
    }
}

#[tokio::test]
async fn requests_within_tls_are_answered_and_plain_ones_are_not() {
    let certificate = Certificate::make();
    let server = Running::with_tls(wide(), Some(certificate.tls())).await;

    greet(&mut certificate.connect(&server).await.unwrap()).await;

    assert!(!server.say(GET_HELLO).await.contains("HTTP/1.1 200"));
    assert_eq!(server.traffic.counts().failed_handshakes, 1);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up_and_holds_up_nobody() {
    let certificate = Certificate::make();
    let server = Running::with_tls(ServeLimits { handshake_timeout: SHORT, ..wide() }, Some(certificate.tls())).await;
    let mut slow = server.connect().await;

    assert_eq!(read_all(&mut slow).await, "");
    assert_eq!(server.traffic.counts().failed_handshakes, 1);
    // Whether a good one is in time is the machine's affair here; that it was tried anew is what counts.
    while certificate.connect(&server).await.is_err() {}
}

#[tokio::test]
async fn a_handshake_under_way_does_not_hold_up_the_end() {
    let certificate = Certificate::make();
    let server = Running::with_tls(wide(), Some(certificate.tls())).await;
    let _slow = server.connect().await;
    greet(&mut certificate.connect(&server).await.unwrap()).await;

    assert_eq!(server.stop().await, Drained::Whole);
}

#[tokio::test]
async fn a_new_certificate_is_shown_once_the_files_are_read_again_and_a_broken_one_changes_nothing() {
    let mut certificate = Certificate::make();
    let tls = certificate.tls();
    let server = Running::with_tls(wide(), Some(tls.clone())).await;
    let mut early = certificate.connect(&server).await.unwrap();
    greet(&mut early).await;

    certificate.make_anew();
    assert!(certificate.connect(&server).await.is_err(), "the old one is still shown");
    tls.reload().unwrap();
    greet(&mut certificate.connect(&server).await.unwrap()).await;
    greet(&mut early).await;

    fs::write(certificate.file("tls.crt"), "no certificate").unwrap();
    tls.reload().unwrap_err();
    greet(&mut certificate.connect(&server).await.unwrap()).await;
}

#[test]
fn files_that_can_not_be_used_are_told_by_name() {
    let (ours, other) = (Certificate::make(), Certificate::make());

    let missing = Tls::of_files(Path::new("nowhere.crt"), &ours.file("tls.key")).unwrap_err().to_string();
    let foreign = Tls::of_files(&ours.file("tls.crt"), &other.file("tls.key")).unwrap_err().to_string();

    assert!(missing.contains("`nowhere.crt`"), "{missing}");
    assert!(foreign.contains("tls.crt") && foreign.contains("tls.key"), "{foreign}");
}
