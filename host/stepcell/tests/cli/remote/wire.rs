//! Connections that break, answers that put off, and servers that are none.

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::tool::{Desk, Said};

const EMPTY_LIST: &str = r#"{"items": [], "total": 0, "next_cursor": null}"#;

/// Answers requests one by one with what it was given, a connection each; nothing breaks the connection.
pub(super) struct Script {
    address: SocketAddr,
    heard: Receiver<String>,
    thread: JoinHandle<()>,
}

impl Script {
    pub(super) fn of(answers: Vec<Option<String>>) -> Self {
        Self::over(answers, |stream, answer| {
            let request = read_request(stream);
            if let Some(answer) = answer {
                stream.write_all(answer.as_bytes()).unwrap();
            }
            request
        })
    }

    fn over(
        answers: Vec<Option<String>>,
        serve: impl Fn(&mut std::net::TcpStream, Option<String>) -> String + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = channel();
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                tell.send(serve(&mut stream, answer)).unwrap();
            }
        });
        Self { address, heard, thread }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that was heard, once all has been answered.
    pub(super) fn heard(self) -> Vec<String> {
        self.thread.join().unwrap();
        self.heard.iter().collect()
    }
}

/// Reads a request with its body, as far as its head says how long that is.
fn read_request(stream: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if announced.is_none_or(|len| body.len() >= len.parse::<usize>().unwrap()) {
            return text;
        }
    }
}

pub(super) fn answer(status: &str, head: &str, body: &str) -> Option<String> {
    let len = body.len();
    Some(format!("HTTP/1.1 {status}\r\ncontent-length: {len}\r\nconnection: close\r\n{head}\r\n{body}"))
}

pub(super) fn problem(status: u16, code: &str, head: &str) -> Option<String> {
    let body = format!(
        r#"{{"type": "x", "title": "x", "status": {status}, "detail": "the detail of {code}", "code": "{code}"}}"#
    );
    answer(&format!("{status} X"), head, &body)
}

fn list(desk: &Desk, url: &str) -> Said {
    desk.run(&["task", "list", "--output", "json", "--server", url, "--key", "k"])
}

#[test]
fn a_request_that_comes_too_early_is_sent_again_and_not_for_ever() {
    let desk = Desk::new();
    let early = || problem(429, "rate.limited", "retry-after: 0\r\n");
    let patient = Script::of(vec![early(), early(), answer("200 OK", "", EMPTY_LIST)]);
    let stubborn = Script::of(vec![early(), early(), early(), early(), early()]);

    list(&desk, &format!("http://{}", patient.address)).exits(0);
    list(&desk, &format!("http://{}", stubborn.address)).exits(4).tells("the detail of rate.limited");

    assert_eq!((patient.heard().len(), stubborn.heard().len()), (3, 5));
}

#[test]
fn whoever_shall_wait_too_long_is_told_at_once() {
    let script = Script::of(vec![problem(429, "quota.exceeded", "retry-after: 86400\r\n")]);

    list(&Desk::new(), &format!("http://{}", script.address)).exits(3).tells("the detail of quota.exceeded");
}

#[test]
fn a_server_that_takes_nothing_new_ends_with_4() {
    let script = Script::of(vec![problem(503, "server.unavailable", "retry-after: 1\r\n")]);

    list(&Desk::new(), &format!("http://{}", script.address)).exits(4).tells("the detail of server.unavailable");
}

#[test]
fn a_start_whose_answer_was_lost_is_sent_again_with_the_same_key() {
    let script = Script::of(vec![None, None, problem(404, "definition.not_found", "")]);
    let url = format!("http://{}", script.address);

    Desk::new()
        .run(&["start", "order", "--server", &url, "--key", "k"])
        .exits(3)
        .tells("the detail of definition.not_found");

    let heard = script.heard();
    let key = |request: &String| {
        request.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned)).unwrap()
    };
    let keys: Vec<_> = heard.iter().map(key).collect();
    assert_eq!(keys[0].len(), 32);
    assert_eq!((&keys[0], &keys[1]), (&keys[1], &keys[2]));
}

#[test]
fn what_may_have_been_done_already_is_not_sent_again() {
    let script = Script::of(vec![None]);
    let url = format!("http://{}", script.address);
    let pause = ["instance", "pause", "0198c0de-0000-7000-8000-000000000000", "--server", &url, "--key", "k"];

    Desk::new().run(&pause).exits(4).tells("can not reach");

    assert_eq!(script.heard().len(), 1);
}

#[test]
fn what_is_no_server_of_this_kind_ends_with_4() {
    let desk = Desk::new();
    for (answered, told) in [
        (answer("404 Not Found", "content-type: text/html\r\n", "<h1>nothing</h1>"), "not as a stepcell server does"),
        (answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""), "not as a stepcell server does"),
        (answer("200 OK", "", "<h1>hello</h1>"), "what is not understood here"),
    ] {
        let script = Script::of(vec![answered]);
        list(&desk, &format!("http://{}", script.address)).exits(4).tells(told);
    }
}

#[test]
fn a_server_proves_who_it_is_by_an_authority_that_is_trusted() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let desk = Desk::new();
    desk.write("ca.pem", &cert.pem());
    desk.write("none.pem", "nothing");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap());
    let script = Script::over(vec![answer("200 OK", "", EMPTY_LIST), None], move |stream, answer| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let Some(answer) = answer else {
            // Whoever does not trust the certificate goes away in the middle of the handshake.
            assert!(stream.read(&mut [0]).is_err());
            return String::new();
        };
        let request = read_request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        request
    });
    let url = format!("https://localhost:{}", script.address.port());
    let trusting = ["task", "list", "--server", &url, "--key", "k", "--ca-file"];

    desk.run(&[&trusting[..], &["ca.pem"]].concat()).exits(0);
    list(&desk, &url).exits(4).tells("can not reach").tells("certificate");
    desk.run(&[&trusting[..], &["none.pem"]].concat()).exits(1).tells("there is no certificate in it");

    assert!(script.heard()[0].contains("authorization: Bearer k"));
}
