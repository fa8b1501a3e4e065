//! What a server can do with an answer: nothing that costs the host more than the limits say.

use std::time::Duration;

use stepcell_outbound::{OutboundError, OutboundLimits, OutboundResponse, Part};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::kit::server::{OK, Server};
use crate::kit::{Client, LIMITS, anywhere, request, rules_of};

const PLACE: &str = "http://api.example/";

/// Limits that a test reaches soon.
const SMALL: OutboundLimits = OutboundLimits { body_bytes_max: 1000, time_max: Duration::from_millis(200), ..LIMITS };

async fn answered(answer: impl Into<Vec<u8>>) -> Result<OutboundResponse, OutboundError> {
    let server = Server::answering(answer).await;
    let rules = rules_of(&["http://*"], &[], OutboundLimits { body_bytes_max: 1000, ..LIMITS });
    Client::of(server.address).send(request("GET", PLACE), &rules).await
}

/// What becomes of a request to a server that sends `first`, and `again` for as long as somebody listens.
async fn flooded(first: &str, again: Vec<u8>) -> OutboundError {
    let first = first.to_owned();
    let server = Server::doing(move |mut stream: TcpStream, _| {
        let (first, again) = (first.clone(), again.clone());
        async move {
            let _ = stream.write_all(first.as_bytes()).await;
            while stream.write_all(&again).await.is_ok() {}
        }
    })
    .await;
    let rules = rules_of(&["http://*"], &[], OutboundLimits { body_bytes_max: 1000, ..LIMITS });
    Client::of(server.address).send(request("GET", PLACE), &rules).await.unwrap_err()
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let answer = "HTTP/1.1 404 Nothing\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Odd: \u{fc}\r\ncontent-length: 4\r\n\r\nnope";

    let response = answered(answer).await.unwrap();

    assert_eq!((response.status, &response.body[..]), (404, &b"nope"[..]));
    let names: Vec<_> = response.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(names, ["content-type", "set-cookie", "set-cookie", "x-odd", "content-length"]);
    assert_eq!(response.header("content-type"), Some(&b"text/plain"[..]));
}

#[tokio::test]
async fn an_answer_in_chunks_comes_back_in_one_piece_without_what_speaks_of_the_connection() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\ntrailer: x-sum\r\nproxy-a: b\r\n\r\n2\r\nab\r\n1;odd=\"yes\"\r\nc\r\n0\r\nx-sum: 1\r\n\r\n";

    let response = answered(answer).await.unwrap();

    assert_eq!(&response.body[..], b"abc");
    assert_eq!(response.headers, []);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let inside = Server::answering(OK).await;
        let answer =
            format!("HTTP/1.1 {status} Go\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", inside.address);

        let response = answered(answer).await.unwrap();

        assert_eq!(response.status, status);
        assert_eq!(response.header("location"), Some(format!("http://{}/", inside.address).as_bytes()));
        assert_eq!(inside.connections(), 0);
    }
}

#[tokio::test]
async fn what_is_compressed_stays_so() {
    let response = answered("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x0b\x08");

    assert_eq!(&response.await.unwrap().body[..], b"\x1f\x0b\x08");
}

#[tokio::test]
async fn an_answer_without_a_body_is_one() {
    for (answer, status) in [
        ("HTTP/1.1 204 None\r\n\r\n", 204),
        ("HTTP/1.1 304 Same\r\ncontent-length: 100\r\n\r\n", 304),
        ("HTTP/1.0 200 OK\r\n\r\n", 200),
        ("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200),
    ] {
        let response = answered(answer).await.unwrap();
        assert_eq!((response.status, response.body.len()), (status, 0), "{answer}");
    }
}

#[tokio::test]
async fn a_body_past_its_limit_is_refused_whether_or_not_it_says_so() {
    let too_large = OutboundError::ResponseTooLarge { part: Part::Body, bytes_max: 1000 };
    let told = format!("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{}", "a".repeat(1001));
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551600\r\n\r\n";
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n", "a".repeat(1001));

    assert_eq!(answered(told).await.unwrap_err(), too_large);
    assert_eq!(answered(huge).await.unwrap_err(), too_large);
    assert_eq!(answered(chunked).await.unwrap_err(), too_large);
    assert_eq!(flooded("HTTP/1.1 200 OK\r\n\r\n", vec![b'a'; 4096]).await, too_large);
    assert_eq!(
        flooded("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n".repeat(100)).await,
        too_large
    );
    let fits = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}", "a".repeat(1000));
    assert_eq!(answered(fits).await.unwrap().body.len(), 1000);
}

