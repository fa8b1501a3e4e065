//! How much the requests of one attempt may use together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stepcell_outbound::{OutboundError, OutboundLimits, OutboundRequest, Part};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::kit::server::{OK, Server};
use crate::kit::{Client, LIMITS, request, rules, rules_of};

const PLACE: &str = "http://api.example/";

#[tokio::test]
async fn the_33rd_request_of_an_attempt_is_refused_and_no_packet_leaves() {
    let server = Server::answering(OK).await;
    let client = Client::of(server.address);
    let rules = rules(&["http://*"]);
    for _ in 0..32 {
        client.send(request("GET", PLACE), &rules).await.unwrap();
    }

    let error = client.send(request("GET", PLACE), &rules).await.unwrap_err();

    assert_eq!(error, OutboundError::RequestsUsedUp { requests_max: 32 });
    assert_eq!((server.connections(), client.names.asked().len()), (32, 32));
}

#[tokio::test]
async fn a_request_that_is_denied_counts_too() {
    let client = Client::new(crate::kit::Names::default(), crate::kit::Wires::default());
    let rules = rules_of(&[], &[], OutboundLimits { requests_max: 1, ..LIMITS });

    assert!(matches!(client.send(request("GET", PLACE), &rules).await, Err(OutboundError::Denied { .. })));
    assert_eq!(
        client.send(request("GET", PLACE), &rules).await.unwrap_err(),
        OutboundError::RequestsUsedUp { requests_max: 1 }
    );
}

#[tokio::test]
async fn no_more_than_four_are_under_way_at_once_and_the_others_wait() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (full, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let counts = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&full), Arc::clone(&go_on));
    let server = Server::doing(move |mut stream: TcpStream, _| {
        let (now, most, full, go_on) = counts.clone();
        async move {
            let count = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(count, Ordering::SeqCst);
            full.add_permits(1);
            let _turn = go_on.acquire().await.unwrap();
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    let client = Client::of(server.address);
    let rules = rules(&["http://*"]);

    let all = async {
        let eight = (0..8).map(|_| client.send(request("GET", PLACE), &rules));
        let mut eight: Vec<_> = eight.map(Box::pin).collect();
        std::future::poll_fn(|cx| {
            eight.retain_mut(|one| match one.as_mut().poll(cx) {
                std::task::Poll::Ready(answer) => {
                    assert_eq!(answer.unwrap().status, 200);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if eight.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    };
    let doorman = async {
        full.acquire_many(4).await.unwrap().forget();
        go_on.add_permits(1);
    };
    tokio::join!(all, doorman);

    assert_eq!((server.connections(), most.load(Ordering::SeqCst)), (8, 4));
}

#[tokio::test]
async fn whoever_waits_for_a_turn_waits_within_its_own_time() {
    let server = Server::silent().await;
    let client = Client::of(server.address);
    let limits = OutboundLimits { at_once_max: 1, time_max: Duration::from_millis(100), ..LIMITS };
    let rules = rules_of(&["http://*"], &[], limits);

    let (first, second) =
        tokio::join!(client.send(request("GET", PLACE), &rules), client.send(request("GET", PLACE), &rules));

    assert_eq!(first.unwrap_err(), OutboundError::Timeout { time_ms: 100 });
    assert_eq!(second.unwrap_err(), OutboundError::Timeout { time_ms: 100 });
}

#[tokio::test]
async fn attempts_share_the_hosts_connections_and_wait_for_them_within_their_own_time() {
    let reached = Arc::new(Semaphore::new(0));
    let reaches = Arc::clone(&reached);
    let server = Server::doing(move |stream: TcpStream, _| {
        reaches.add_permits(1);
        async move {
            let _held = stream;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let client = Client::of(server.address).with_connections_max(1);
    let patient = rules(&["http://*"]);
    let hurried = rules_of(&["http://*"], &[], OutboundLimits { time_max: Duration::from_millis(50), ..LIMITS });
    let second = async {
        reached.acquire().await.unwrap().forget();
        client.send(request("GET", PLACE), &hurried).await
    };

    let second = tokio::select! {
        first = client.send(request("GET", PLACE), &patient) => panic!("{first:?}"),
        second = second => second,
    };

    assert_eq!(second.unwrap_err(), OutboundError::Timeout { time_ms: 50 });
    assert_eq!(client.wires.used().len(), 1);
}

#[tokio::test]
async fn a_body_past_its_limit_is_not_sent() {
    let server = Server::answering(OK).await;
    let client = Client::of(server.address);
    let rules = rules_of(&["http://*"], &[], OutboundLimits { body_bytes_max: 10, ..LIMITS });
    let sized = |size| OutboundRequest { body: vec![b'a'; size].into(), ..request("POST", PLACE) };

    let error = client.send(sized(11), &rules).await.unwrap_err();

    assert_eq!(error, OutboundError::RequestTooLarge { part: Part::Body, bytes_max: 10 });
    assert_eq!(server.connections(), 0);
    assert_eq!(client.send(sized(10), &rules).await.unwrap().status, 200);
}
