//! Requests that are not as they have to be: each is told what is wrong, and nothing of it is stored.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;

use crate::kit::{TestApi, echo, request};

#[tokio::test]
async fn a_body_is_told_everything_that_is_wrong_with_it() {
    let api = TestApi::new().await;
    let wrong = json!({ "definition_nam": "x", "input_data": {}, "correlation_id": 7 });

    let answer = api.post("platform", "/api/v1/instances", &wrong).await;

    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "request.invalid"));
    let errors = answer.json()["errors"].clone();
    let pointers: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/definition_nam", "/correlation_id", "/definition_name"], "{errors}");
}

#[tokio::test]
async fn what_is_wrong_within_a_field_is_told_by_its_place_in_the_body() {
    let api = TestApi::new().await;
    let mut strict = echo();
    strict["input_schema"] = json!({ "type": "object", "properties": { "amount": { "type": "number" } } });
    api.define(&strict).await;

    for (field, value, pointer) in [
        ("input_data", json!({ "amount": "much" }), "/input_data/amount"),
        ("metadata", json!([]), "/metadata"),
        ("correlation_id", json!(""), "/correlation_id"),
    ] {
        let mut body = json!({ "definition_name": "echo", "input_data": {} });
        body[field] = value;
        let answer = api.post("platform", "/api/v1/instances", &body).await;
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.text);
    }
    let secret = api.send_json("PUT", "platform", "/api/v1/secrets/TOKEN", &json!({ "value": "x" })).await;
    assert_eq!(secret.json()["errors"][0]["pointer"], "/value", "{}", secret.text);
}

#[tokio::test]
async fn hostile_bodies_are_refused_by_name() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let deep = format!(r#"{{"definition_name":"echo","input_data":{{"a":{}{}}}}}"#, "[".repeat(70), "]".repeat(70));
    let large = format!(r#"{{"definition_name":"echo","input_data":{{"a":"{}"}}}}"#, "x".repeat(3 << 20));
    let cases: [(&str, &[u8], &str); 8] = [
        ("application/json", b"{", "request.invalid"),
        ("application/json", b"\xff\xfe", "request.invalid"),
        ("application/json", br#"{"definition_name":"echo","definition_name":"x"}"#, "request.invalid"),
        ("application/json", br#"{"definition_name":"echo","input_data":{"a":1,"a":2}}"#, "request.invalid"),
        ("application/json", deep.as_bytes(), "request.invalid"),
        ("application/json", large.as_bytes(), "body.too_large"),
        ("text/plain", br#"{"definition_name":"echo"}"#, "body.media_type"),
        ("application/json", b"[]", "request.invalid"),
    ];
    for (media_type, body, code) in cases {
        let request = request("POST", "platform", "/api/v1/instances").header("content-type", media_type);
        let answer = api.send(request.body(body.to_vec().into()).unwrap()).await;
        assert_eq!(answer.code(), code, "{}", String::from_utf8_lossy(&body[..body.len().min(80)]));
    }
    assert_eq!(api.get("platform", "/api/v1/instances").await.json()["total"], 0);
}

#[tokio::test]
async fn nothing_compressed_is_read() {
    let api = TestApi::new().await;
    let bomb = request("POST", "platform", "/api/v1/instances")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(Body::from(vec![0x1f, 0x8b]))
        .unwrap();

    assert_eq!(api.send(bomb).await.code(), "body.media_type");
}

#[tokio::test]
async fn malformed_ids_parameters_and_cursors_are_refused() {
    let api = TestApi::new().await;
    for (path, code) in [
        ("/api/v1/instances/..%2F..%2Fetc%2Fpasswd", "instance.not_found"),
        ("/api/v1/instances/%00", "instance.not_found"),
        ("/api/v1/instances/%ff", "route.not_found"),
        ("/api/v1/tasks/none", "task.not_found"),
        ("/api/v1/definitions/..%2F", "definition.not_found"),
        ("/api/v1/definitions/x/versions/none", "definition.not_found"),
        ("/api/v1/components/..%2Fx.wasm", "component.not_found"),
        ("/api/v1/instances?limit=0", "request.invalid"),
        ("/api/v1/instances?limit=101", "request.invalid"),
        ("/api/v1/instances?limit=x", "request.invalid"),
        ("/api/v1/instances?unknown=1", "request.invalid"),
        ("/api/v1/instances?limit=1&limit=2", "request.invalid"),
        ("/api/v1/instances?status=done", "request.invalid"),
        ("/api/v1/instances?cursor=forged", "cursor.invalid"),
        ("/api/v1/tasks?cursor=WyJpbnN0YW5jZXMiLDFd", "cursor.invalid"),
        ("/nowhere", "route.not_found"),
    ] {
        assert_eq!(api.get("platform", path).await.code(), code, "{path}");
    }
    let wrong_method = api.send(request("DELETE", "platform", "/api/v1/instances").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (wrong_method.code().as_str(), &wrong_method.head["allow"]),
        ("method.not_allowed", &"GET,HEAD,POST".parse().unwrap())
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_told_of_the_parameter() {
    let api = TestApi::new().await;
    for (method, path, parameter, detail) in [
        ("POST", "/api/v1/components", "name", "it is missing"),
        ("GET", "/api/v1/instances?limit=abc", "limit", "invalid digit"),
        ("GET", "/api/v1/instances?limit=1&limit=2", "limit", "more than once"),
        ("GET", "/api/v1/instances?limt=1", "limt", "expected one of"),
        ("GET", "/api/v1/tasks/events?limit=0", "limit", "nonzero"),
        ("GET", "/api/v1/tasks/events?follow=maybe", "follow", "`true` or `false`"),
    ] {
        let answer = api.send(request(method, "platform", path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "request.invalid"), "{path}");
        let told = answer.json();
        let error = &told["errors"][0];
        assert_eq!((&error["parameter"], told["errors"].as_array().map(Vec::len)), (&json!(parameter), Some(1)));
        assert!(error["detail"].as_str().unwrap().contains(detail), "{told}");
        assert!(told["detail"].as_str().unwrap().starts_with(&format!("`{parameter}`: ")), "{told}");
    }
}
