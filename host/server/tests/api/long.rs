//! Instances that did very much: what one answer shows of them is bounded, and their history has all of it.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::kit::{TestApi, request};

/// How many executions these instances come to before they fail.
const ITERATIONS: usize = 1_200;

/// How many executions, or points of the past, one answer shows.
const SHOWN_MAX: usize = 1_000;

/// How many bytes of inputs and outputs they have together.
const SHOWN_BYTES_MAX: usize = 4 << 20;

/// How many bytes the answers of one tenant hold at most that nobody takes.
const UNTAKEN_BYTES_MAX: u64 = 256 << 20;

/// A workflow that goes round until it may not any more.
fn round() -> Value {
    json!({
        "schema": "stepcell/v1", "name": "round", "version": "1.0.0", "initial_step": "say",
        "limits": { "iterations": ITERATIONS },
        "steps": { "say": { "type": "machine", "component": "acme/echo@1" } },
        "edges": [{ "source": "say", "target": "say" }],
    })
}

/// Goes round with some data, and answers with the path of the instance that did.
async fn gone_round(api: &TestApi, data: Value) -> String {
    api.define(&round()).await;
    let start = json!({ "definition_name": "round", "input_data": data });
    let started = api.post("acme-operator", "/api/v1/instances", &start).await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    api.engine.wait_until_settled(id.parse().unwrap()).await.unwrap();
    format!("/api/v1/instances/{id}")
}

async fn json_of(api: &TestApi, path: &str) -> Value {
    let answer = api.get("acme-viewer", path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_did_very_much_is_shown_with_what_it_did_last_and_how_much_there_is() {
    let api = TestApi::new().await;
    let path = gone_round(&api, json!({ "n": 1 })).await;

    let detail = json_of(&api, &path).await;
    let why = json_of(&api, &format!("{path}/why")).await;
    let graph = json_of(&api, &format!("{path}/graph?format=json")).await;

    let history = detail["history"].as_array().unwrap();
    assert_eq!((history.len(), &detail["history_total"]), (SHOWN_MAX, &json!(ITERATIONS)));
    assert_eq!(history.last().unwrap()["execution"], ITERATIONS);
    let (past, past_total) = (why["past"].as_array().unwrap(), why["past_total"].as_u64().unwrap());
    assert_eq!(past.len(), SHOWN_MAX);
    assert!(past_total > SHOWN_MAX as u64, "{past_total}");
    assert_eq!(past.last().unwrap()["about"], "workflow_failed", "{}", past.last().unwrap());
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 1, "{graph}");
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_with_much_data_are_shown_as_far_as_an_answer_goes() {
    let api = TestApi::new().await;
    let path = gone_round(&api, json!({ "pad": "x".repeat(8 << 10) })).await;

    let answer = api.get("acme-viewer", &path).await;

    let detail = answer.json();
    let shown = detail["history"].as_array().unwrap().len();
    assert!((200..SHOWN_MAX).contains(&shown), "{shown}");
    assert!(answer.text.len() < SHOWN_BYTES_MAX + SHOWN_BYTES_MAX / 4, "{} bytes", answer.text.len());
    assert_eq!(detail["history"][shown - 1]["execution"], detail["history_total"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_that_nobody_takes_hold_no_more_than_a_tenants_share_of_memory() {
    let api = TestApi::new().await;
    let path = gone_round(&api, json!({ "pad": "x".repeat(8 << 10) })).await;
    let ask = async |who| {
        let asked = request("GET", who, &path).body(Body::empty()).unwrap();
        api.router().clone().oneshot(asked).await.unwrap()
    };
    let (mut untaken, mut held_bytes) = (Vec::new(), 0);

    let refused = loop {
        let answer = ask("acme-viewer").await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        held_bytes += answer.body().size_hint().exact().unwrap();
        untaken.push(answer);
        assert!(held_bytes <= UNTAKEN_BYTES_MAX, "{held_bytes} bytes are held");
    };

    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after") && held_bytes > UNTAKEN_BYTES_MAX / 2, "{held_bytes}");
    assert_eq!(ask("platform").await.status(), StatusCode::OK, "others have room");
    let short = api.get("acme-viewer", "/api/v1/instances").await;
    assert_eq!(short.status, StatusCode::OK, "{}", short.text);
    let one = untaken.pop().unwrap();
    let len = one.body().size_hint().exact().unwrap();
    assert_eq!(to_bytes(one.into_body(), usize::MAX).await.unwrap().len() as u64, len);
    assert_eq!(ask("acme-viewer").await.status(), StatusCode::OK, "what was taken leaves room");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_instance_that_did_very_much_has_all_of_it_in_pages() {
    let api = TestApi::new().await;
    let path = gone_round(&api, json!({})).await;
    let (mut completed, mut cursor) = (0, String::new());

    loop {
        let page = json_of(&api, &format!("{path}/history?limit=100{cursor}")).await;
        let events = page["items"].as_array().unwrap();
        completed += events.iter().filter(|event| event["type"] == "step_completed").count();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }

    assert_eq!(completed, ITERATIONS);
}

#[tokio::test]
async fn pages_that_strangers_ask_for_and_do_not_take_hold_no_more_than_their_share() {
    let api = TestApi::new().await;
    let ask = async || {
        let asked = request("GET", "", "/api/v1/openapi.json").body(Body::empty()).unwrap();
        api.router().clone().oneshot(asked).await.unwrap()
    };
    let len = ask().await.body().size_hint().exact().unwrap();
    let fitting = UNTAKEN_BYTES_MAX / len;
    let mut untaken = Vec::new();
    for _ in 0..fitting {
        untaken.push(ask().await);
    }

    assert!(untaken.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(ask().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    untaken.pop();
    assert_eq!(ask().await.status(), StatusCode::OK);
}
