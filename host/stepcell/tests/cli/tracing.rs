//! Traces of what instances do, as a collector gets them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;

use crate::tool::Desk;

/// Runs to its end without anybody's doing.
const PASSING: &str = "\
schema: stepcell/v1
name: passing
version: 1.0.0
initial_step: first
steps:
  first: { type: gateway, mode: exclusive }
  second: { type: gateway, mode: exclusive }
edges:
  - { source: first, target: second }
";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Takes what is posted, and answers that it did.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tell) = (stream.unwrap(), tell.clone());
            std::thread::spawn(move || {
                while let Some(body) = posted(&stream) {
                    // The test may be over.
                    let _ = tell.send(body);
                }
            });
        }
    });
    (address, told)
}

/// The body of one request, which is answered; nothing once the connection has ended.
fn posted(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.to_ascii_lowercase();
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut answer = stream;
    answer.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").ok()?;
    Some(body)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

/// Runs one instance beside a server that tells a collector, and returns its id and what that was told.
fn told_of(start: &[&str]) -> (String, Vec<u8>) {
    let desk = Desk::new();
    let (address, told) = collector();
    desk.write("passing.yaml", PASSING);
    desk.run(&["definition", "apply", "passing.yaml"]).exits(0);
    let serving = desk.serve_with(&["--otlp-endpoint", &address]);
    let started = desk.json(&[&["start", "passing", "--wait"], start].concat());
    let instance = started["id"].as_str().unwrap().to_owned();
    let (exit, said) = serving.stop_by(Signal::TERM);
    assert_eq!(exit, Some(0), "{said}");
    (instance, told.try_iter().flatten().collect())
}

#[test]
fn an_instance_is_a_trace_whose_spans_are_its_executions() {
    let (instance, told) = told_of(&[]);

    let trace = bytes_of(&instance);
    let spans = told.windows(trace.len()).filter(|window| *window == trace).count();
    assert_eq!(spans, 3, "the instance, and two executions");
    for name in ["passing", "first", "second", "stepcell.instance", "service.name"] {
        assert!(has(&told, name.as_bytes()), "{name}");
    }
}

#[test]
fn an_instance_that_was_started_within_a_trace_is_a_span_of_that() {
    let metadata = format!(r#"{{"traceparent": "00-{TRACE}-00f067aa0ba902b7-01"}}"#);
    let (_, told) = told_of(&["--metadata", &metadata]);

    let (trace, above) = (bytes_of(TRACE), bytes_of("00f067aa0ba902b7"));
    assert_eq!(told.windows(trace.len()).filter(|window| *window == trace).count(), 3);
    assert!(has(&told, &above), "it is a child of who started it");
}

#[test]
fn nothing_is_told_of_a_trace_that_its_starter_does_not_record() {
    let metadata = format!(r#"{{"traceparent": "00-{TRACE}-00f067aa0ba902b7-00"}}"#);
    let (_, told) = told_of(&["--metadata", &metadata]);

    assert!(told.is_empty());
}

#[test]
fn a_collector_that_can_not_be_reached_holds_nothing_up() {
    let desk = Desk::new();
    desk.write("passing.yaml", PASSING);
    desk.run(&["definition", "apply", "passing.yaml"]).exits(0);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let serving = desk.serve_with(&["--otlp-endpoint", &format!("http://{gone}")]);

    let ended = desk.json(&["start", "passing", "--wait"]);

    assert_eq!(ended["status"], "completed");
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}
