//! What a server is sent: nothing that an author can forge.

use stepcell_outbound::{Header, OutboundError, OutboundRequest, OutboundRules};

use crate::kit::server::{OK, Server};
use crate::kit::{Client, KEY, anywhere, request, with_header};

const PLACE: &str = "http://api.example/v1/orders?limit=3";

async fn sent(request: OutboundRequest) -> Result<String, OutboundError> {
    sent_by(request, &anywhere()).await
}

async fn sent_by(request: OutboundRequest, rules: &OutboundRules) -> Result<String, OutboundError> {
    let server = Server::answering(OK).await;
    Client::of(server.address).send(request, rules).await?;
    Ok(server.requests().remove(0))
}

#[tokio::test]
async fn a_request_carries_the_hosts_own_headers_and_the_authors_others() {
    let request = with_header(request("GET", PLACE), "X-Tenant", "acme");

    assert_eq!(
        sent(request).await.unwrap(),
        format!(
            "GET /v1/orders?limit=3 HTTP/1.1\r\nx-tenant: acme\r\nhost: api.example\r\nconnection: close\r\nidempotency-key: {KEY}\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn the_executions_key_stands_in_place_of_the_authors_own() {
    let request = with_header(request("GET", PLACE), "Idempotency-Key", "forged");
    let request = with_header(request, "idempotency-key", "forged too");

    let sent = sent(request).await.unwrap();

    assert_eq!(sent.matches("idempotency-key").count(), 1, "{sent}");
    assert!(sent.contains(KEY) && !sent.contains("forged"), "{sent}");
}

#[tokio::test]
async fn the_hosts_trace_stands_in_place_of_the_authors_own_and_without_one_there_is_none() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let forged = || {
        let request = with_header(
            request("GET", PLACE),
            "Traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
        with_header(request, "tracestate", "forged=1")
    };

    let without = sent(forged()).await.unwrap();
    let within = sent_by(forged(), &anywhere().within(Some(TRACE.parse().unwrap()))).await.unwrap();

    assert!(!without.contains("trace"), "{without}");
    assert!(within.contains(&format!("traceparent: {TRACE}\r\n")), "{within}");
    assert_eq!(within.matches("trace").count(), 1, "{within}");
}

#[tokio::test]
async fn a_body_is_sent_with_its_own_length() {
    for (method, body, length) in
        [("POST", "{\"a\":1}", Some("7")), ("POST", "", Some("0")), ("GET", "", None), ("DELETE", "x", Some("1"))]
    {
        let request = OutboundRequest { body: body.into(), ..request(method, PLACE) };

        let sent = sent(request).await.unwrap();

        let found = sent.lines().find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(found, length, "{sent}");
        assert!(sent.ends_with(&format!("\r\n\r\n{body}")) && !sent.contains("transfer-encoding"), "{sent}");
    }
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_is_refused_and_a_true_one_is_sent_once() {
    for forged in ["3", "7, 7", "+7", "07", "0x7", ""] {
        let request = OutboundRequest { body: "{\"a\":1}".into(), ..request("POST", PLACE) };
        let error = sent(with_header(request, "content-length", forged)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Malformed { .. }), "{forged}: {error:?}");
    }
    let request = OutboundRequest { body: "{\"a\":1}".into(), ..request("POST", PLACE) };

    let sent = sent(with_header(request, "Content-Length", "7")).await.unwrap();

    assert_eq!(sent.matches("content-length: 7\r\n").count(), 1, "{sent}");
}

#[tokio::test]
async fn headers_that_speak_of_the_connection_are_refused() {
    for name in [
        "Host",
        "connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "te",
        "Trailer",
        "upgrade",
        "Expect",
        "Proxy-Authorization",
        "proxy-connection",
        "Proxy-Anything",
        "HTTP2-Settings",
    ] {
        let error = sent(with_header(request("GET", PLACE), name, "close")).await.unwrap_err();
        assert!(matches!(error, OutboundError::Malformed { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn no_header_ends_its_line() {
    for (name, value) in [
        ("x-a", "b\r\nhost: evil.example"),
        ("x-a", "b\nc"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("x-a", "b\x7fc"),
        ("x-a\r\nhost", "evil.example"),
        ("x a", "b"),
        ("x-a:", "b"),
        ("", "b"),
        ("x-ä", "b"),
    ] {
        let error = sent(with_header(request("GET", PLACE), name, value)).await.unwrap_err();
        assert!(matches!(error, OutboundError::Malformed { .. }), "{name:?} {value:?}: {error:?}");
    }
}

#[tokio::test]
async fn the_name_and_the_port_go_into_the_header_host() {
    let server = Server::answering(OK).await;
    let wires = crate::kit::Wires::default()
        .leading("[2606:4700:4700::1111]:8080", server.address)
        .leading("93.184.215.14:8080", server.address);
    let client = Client::new(crate::kit::Names::default(), wires);
    let grants = ["http://[2606:4700:4700::1111]:8080", "http://api.example:8080"];
    let rules = crate::kit::rules(&grants);

    for place in ["http://[2606:4700:4700:0::1111]:8080/", "http://API.example:8080"] {
        client.send(request("GET", place), &rules).await.unwrap();
    }

    let hosts: Vec<_> = server.requests().iter().map(|sent| sent.lines().nth(1).unwrap().to_owned()).collect();
    assert_eq!(hosts, ["host: [2606:4700:4700::1111]:8080", "host: api.example:8080"]);
}

#[tokio::test]
async fn a_header_block_or_a_path_that_is_too_large_is_refused() {
    let large = with_header(request("GET", PLACE), "x-large", &"a".repeat(33 << 10));
    let mut many = request("GET", PLACE);
    many.headers = (0..129).map(|number| Header::new(format!("x-{number}"), "")).collect();
    let long = request("GET", &format!("http://api.example/{}", "a".repeat(9 << 10)));

    for request in [large, many, long] {
        let error = sent(request).await.unwrap_err();
        assert!(matches!(error, OutboundError::RequestTooLarge { .. }), "{error:?}");
    }
}
