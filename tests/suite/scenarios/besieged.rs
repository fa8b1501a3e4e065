//! The binary's server against everything that strangers send to harm it: each is refused, a good request is answered in
//! between, and afterwards memory, descriptors and threads are what they were.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod requests;
mod served;

use std::collections::BTreeSet;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use self::client::Answer;
use self::served::{Served, Usage};

/// How often each bad request is sent in a round, all of them at once.
const TIMES: usize = 4;

/// How many send the same at once: starts with one idempotency key, copies of one callback.
const AT_ONCE: usize = 1_000;

/// How many connections are idle at once, if there are descriptors for so many.
const IDLE_MAX: usize = 10_000;

/// Descriptors of this process that are left for all else than idle connections.
const DESCRIPTORS_BESIDE: usize = 2_500;

/// How many bodies come a byte at a time at once.
const SLOW: usize = 1_000;

/// How many streams of events nobody reads.
const DEAF: usize = 25;

/// The length of a body without end: 100 parts of 1 MiB.
const PARTS: usize = 100;

/// How many instances of the workflow `wide` are started, so that their events are more than sockets hold.
const WIDE: usize = 40;

/// By how much a server may have grown in the second round, beside a quarter of what it had: what an allocator keeps for
/// the next time differs by what came together.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

/// How many descriptors more or less there may be: connections of a database's readers come and go.
const DESCRIPTORS_SLACK: u64 = 8;

/// How many threads more there may be: those that block are kept for a while.
const THREADS_SLACK: u64 = 16;

/// Sends the same from many at once.
async fn at_once(served: &Served, times: usize, request: &[u8]) -> Vec<Answer> {
    let mut all = JoinSet::new();
    for _ in 0..times {
        let (client, request) = (served.client.clone(), request.to_vec());
        all.spawn(async move { client.say(&request).await });
    }
    all.join_all().await
}

async fn bad_requests(served: &Served) {
    let mut wrong = Vec::new();
    for bad in requests::all(&served.client) {
        for answer in at_once(served, TIMES, &bad.bytes).await {
            if !(answer.is_sound() && bad.statuses.contains(&answer.status)) {
                wrong.push(format!("{}: {answer:?}", bad.name));
            }
        }
    }
    wrong.dedup_by_key(|wrong| wrong.split_once(':').map(|(name, _)| name.to_owned()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Bodies of 100 MiB, which say so beforehand or do not.
async fn bodies_without_end(served: &Served) {
    let part = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n", part.as_slice(), b"\r\n"].concat();
    for (path, media_type) in [
        ("/instances", "application/json"),
        ("/definitions", "application/yaml"),
        ("/components?name=a&version=1.0.0", "application/wasm"),
    ] {
        let declared = format!("content-type: {media_type}\r\ncontent-length: {}\r\n", PARTS << 20);
        let chunked = format!("content-type: {media_type}\r\ntransfer-encoding: chunked\r\n");
        for (more, part) in [(declared, &part), (chunked, &chunk)] {
            let head = served.client.head("POST", path, &more);
            let (one, other) =
                tokio::join!(served.client.flood(&head, part, PARTS), served.client.flood(&head, part, PARTS));
            for answer in [one, other] {
                // An answer may be lost with the connection, on which much is still under way.
                assert!([413, 0].contains(&answer.status), "{path}: {answer:?}");
            }
        }
    }
}

/// Bodies of which a byte comes, and another one. Holds them while a good request is answered.
async fn slow_bodies(served: &Served) {
    let more = "content-type: application/json\r\ncontent-length: 1000\r\n";
    let begun = served.client.head("POST", "/instances", more) + "{";
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = served.client.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for stream in &mut slow {
        stream.write_all(b"\"").await.unwrap();
    }
    served.still_answers().await;
}

/// How many idle connections this process can have.
fn idle_len() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the system tells");
    let open = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the system tells");
    let open: usize = open.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX);
    IDLE_MAX.min(open.saturating_sub(DESCRIPTORS_BESIDE).max(open / 4))
}

async fn idle_connections(served: &Served) {
    let count = idle_len();
    let mut idle: Vec<TcpStream> = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(served.client.connect().await);
    }
    served.until("idle connections are held", |now| now >= count as u64).await;
    served.still_answers().await;
}

