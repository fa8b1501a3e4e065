//! `serve` as a server: what answers, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::tool::Desk;

/// Asks for a path and returns the whole answer.
fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_says_that_it_is_alive_and_ready_until_it_is_stopped() {
    let desk = Desk::new();
    let (serving, address) = desk.serve_http(&[]);

    assert!(ask(&address, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(ask(&address, "/readyz").ends_with(r#"{"status":"ready"}"#));

    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn a_server_that_is_told_to_stop_says_that_it_is_not_ready_and_answers_until_the_delay_is_over() {
    let desk = Desk::new();
    let (mut serving, address) = desk.serve_http(&["--drain-delay", "1h"]);

    serving.tell(Signal::TERM);
    assert!(serving.line().starts_with("stopping"));
    let ready = ask(&address, "/readyz");
    let answered = ask(&address, "/api/v1/openapi.json");

    assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with(r#"{"status":"draining"}"#), "{ready}");
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    let (exit, said) = serving.stop_by(Signal::TERM);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("stopped at once"), "{said}");
}

#[test]
fn the_port_is_closed_once_the_delay_is_over() {
    let desk = Desk::new();
    let (serving, address) = desk.serve_http(&["--drain-delay", "10ms"]);

    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn whoever_watches_is_told_that_a_server_drains_while_its_port_is_closed() {
    let desk = Desk::new();
    let key = desk.run(&["key", "create", "--scope", "admin"]).exits(0).stdout;
    let flags =
        ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--drain-timeout", "1h", "--body-grace", "1h"];
    let (mut serving, address) = desk.serve_http_as(&[&["serve"], &flags[..]].concat());
    let watched = serving.metrics.take().unwrap();
    // A request whose body does not end holds the server. That it waits for the body, it says itself.
    let mut held = TcpStream::connect(&address).unwrap();
    write!(
        held,
        "POST /api/v1/instances HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        key.trim()
    )
    .unwrap();
    let mut going_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    held.read_exact(&mut going_on).unwrap();

    serving.tell(Signal::TERM);
    while TcpStream::connect(&address).is_ok() {}
    let ready = ask(&watched, "/readyz");

    assert!(ready.ends_with(r#"{"status":"draining"}"#), "{ready}");
    write!(held, "{{}}").unwrap();
    let mut answer = String::new();
    held.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_file_may_say_where_to_listen() {
    let desk = Desk::new();
    desk.write("stepcell.toml", "[serve]\nlisten = \"127.0.0.1:0\"\n");
    let (_serving, address) = desk.serve_http_as(&["serve"]);

    assert!(ask(&address, "/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn whoever_listens_to_other_machines_without_tls_is_warned() {
    let desk = Desk::new();
    let (exit, said) = desk.serve_loudly(&["--listen", "0.0.0.0:0"]).stop_by(Signal::TERM);

    assert_eq!(exit, Some(0), "{said}");
}

#[test]
fn tls_takes_a_certificate_and_its_key() {
    let desk = Desk::new();

    desk.run(&["serve", "--tls-cert", "tls.crt"]).exits(1).tells("TLS takes both");
    let both = ["serve", "--tls-cert", "nowhere.crt", "--tls-key", "nowhere.key"];
    desk.run(&both).exits(4).tells("can not read `nowhere.crt` as PEM");
}

#[test]
fn sighup_does_not_end_a_server() {
    let desk = Desk::new();
    let (serving, address) = desk.serve_http(&[]);

    serving.tell(Signal::HUP);

    assert!(ask(&address, "/healthz").starts_with("HTTP/1.1 200"));
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}

/// Asks for a path within TLS, of a server that shows this certificate.
fn ask_within_tls(address: &str, path: &str, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Writes a new certificate and its key.
fn certify(desk: &Desk) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    desk.write("tls.crt", &made.cert.pem());
    desk.write("tls.key", &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

#[test]
fn sighup_has_a_new_certificate_shown_and_keeps_the_old_one_where_the_new_can_not_be_used() {
    let desk = Desk::new();
    let first = certify(&desk);
    let (mut serving, address) = desk.serve_https(&["--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    assert!(ask_within_tls(&address, "/readyz", &first).unwrap().starts_with("HTTP/1.1 200"));

    let second = certify(&desk);
    serving.tell(Signal::HUP);
    assert_eq!(serving.line(), "the certificate was read again");
    ask_within_tls(&address, "/readyz", &first).unwrap_err();
    assert!(ask_within_tls(&address, "/readyz", &second).unwrap().starts_with("HTTP/1.1 200"));

    desk.write("tls.key", "no key");
    serving.tell(Signal::HUP);
    let said = serving.line();
    assert!(said.starts_with("warning: the certificate stays as it was"), "{said}");
    assert!(ask_within_tls(&address, "/readyz", &second).unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn whoever_may_have_fewer_descriptors_than_connections_is_warned() {
    let desk = Desk::new();
    let mut serving = desk.serve_with_descriptors(300);

    let first = serving.line();

    assert!(first.starts_with("warning: this process may have 300 descriptors"), "{first}");
}

#[test]
fn a_port_that_is_taken_is_told_before_there_is_a_database() {
    let desk = Desk::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    desk.run(&["serve", "--listen", &address]).exits(4).tells(&format!("can not listen on {address}"));

    assert_eq!(desk.files(), Vec::<String>::new());
}

#[test]
fn metrics_are_told_on_a_listener_of_their_own_with_bounded_labels() {
    let desk = Desk::with_waiting_instance();
    let (mut serving, address) = desk.serve_http_as(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--log",
        "access=info",
    ]);
    let watched = serving.metrics.take().unwrap();
    for path in ["/api/v1/instances", "/nowhere", "/nowhere/else?secret=1"] {
        ask(&address, path);
    }

    let told = ask(&watched, "/metrics");

    assert!(ask(&address, "/metrics").starts_with("HTTP/1.1 404"), "they are for those who watch");
    assert!(ask(&watched, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(ask(&watched, "/api/v1/instances").starts_with("HTTP/1.1 404"));
    for line in [
        r#"stepcell_http_requests_total{route="/api/v1/instances",method="GET",status="4xx"} 1"#,
        r#"stepcell_http_requests_total{route="none",method="GET",status="4xx"} 2"#,
        r#"stepcell_http_problems_total{code="auth.required"} 1"#,
        r#"stepcell_attempts_total{outcome="succeeded"} 0"#,
        r#"stepcell_events_total{type="workflow_started"} 0"#,
        "stepcell_commit_duration_seconds_count 0",
    ] {
        assert!(told.lines().any(|told| told == line), "`{line}` is not in:\n{told}");
    }
    assert!(!told.contains("nowhere") && !told.contains("approval"), "{told}");
}

#[test]
fn each_request_is_a_line_of_the_log_with_its_id_and_nothing_that_was_sent() {
    let desk = Desk::new();
    let (serving, address) = desk.serve_http(&["--log", "access=info", "--log-format", "json"]);
    let mut stream = TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "GET /api/v1/instances?key=hidden HTTP/1.1\r\nhost: here\r\nauthorization: Bearer hidden\r\n\
         x-request-id: mine-1\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    let (_, said) = serving.stop_by(Signal::TERM);

    assert!(answer.contains("x-request-id: mine-1\r\n"), "{answer}");
    assert!(answer.ends_with(r#""request_id":"mine-1"}"#), "{answer}");
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line.get("request_id").is_some()).unwrap();
    assert_eq!(line["request_id"], "mine-1");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "/api/v1/instances");
    assert_eq!(line["status"], 401);
    assert!(!said.contains("hidden"), "{said}");
    assert!(lines.iter().any(|line| line["message"].as_str().is_some_and(|told| told.starts_with("stopping"))));
}

#[test]
fn an_error_is_an_object_of_the_log_where_the_log_is_made_of_those() {
    let desk = Desk::new();

    let said = desk.run(&["instance", "list", "--log-format", "json"]).exits(4);

    let line: serde_json::Value = serde_json::from_str(said.stderr.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["message"], "there is no database `stepcell.db`");
    assert!(line["hint"].as_str().unwrap().contains("--db FILE"), "{line}");
}

#[test]
fn a_server_says_where_its_documentation_is_and_a_client_finds_it_without_a_prefix() {
    let desk = Desk::new();
    let key = desk.run(&["key", "create", "--scope", "admin"]).exits(0).stdout;
    desk.write("key", &key);
    let mut serving = desk.serve_unread(&["--listen", "127.0.0.1:0", "--path-prefix", "/"]);
    let address = serving.line().strip_prefix("listening on http://").unwrap().to_owned();

    assert_eq!(serving.line(), format!("documentation on http://{address}/docs/"));
    assert!(serving.line().starts_with("driving "));
    assert!(ask(&address, "/docs/").starts_with("HTTP/1.1 200"));
    let url = format!("http://{address}/.");
    desk.run(&["instance", "list", "--server", &url, "--key-file", "key"]).exits(0);
}
