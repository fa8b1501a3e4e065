//! Steps that send HTTP requests: to where they are granted, within limits, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepcell_admission::inspect;
use stepcell_model::attempt::{AttemptReport, Denial, StepCall, Wanted};
use stepcell_model::grants::{Grants, StepGrants};
use stepcell_model::name::SecretName;
use stepcell_model::policy::GrantPolicy;
use stepcell_model::secret::SecretText;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::calls::{Bench, config, failure, output};
use crate::guests;
use crate::server::{OK, Server};

/// What a step is granted that may reach these places on this machine.
fn grants(places: &[String]) -> StepGrants {
    let http: Vec<_> = places.iter().map(|place| place.parse().unwrap()).collect();
    StepGrants {
        asked: Arc::new(Grants { http: http.clone(), ..Grants::default() }),
        allowed: Arc::new(GrantPolicy {
            http,
            private_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..GrantPolicy::default()
        }),
    }
}

/// Runs the step that fetches, with a grant for the server.
async fn fetch(server: &Server, requests: Value, change: impl FnOnce(&mut StepCall)) -> AttemptReport {
    let place = format!("http://{}", server.address);
    let change = |call: &mut StepCall| {
        call.grants = grants(&[place]);
        change(call);
    };
    Bench::with("fetch").await.run_with(json!({ "requests": requests }), change).await
}

fn url(server: &Server) -> String {
    format!("http://{}/v1?q", server.address)
}

/// The codes of what became of each request.
fn errors(report: &AttemptReport) -> Vec<&str> {
    let told = output(report).as_array().unwrap().iter();
    told.map(|told| told["error"].as_str().unwrap_or("ok")).collect()
}

#[tokio::test]
async fn a_request_goes_where_it_is_granted_and_the_attempt_says_what_it_cost() {
    let server = Server::answering(OK).await;

    let ask = json!({ "method": "POST", "url": url(&server), "headers": [["x-a", "b"]], "body_bytes": 5 });
    let report = fetch(&server, json!([ask]), |_| {}).await;

    assert_eq!(output(&report), &json!([{ "status": 200, "body": "ok", "body_bytes": 2 }]));
    let sent = &server.requests()[0];
    assert!(sent.starts_with("POST /v1?q HTTP/1.1\r\nx-a: b\r\n") && sent.ends_with("\r\n\r\naaaaa"), "{sent}");
    assert!(sent.contains("idempotency-key: 00000000-0000-0000-0000-000000000003\r\n"), "{sent}");
    let receipt = report.trace.receipt;
    assert_eq!((receipt.http_requests, receipt.denials), (1, 0));
    assert!(receipt.bytes_in >= 2 && receipt.bytes_out >= 5, "{receipt:?}");
}

#[tokio::test]
async fn a_denial_is_a_value_that_the_step_can_handle_and_is_written_down() {
    let (server, other) = (Server::answering(OK).await, Server::answering(OK).await);

    let asks = json!([
        { "url": url(&other) },
        { "url": "http://169.254.169.254/latest/" },
        { "url": url(&other) },
        { "url": url(&server) },
        { "url": "ftp://api.example/" },
        { "url": "http://2130706433/" },
    ]);
    let report = fetch(&server, asks, |_| {}).await;

    assert_eq!(errors(&report), ["http-denied", "http-denied", "http-denied", "ok", "http-denied", "http-denied"]);
    assert_eq!((server.connections(), other.connections()), (1, 0));
    let denial = |name: &str, count| Denial { wanted: Wanted::Http, name: name.to_owned(), count };
    let expected = [
        denial(&format!("GET http://{}", other.address), 2),
        denial("GET http://169.254.169.254", 1),
        denial("GET ftp://api.example", 1),
        denial("GET http://2130706433", 1),
    ];
    assert_eq!(report.trace.denials, expected);
    assert_eq!((report.trace.receipt.denials, report.trace.receipt.http_requests), (5, 6));
}