#[tokio::test]
async fn a_head_past_its_limit_is_refused() {
    let too_large = OutboundError::ResponseTooLarge { part: Part::Headers, bytes_max: 32 << 10 };

    assert_eq!(flooded("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n".to_vec()).await, too_large);
    assert_eq!(flooded("HTTP/1.1 200 OK\r\nx-long: ", vec![b'a'; 4096]).await, too_large);
    assert_eq!(flooded("HTTP/1.1 200 ", vec![b'a'; 4096]).await, too_large);
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_eq!(answered(format!("HTTP/1.1 200 OK\r\n{many}\r\n")).await.unwrap_err(), too_large);
}

#[tokio::test]
async fn interim_answers_chunk_extensions_and_trailers_without_end_are_refused() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let wire = OutboundError::ResponseTooLarge { part: Part::Message, bytes_max: (256 << 10) + (32 << 10) + 2000 };
    for (first, again, expected) in [
        (String::new(), "HTTP/1.1 100 Continue\r\n\r\n", &wire),
        (String::new(), "HTTP/1.1 102 Processing\r\nx-a: b\r\n\r\n", &wire),
        (chunked.to_owned(), "0", &wire),
        (format!("{chunked}1"), ";more=extensions", &OutboundError::BrokeOff),
        (format!("{chunked}0\r\n"), "x-trailer: more\r\n", &OutboundError::BrokeOff),
    ] {
        assert_eq!(flooded(&first, again.repeat(100).into_bytes()).await, *expected, "{again:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_refused() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nab\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nx a: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: b\0c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: b\r\n folded\r\n\r\n",
        "HTTP/1.1 9 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "220 mail.example ESMTP\r\n",
        "-ERR unknown command 'GET'\r\n",
        "<html>",
    ] {
        let error = answered(answer).await.unwrap_err();
        assert!(matches!(error, OutboundError::Protocol | OutboundError::BrokeOff), "{answer}: {error:?}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_not_read_as_another() {
    let response = answered(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")).await.unwrap();

    assert_eq!(&response.body[..], b"ok");
}

#[tokio::test]
async fn a_server_that_says_nothing_or_drips_is_left_when_the_time_is_up() {
    for first in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\na"] {
        let server = Server::doing(move |mut stream: TcpStream, _| async move {
            let _ = stream.write_all(first.as_bytes()).await;
            std::future::pending::<()>().await;
        })
        .await;
        let rules = rules_of(&["http://*"], &[], SMALL);

        let error = Client::of(server.address).send(request("GET", PLACE), &rules).await.unwrap_err();

        assert_eq!(error, OutboundError::Timeout { time_ms: 200 }, "{first}");
    }
}

#[tokio::test]
async fn an_authors_own_time_out_is_held_within_a_millisecond_and_the_limit() {
    for (wanted, limits, time_ms) in
        [(Duration::ZERO, LIMITS, 1), (Duration::from_millis(50), LIMITS, 50), (Duration::MAX, SMALL, 200)]
    {
        let server = Server::silent().await;
        let mut request = request("GET", PLACE);
        request.timeouts.first_byte = Some(wanted);
        let rules = rules_of(&["http://*"], &[], limits);

        let error = Client::of(server.address).send(request, &rules).await.unwrap_err();

        assert_eq!(error, OutboundError::Timeout { time_ms });
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_hangs_up() {
    let (hung_up, heard) = tokio::sync::oneshot::channel();
    let hung_up = std::sync::Mutex::new(Some(hung_up));
    let (reached, there) = tokio::sync::oneshot::channel();
    let reached = std::sync::Mutex::new(Some(reached));
    let server = Server::doing(move |mut stream: TcpStream, _| {
        let hung_up = hung_up.lock().unwrap().take().unwrap();
        reached.lock().unwrap().take().unwrap().send(()).unwrap();
        async move {
            let read = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1]).await;
            let _ = hung_up.send(matches!(read, Ok(0) | Err(_)));
        }
    })
    .await;
    let client = Client::of(server.address);
    let rules = anywhere();

    tokio::select! {
        answer = client.send(request("GET", PLACE), &rules) => panic!("{answer:?}"),
        there = there => there.unwrap(),
    }

    assert!(heard.await.unwrap());
}
