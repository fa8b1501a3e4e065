//! What a stranger may hold, and for how long.

use std::time::Duration;

use stepcell_server::{Drained, ServeLimits};
use tokio::io::AsyncWriteExt as _;

use crate::kit::{GET_HELLO, LONG, Running, SHORT, greet, read_all, wide};

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_answered_408_and_its_connection_closed() {
    let server = Running::with(ServeLimits { body_grace: SHORT, ..wide() }).await;
    let mut slow = server.connect().await;

    slow.write_all(b"POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: 1000\r\n\r\nx").await.unwrap();
    let answer = read_all(&mut slow).await;

    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("connection: close") && answer.contains("request.timeout"), "{answer}");
    assert_eq!(server.traffic.counts().slow_bodies, 1);
}

#[tokio::test]
async fn one_byte_at_a_time_buys_no_more_time_than_the_rate_gives() {
    // A byte buys a tenth of a millisecond: a sender with a pause of one between two is always behind.
    let limits = ServeLimits { body_grace: SHORT, body_bytes_per_second_min: 10_000, ..wide() };
    let server = Running::with(limits).await;
    let (mut from_server, mut to_server) = server.connect().await.into_split();
    let drip = tokio::spawn(async move {
        to_server.write_all(b"POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        while to_server.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    });

    let answer = read_all(&mut from_server).await;

    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    drip.await.unwrap();
}

#[tokio::test]
async fn a_slow_sender_holds_up_nobody_else() {
    let server = Running::with(wide()).await;
    let mut slow = server.connect().await;
    slow.write_all(b"POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: 1000\r\n\r\nx").await.unwrap();

    assert!(server.say(GET_HELLO).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_comes_at_once_arrives_whole() {
    let server = Running::with(ServeLimits { body_grace: LONG, ..wide() }).await;
    let body = "x".repeat(1_000_000);

    let head =
        format!("POST /length HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let answer = server.say(&(head + &body)).await;

    assert!(answer.ends_with("\r\n\r\n1000000"), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_end_loses_its_connection() {
    let server = Running::with(ServeLimits { head_timeout: SHORT, ..wide() }).await;

    let answer = server.say("GET /hello HTTP/1.1\r\nhost: he").await;

    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_its_first_request_and_after_it() {
    let server = Running::with(ServeLimits { head_timeout: SHORT, ..wide() }).await;

    assert_eq!(read_all(&mut server.connect().await).await, "");

    let mut used = server.connect().await;
    greet(&mut used).await;
    assert_eq!(read_all(&mut used).await, "");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_431() {
    let server = Running::with(ServeLimits { head_bytes_max: 8 * 1024, ..wide() }).await;

    let answer =
        server.say(&format!("GET /hello HTTP/1.1\r\nhost: here\r\nx-long: {}\r\n\r\n", "x".repeat(9_000))).await;

    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_head_may_be_as_long_as_it_may_be_and_no_longer() {
    let server = Running::with(ServeLimits { head_bytes_max: 8 * 1024, ..wide() }).await;
    let head = |len: usize| {
        let rest = "GET /hello HTTP/1.1\r\nhost: here\r\nconnection: close\r\nx-long: \r\n\r\n".len();
        format!("GET /hello HTTP/1.1\r\nhost: here\r\nconnection: close\r\nx-long: {}\r\n\r\n", "x".repeat(len - rest))
    };

    let (fits, longer) = (server.say(&head(8 * 1024)).await, server.say(&head(8 * 1024 + 1)).await);

    assert!(fits.starts_with("HTTP/1.1 200"), "{fits}");
    assert!(longer.starts_with("HTTP/1.1 431"), "{longer}");
}

#[tokio::test]
async fn one_connection_too_many_is_answered_503_and_there_is_room_once_one_has_ended() {
    let server = Running::with(ServeLimits { connections_max: 2, ..wide() }).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    greet(&mut first).await;
    greet(&mut second).await;

    let answer = read_all(&mut server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("as many connections as it may have"), "{answer}");
    assert_eq!(server.traffic.counts().refused, 1);
    greet(&mut first).await;

    second.write_all(GET_HELLO.as_bytes()).await.unwrap();
    read_all(&mut second).await;
    // Its place is given back right behind its end; whoever is refused meanwhile tries again.
    loop {
        let answer = server.say(GET_HELLO).await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
    }
}

#[tokio::test]
async fn thousands_of_idle_connections_leave_room_for_a_request_and_are_let_go_of() {
    // Both ends of each are in this process.
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(20_000);
    let count = usize::try_from((descriptors.saturating_sub(200) / 2).min(9_900)).unwrap();
    let server = Running::with(ServeLimits { connections_max: count + 1, ..wide() }).await;
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(server.connect().await);
    }

    assert!(server.say(GET_HELLO).await.starts_with("HTTP/1.1 200"));
    drop(idle);

    let traffic = std::sync::Arc::clone(&server.traffic);
    assert_eq!(server.stop().await, Drained::Whole);
    assert_eq!(traffic.counts().open, 0);
    assert_eq!(traffic.counts().accepted, count as u64 + 1);
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_connection_and_what_was_made_for_it() {
    let mut server = Running::with(ServeLimits { write_timeout: SHORT, ..wide() }).await;
    let mut deaf = server.connect().await;

    deaf.write_all(b"GET /endless HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();

    assert_eq!(server.told.recv().await, Some("dropped"));
}

#[tokio::test]
async fn a_client_that_goes_away_in_its_request_or_closes_its_half_leaves_nothing_behind() {
    let server = Running::with(wide()).await;
    let begun = "POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: 1000\r\n\r\nx";
    let mut gone = server.connect().await;
    gone.write_all(begun.as_bytes()).await.unwrap();
    drop(gone);
    let mut half = server.connect().await;
    half.write_all(begun.as_bytes()).await.unwrap();
    half.shutdown().await.unwrap();

    let answer = read_all(&mut half).await;

    assert!(!answer.contains("200 OK"), "{answer}");
    let traffic = std::sync::Arc::clone(&server.traffic);
    assert_eq!(server.stop().await, Drained::Whole);
    assert_eq!(traffic.counts().in_flight, 0);
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_closed_and_harms_nobody() {
    let server = Running::with(wide()).await;
    for text in
        ["\r\n\r\n\0\0\0", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\0\u{5}hello", "GET /\u{7f} HTTP/1.1\r\n\r\n"]
    {
        let answer = server.say(text).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{text:?}: {answer}");
    }
    let both =
        "POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET";
    assert!(!server.say(both).await.contains("hello"));

    assert!(server.say(GET_HELLO).await.starts_with("HTTP/1.1 200"));
}
