//! TLS: whoever answers must prove to be the name that was asked for.
//!
//! The certificates beside this file were made once for these tests and end in 2126. Their key is no secret.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stepcell_outbound::{HttpOutbound, OutboundError};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use crate::kit::server::read_request;
use crate::kit::{ANYWHERE, Client, Names, Wires};

const ROOT: &str = include_str!("certificates/root.pem");

/// A server that is `api.example`, and says in its answer which name was asked for and what would be spoken.
async fn server() -> (tokio::task::JoinHandle<()>, std::net::SocketAddr) {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("certificates/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certificates/server.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let session = stream.get_ref().1;
            let name = session.server_name().unwrap_or_default().to_owned();
            let spoken = String::from_utf8_lossy(session.alpn_protocol().unwrap_or_default()).into_owned();
            read_request(&mut stream).await;
            let body = format!("{name} {spoken}");
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (task, address)
}

fn client(server: std::net::SocketAddr, roots: &str) -> Client {
    Client::with_roots(Names::default(), Wires::default().leading(&format!("{ANYWHERE}:443"), server), roots)
}

#[tokio::test]
async fn a_server_that_proves_its_name_is_spoken_to_in_http_1() {
    let (_task, address) = server().await;

    let response = client(address, ROOT).get("https://API.example/").await.unwrap();

    assert_eq!(&response.body[..], b"api.example http/1.1");
}

#[tokio::test]
async fn a_server_that_proves_another_name_or_none_is_not_spoken_to() {
    let (_task, address) = server().await;
    let refused = |error: OutboundError| match error {
        OutboundError::Certificate { reason, .. } => reason,
        other => panic!("{other:?}"),
    };

    let reason = refused(client(address, "").get("https://api.example/").await.unwrap_err());
    assert_eq!(reason, "invalid peer certificate: UnknownIssuer");

    let reason = refused(client(address, ROOT).get("https://other.example/").await.unwrap_err());
    assert!(reason.contains("not valid for name"), "{reason}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_apart() {
    for said in ["", "HTTP/1.1 400 Bad\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(listener.local_addr().unwrap(), ROOT);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
        };

        let (answer, ()) = tokio::join!(client.get("https://api.example/"), server);

        let error = answer.unwrap_err();
        assert!(matches!(error, OutboundError::Tls { .. }), "{said}: {error:?}");
    }
}

#[test]
fn roots_that_can_not_be_read_are_refused_when_they_are_given() {
    assert!(HttpOutbound::new("").is_ok() && HttpOutbound::new(ROOT).is_ok());
    for odd in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(HttpOutbound::new(odd).is_err(), "{odd}");
    }
}
