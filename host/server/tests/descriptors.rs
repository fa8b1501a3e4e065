//! A process that has no more descriptors. Alone in its file: the limit is that of the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stepcell_server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// How many descriptors the process may have: fewer than the clients of this test and what they are served with need.
const DESCRIPTORS_MAX: u64 = 64;

#[tokio::test]
async fn a_server_without_descriptors_waits_and_answers_once_there_are_some() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS_MAX), maximum: hard }).unwrap();
    let mut clients = Vec::new();
    // The last one that can be had is a client's, so that the server has none left for what it should accept.
    while let Ok(client) = TcpStream::connect(address).await {
        clients.push(client);
    }
    let router = Router::new().route("/", get(|| async { "here" }));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(Server::new(router).serve(listener, async {
        stopped.await.ok();
    }));
    // It has seen that nothing can be accepted before this is over, whenever it came to it.
    tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await.unwrap_err();

    let mut last = clients.pop().unwrap();
    clients.clear();
    last.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