#[tokio::test]
async fn a_secret_in_an_address_that_is_denied_is_not_written_down() {
    let server = Server::answering(OK).await;

    let url = format!("http://user:hunter2-and-more@{}/", server.address);
    let report = fetch(&server, json!([{ "url": url }]), |call| {
        let granted = (SecretName::new("TOKEN").unwrap(), Some(SecretText::new("hunter2-and-more".to_owned())));
        call.secrets = Arc::new([granted].into());
    })
    .await;

    assert_eq!(errors(&report), ["http-denied"]);
    let told = serde_json::to_string(&report.trace).unwrap();
    assert!(told.contains("user:[secret TOKEN]@") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn without_a_word_about_it_a_step_reaches_nothing() {
    let server = Server::answering(OK).await;

    let report = fetch(&server, json!([{ "url": url(&server) }]), |call| call.grants = StepGrants::default()).await;

    assert_eq!(errors(&report), ["http-denied"]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_address_inside_is_denied_even_where_its_place_is_granted() {
    let server = Server::answering(OK).await;
    let place = format!("http://{}", server.address);

    let report = fetch(&server, json!([{ "url": url(&server) }]), |call| {
        let GrantPolicy { http, .. } = grants(&[place]).allowed.as_ref().clone();
        call.grants.allowed = Arc::new(GrantPolicy { http, ..GrantPolicy::default() });
    })
    .await;

    assert_eq!(errors(&report), ["http-denied"]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_33rd_request_of_an_attempt_is_denied() {
    let server = Server::answering(OK).await;

    let asks: Vec<_> = (0..34).map(|_| json!({ "url": url(&server) })).collect();
    let report = fetch(&server, json!(asks), |_| {}).await;

    let errors = errors(&report);
    assert!(errors[..32].iter().all(|error| *error == "ok"), "{errors:?}");
    assert_eq!(errors[32..], ["http-denied", "http-denied"]);
    assert_eq!((server.connections(), report.trace.receipt.http_requests), (32, 32));
}

#[tokio::test]
async fn bodies_go_through_up_to_their_limit_and_no_further() {
    let large = |size: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{}", "a".repeat(size));
    let server = Server::doing(move |mut stream: TcpStream, before| async move {
        let answer = if before < 2 { large((2 << 20) + before) } else { OK.to_owned() };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;

    let asks = json!([
        { "url": url(&server) },
        { "url": url(&server) },
        { "method": "PUT", "url": url(&server), "body_bytes": 2 << 20 },
        { "method": "PUT", "url": url(&server), "body_bytes": (2 << 20) + 1 },
        { "method": "PUT", "url": url(&server), "body_bytes": 8 << 20 },
    ]);
    let report = fetch(&server, asks, |_| {}).await;

    assert_eq!(errors(&report), ["ok", "http-too-large", "ok", "http-too-large", "http-too-large"]);
    assert_eq!(output(&report)[0]["body_bytes"], 2 << 20);
    assert_eq!(server.connections(), 3);
    let sent = &server.requests()[2];
    assert!(sent.contains("content-length: 2097152\r\n") && sent.len() > 2 << 20, "{} bytes", sent.len());
}

#[tokio::test]
async fn headers_of_the_hosts_own_are_refused_and_too_large_ones_end_the_attempt() {
    let server = Server::answering(OK).await;

    let ask = |name: &str, value: &str| json!({ "url": url(&server), "headers": [[name, value]] });
    let asks = json!([
        ask("host", "evil.example"),
        ask("transfer-encoding", "chunked"),
        ask("te", "trailers"),
        ask("x-a", "b\r\nhost: evil.example"),
        ask("idempotency-key", "forged"),
    ]);
    let report = fetch(&server, asks, |_| {}).await;

    assert_eq!(errors(&report), ["http-invalid", "http-invalid", "http-invalid", "http-invalid", "ok"]);
    assert!(!server.requests()[0].contains("forged"));

    let report = fetch(&server, json!([ask("x-large", &"a".repeat(40 << 10))]), |_| {}).await;
    let failure = failure(&report);
    assert_eq!(failure.code.as_str(), "engine.output");
    assert_eq!(failure.message, "The step made HTTP headers of more than 32768 bytes.");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_a_request_its_time_and_the_step_goes_on() {
    let silent = Server::silent().await;

    let asks = json!([{ "url": url(&silent), "timeout_ms": 0 }, { "url": url(&silent), "timeout_ms": u32::MAX }]);
    let report = fetch(&silent, asks, |call| call.limits.http_time_max = Duration::from_millis(100)).await;

    assert_eq!(errors(&report), ["http-timeout", "http-timeout"]);
}

#[tokio::test]
async fn a_request_is_hung_up_with_its_attempt() {
    let (hung_up, heard) = tokio::sync::oneshot::channel();
    let hung_up = std::sync::Mutex::new(Some(hung_up));
    let server = Server::doing(move |mut stream: TcpStream, _| {
        let hung_up = hung_up.lock().unwrap().take().unwrap();
        async move {
            let read = stream.read(&mut [0; 1]).await;
            let _ = hung_up.send(matches!(read, Ok(0) | Err(_)));
        }
    })
    .await;

    let report = fetch(&server, json!([{ "url": url(&server) }]), |call| {
        call.limits.wall_max = Duration::from_millis(500);
    })
    .await;

    assert_eq!(failure(&report).code.as_str(), "engine.wall");
    assert!(heard.await.unwrap());
}

#[tokio::test]
async fn a_step_that_notifies_tries_again_when_the_server_asks_for_patience() {
    let server = Server::answering("HTTP/1.1 429 Later\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;

    let place = format!("http://{}", server.address);
    let report = Bench::with("notify")
        .await
        .run_with(json!({ "order": 7 }), |call| {
            call.config = config(&[("url", &place)]);
            call.grants = grants(&[place]);
        })
        .await;

    let failure = failure(&report);
    assert_eq!((failure.code.as_str(), failure.retryable), ("http-status", true));
    assert_eq!(failure.retry_after_ms, Some(7_000));
    assert!(server.requests()[0].ends_with("\r\n\r\n{\"order\":7}"));
}

#[test]
fn only_a_step_that_sends_requests_imports_http() {
    let imports = |name: &str| {
        let facts = inspect(&guests::component(name)).unwrap();
        facts.imports.iter().any(|import| import.name.starts_with("wasi:http/"))
    };

    assert!(imports("notify") && imports("fetch"));
    assert!(!imports("greet") && !imports("probe"));
}

#[tokio::test]
async fn a_request_stands_in_the_trace_of_its_execution_whatever_the_step_says() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let server = Server::answering(OK).await;

    let forged =
        [["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], ["tracestate", "forged=1"]];
    let report = fetch(&server, json!([{ "url": url(&server), "headers": forged }]), |call| {
        call.info.trace = Some(TRACE.parse().unwrap());
    })
    .await;

    assert_eq!(errors(&report), ["ok"]);
    let sent = &server.requests()[0];
    assert!(sent.contains(&format!("traceparent: {TRACE}\r\n")), "{sent}");
    assert!(sent.matches("trace").count() == 1 && !sent.contains("forged"), "{sent}");
}
