//! How a server stops.

use stepcell_server::{Drained, ServeLimits};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::kit::{Running, SHORT, greet, read_all, read_until, wide};

#[tokio::test]
async fn a_request_under_way_is_answered_and_nothing_new_is_accepted() {
    let mut server = Running::with(wide()).await;
    let (address, release) = (server.address, std::sync::Arc::clone(&server.release));
    let mut held = server.connect().await;
    held.write_all(b"GET /held HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    assert_eq!(server.told.recv().await, Some("begun"));

    let stopping = tokio::spawn(server.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    release.notify_one();

    let answer = read_all(&mut held).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("held"), "{answer}");
    assert_eq!(stopping.await.unwrap(), Drained::Whole);
}

#[tokio::test]
async fn idle_connections_are_closed_at_once() {
    let server = Running::with(wide()).await;
    let mut idle = server.connect().await;
    greet(&mut idle).await;

    assert_eq!(server.stop().await, Drained::Whole);
    assert_eq!(read_all(&mut idle).await, "");
}

#[tokio::test]
async fn a_stream_of_events_ends_in_order() {
    let server = Running::with(wide()).await;
    let traffic = std::sync::Arc::clone(&server.traffic);
    let mut listener = server.connect().await;
    listener.write_all(b"GET /events HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    read_until(&mut listener, "data: first\n\n\r\n").await;
    assert_eq!(traffic.counts().streams, 1);

    assert_eq!(server.stop().await, Drained::Whole);

    // The chunk without length: the stream is over, and not cut off.
    assert_eq!(read_all(&mut listener).await, "0\r\n\r\n");
    assert_eq!(traffic.counts().streams, 0);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off() {
    let mut server = Running::with(ServeLimits { drain_timeout: SHORT, ..wide() }).await;
    let traffic = std::sync::Arc::clone(&server.traffic);
    let mut held = server.connect().await;
    held.write_all(b"GET /held HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    assert_eq!(server.told.recv().await, Some("begun"));

    assert_eq!(server.stop().await, Drained::Cut(1));
    assert_eq!(read_all(&mut held).await, "");
    assert_eq!(traffic.counts().open, 0);
}