/// Starts with one idempotency key: they are one instance.
async fn identical_starts(served: &Served, round: usize) {
    let body = json!({ "definition_name": "approval" }).to_string();
    let more = format!("idempotency-key: round-{round}\r\n");
    let request = served.client.with_json("/instances", &more, body.as_bytes());

    let answers = at_once(served, AT_ONCE, &request).await;

    assert!(answers.iter().all(|answer| answer.is_sound() && [201, 409, 503].contains(&answer.status)));
    let made = answers.iter().filter(|answer| answer.status == 201);
    let ids: BTreeSet<_> = made.map(|answer| answer.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

/// Copies of one callback: one is taken.
async fn copies_of_a_callback(served: &Served) {
    let id = served.start("hooked").await;
    let waits = |answer: &Answer| answer.json()["status"] == "waiting";
    served.ask_until(&format!("/instances/{id}"), waits).await;
    let address = served.client.get(&format!("/instances/{id}/callbacks/hook")).await.json();
    let path = address["path"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
    let request = served.client.with_json(path, "webhook-id: msg_1\r\n", b"{\"paid\": true}");

    let answers = at_once(served, AT_ONCE, &request).await;

    let harmless = |answer: &Answer| answer.is_sound() && [200, 202, 409, 503].contains(&answer.status);
    assert!(answers.iter().all(harmless));
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    served.ask_until(&format!("/instances/{id}"), |answer| answer.json()["status"] == "completed").await;
}

/// Streams that are told everything from the beginning, and never read.
async fn open_deaf_streams(served: &Served) -> Vec<TcpStream> {
    let mut deaf = Vec::new();
    for _ in 0..DEAF {
        let stream = served.client.ask_and_never_read("/events", "last-event-id: 0\r\n").await;
        // That an answer has begun is seen without taking any of it.
        stream.peek(&mut [0]).await.unwrap();
        deaf.push(stream);
    }
    deaf
}

/// Opens such streams, and comes back once the server has let go of them.
async fn deaf_streams(served: &Served, quiet: u64) {
    let deaf = open_deaf_streams(served).await;
    served.until("deaf streams are let go of", |now| now <= quiet).await;
    drop(deaf);
}

/// Everything once.
async fn round(served: &Served, number: usize, quiet: u64) {
    bad_requests(served).await;
    served.still_answers().await;
    bodies_without_end(served).await;
    served.still_answers().await;
    slow_bodies(served).await;
    idle_connections(served).await;
    identical_starts(served, number).await;
    copies_of_a_callback(served).await;
    deaf_streams(served, quiet).await;
    served.still_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hostile_requests_took_comes_back() {
    let served = Served::new().await;
    for _ in 0..WIDE {
        served.start("wide").await;
    }
    served.still_answers().await;
    let quiet = served.descriptors() + DESCRIPTORS_SLACK;
    let mut seen: Vec<Usage> = Vec::new();

    for number in 0..2 {
        round(&served, number, quiet).await;
        served.until("descriptors come back", |now| now <= quiet).await;
        seen.push(served.usage());
    }

    let (first, second) = (seen[0], seen[1]);
    assert!(second.descriptors <= first.descriptors + DESCRIPTORS_SLACK, "{first:?} {second:?}");
    assert!(second.threads <= first.threads + THREADS_SLACK, "{first:?} {second:?}");
    let most = first.resident_bytes + first.resident_bytes / 4 + GROWTH_BYTES_MAX;
    assert!(second.resident_bytes <= most, "{first:?} {second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_its_stream_is_let_go_of_while_others_are_told_everything() {
    let served = Served::new().await;
    let before = served.descriptors();
    let mut heard = served.client.connect().await;
    heard.write_all(served.client.head("GET", "/events", "").as_bytes()).await.unwrap();
    let deaf = open_deaf_streams(&served).await;

    let mut started = BTreeSet::new();
    for _ in 0..WIDE {
        started.insert(served.start("wide").await);
    }
    let mut told = String::new();
    while !started.iter().all(|id| told.contains(&format!(r#""instance":"{id}""#))) {
        let mut part = vec![0; 1 << 20];
        let len = heard.read(&mut part).await.unwrap();
        assert!(len > 0, "who reads is told on");
        told.push_str(&String::from_utf8_lossy(&part[..len]));
    }

    served.until("deaf streams are let go of", |now| now <= before + 1 + DESCRIPTORS_SLACK).await;
    drop(deaf);
}
