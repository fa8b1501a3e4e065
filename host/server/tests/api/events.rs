//! Live events: what is told, from where on, to whom, and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;
use serde_json::{Value, json};
use stepcell_server::{ApiOptions, Caller, Guard, Guards, Problem, ProblemCode, Scopes};
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use crate::kit::{TestApi, approval, echo, request};

const SOON: Duration = Duration::from_secs(30);

/// What a client of a stream has.
struct Client {
    body: BodyDataStream,
    text: String,
    /// What stood before all events.
    opening: String,
}

/// One event as it came.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: String,
    kind: String,
    data: Value,
}

impl Client {
    async fn of(router: &axum::Router, request: Request<Body>) -> Self {
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut client =
            Self { body: response.into_body().into_data_stream(), text: String::new(), opening: String::new() };
        let opening = client.block().await.unwrap();
        assert!(opening == "retry: 3000" || opening.starts_with("retry: 3000\nid: "), "{opening}");
        client.opening = opening;
        client
    }

    async fn open(api: &TestApi, who: &str, path: &str) -> Self {
        Self::of(api.router(), request("GET", who, path).body(Body::empty()).unwrap()).await
    }

    async fn resume(api: &TestApi, who: &str, path: &str, id: &str) -> Self {
        let request = request("GET", who, path).header("last-event-id", id);
        Self::of(api.router(), request.body(Body::empty()).unwrap()).await
    }

    /// What comes until the next empty line; none once the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = timeout(SOON, self.body.next()).await.expect("something comes")?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> Told {
        let block = self.block().await.expect("the stream goes on");
        let lines: Vec<_> = block.lines().map(|line| line.split_once(": ").unwrap()).collect();
        let [("id", id), ("event", kind), ("data", data)] = lines.as_slice() else { panic!("{block}") };
        Told { id: (*id).to_owned(), kind: (*kind).to_owned(), data: serde_json::from_str(data).unwrap() }
    }

    async fn take(&mut self, number: usize) -> Vec<Told> {
        let mut told = Vec::new();
        for _ in 0..number {
            told.push(self.next().await);
        }
        told
    }
}

/// What the history has of an instance.
async fn history(api: &TestApi, id: &str) -> Vec<Value> {
    let page = api.get("platform", &format!("/api/v1/instances/{id}/history?limit=100")).await.json();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_stream_of_an_instance_tells_its_history_in_the_same_shape() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;
    api.start("acme-operator", "echo").await;
    let kept = history(&api, &id).await;

    let mut client = Client::open(&api, "acme-viewer", &format!("/api/v1/instances/{id}/events?after=0")).await;
    let told = client.take(kept.len()).await;

    assert!(kept.len() > 4);
    assert_eq!(told.iter().map(|told| told.data.clone()).collect::<Vec<_>>(), kept);
    for told in &told {
        assert_eq!(told.data["type"], told.kind);
        assert!(told.id.starts_with(&format!("{}.", told.data["position"])), "{}", told.id);
    }
}

#[tokio::test]
async fn whoever_comes_back_is_told_exactly_the_rest_wherever_they_left_off() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;
    let path = format!("/api/v1/instances/{id}/events");
    let number = history(&api, &id).await.len();
    let all = Client::open(&api, "acme-viewer", &format!("{path}?after=0")).await.take(number).await;
    assert!(all.windows(2).any(|two| two[0].data["position"] == two[1].data["position"]), "some came about together");
    let another = api.start("acme-operator", "echo").await;

    for (at, last) in all.iter().enumerate() {
        // The first request's query is still there; the head is newer.
        let mut client = Client::resume(&api, "acme-viewer", &format!("{path}?after=0"), &last.id).await;
        assert_eq!(client.take(number - at - 1).await, all[at + 1..]);
        let mut of_tenant = Client::open(&api, "acme-viewer", &format!("/api/v1/events?after={}", last.id)).await;
        assert_eq!(of_tenant.take(number - at - 1).await, all[at + 1..]);
        assert_eq!(of_tenant.next().await.data["instance"], another.as_str());
    }
}

#[tokio::test]
async fn a_tenants_stream_tells_of_its_own_instances_from_now_on() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.start("acme-operator", "echo").await;
    let mut acme = Client::open(&api, "acme-viewer", "/api/v1/events?types=workflow_started,workflow_completed").await;
    let mut platform = Client::open(&api, "platform", "/api/v1/events?types=workflow_started&tenant_id=bolt").await;

    let bolts = api.start("bolt-operator", "echo").await;
    let acmes = api.start("acme-operator", "echo").await;

    let told = acme.take(2).await;
    assert_eq!(
        told.iter().map(|told| told.kind.as_str()).collect::<Vec<_>>(),
        ["workflow_started", "workflow_completed"]
    );
    assert!(told.iter().all(|told| told.data["instance"] == acmes.as_str()));
    assert_eq!(platform.next().await.data["instance"], bolts.as_str());
}

#[tokio::test]
async fn a_stream_from_now_on_says_where_that_is_so_that_nothing_is_missed_before_its_first_event() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.start("acme-operator", "echo").await;
    let client = Client::open(&api, "acme-viewer", "/api/v1/events").await;
    let id = client.opening.split_once("id: ").unwrap().1.to_owned();
    drop(client);

    let missed = api.start("acme-operator", "echo").await;

    let mut client = Client::resume(&api, "acme-viewer", "/api/v1/events", &id).await;
    let told = client.next().await;
    assert_eq!((told.kind.as_str(), &told.data["instance"]), ("workflow_started", &json!(missed)));
}

#[tokio::test]
async fn a_stream_that_does_not_follow_ends_and_says_so_where_there_is_no_more() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;
    api.start("acme-operator", "echo").await;
    let kept = history(&api, &id).await;

    for path in [
        format!("/api/v1/instances/{id}/events?after=0&follow=false"),
        format!("/api/v1/events?instance_id={id}&definition_name=echo&after=0&follow=false"),
    ] {
        let mut client = Client::open(&api, "acme-viewer", &path).await;
        let told = client.take(kept.len()).await;
        let end = client.next().await;

        assert_eq!(told.into_iter().map(|told| told.data).collect::<Vec<_>>(), kept);
        assert_eq!((end.kind.as_str(), &end.id), ("end", &end.data["position"].to_string()));
        assert_eq!(client.block().await, None);
    }
    let path = "/api/v1/events?follow=false&types=workflow_failed&after=0";
    assert_eq!(Client::open(&api, "acme-viewer", path).await.next().await.kind, "end");
}

#[tokio::test]
async fn a_limit_ends_a_stream_after_a_whole_transition() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;
    let kept = history(&api, &id).await;
    let first: Vec<_> = kept.iter().filter(|event| event["position"] == kept[0]["position"]).cloned().collect();
    assert!(first.len() > 1, "some came about together");

    let path = format!("/api/v1/instances/{id}/events?after=0&limit=1");
    let mut client = Client::open(&api, "acme-viewer", &path).await;
    let told = client.take(first.len()).await;
    let end = client.next().await;
    let mut rest = Client::resume(&api, "acme-viewer", &format!("{path}00"), &end.id).await;

    assert_eq!(told.into_iter().map(|told| told.data).collect::<Vec<_>>(), first);
    assert_eq!((end.kind.as_str(), &end.data), ("end", &json!({ "position": first[0]["position"] })));
    assert_eq!(rest.next().await.data, kept[first.len()]);
}

#[tokio::test]
async fn a_stream_of_tasks_tells_what_becomes_of_them_and_nothing_else() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    let mut client = Client::open(&api, "acme-worker", "/api/v1/tasks/events").await;
    let mut other = Client::open(&api, "other-worker", "/api/v1/tasks/events").await;

    api.start("acme-operator", "approval").await;
    let task = api.get("acme-worker", "/api/v1/tasks").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    api.post("acme-worker", &format!("/api/v1/tasks/{task}/claim"), &json!({})).await;
    let body = json!({ "data": { "approved": true } });
    api.post("acme-worker", &format!("/api/v1/tasks/{task}/complete"), &body).await;
    api.start("other-operator", "approval").await;

    let told = client.take(3).await;
    assert_eq!(
        told.iter().map(|told| told.kind.as_str()).collect::<Vec<_>>(),
        ["task_created", "task_claimed", "task_completed"]
    );
    assert!(told.iter().all(|told| told.data["task"] == task.as_str()));
    let others = other.next().await;
    assert_eq!(others.kind, "task_created");
    assert_ne!(others.data["task"], task.as_str());
}

#[tokio::test]
async fn a_stream_of_tasks_ends_where_there_is_no_more_and_after_so_many() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    api.start("acme-operator", "approval").await;
    api.start("acme-operator", "approval").await;
    let kinds = async |query: &str, count: usize| {
        let mut client = Client::open(&api, "acme-worker", &format!("/api/v1/tasks/events?after=0&{query}")).await;
        let told = client.take(count).await;
        assert_eq!(client.block().await, None, "{query}");
        told.into_iter().map(|told| told.kind).collect::<Vec<_>>()
    };

    assert_eq!(kinds("follow=false", 3).await, ["task_created", "task_created", "end"]);
    assert_eq!(kinds("limit=1", 2).await, ["task_created", "end"]);
}

#[tokio::test]
async fn what_can_not_be_followed_is_refused() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let id = api.start("acme-operator", "echo").await;
    let cases = [
        ("acme-viewer", "/api/v1/events?after=1000000", 400, "position.not_found"),
        ("acme-viewer", "/api/v1/events?after=18446744073709551615.0", 400, "position.not_found"),
        ("acme-viewer", "/api/v1/events?after=x", 400, "request.invalid"),
        ("acme-viewer", "/api/v1/events?types=done", 400, "request.invalid"),
        ("acme-viewer", "/api/v1/events?user=x", 400, "request.invalid"),
        ("acme-viewer", "/api/v1/events?limit=0", 400, "request.invalid"),
        ("acme-viewer", "/api/v1/events?follow=perhaps", 400, "request.invalid"),
        ("acme-viewer", "/api/v1/events?instance_id=x", 404, "instance.not_found"),
        ("other-viewer", &format!("/api/v1/events?instance_id={id}"), 404, "instance.not_found"),
        ("acme-viewer", "/api/v1/events?tenant_id=other", 404, "tenant.not_found"),
        ("acme-viewer", "/api/v1/tasks/events?tenant_id=other", 404, "tenant.not_found"),
        ("acme-viewer", "/api/v1/instances/../events", 404, "instance.not_found"),
        ("other-viewer", &format!("/api/v1/instances/{id}/events"), 404, "instance.not_found"),
        ("", "/api/v1/events", 401, "auth.required"),
    ];
    for (who, path, status, code) in cases {
        let answer = api.get(who, path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
    let odd = request("GET", "acme-viewer", "/api/v1/events").header("last-event-id", "7.x").body(Body::empty());
    assert_eq!(api.send(odd.unwrap()).await.code(), "request.invalid");
}

/// The time of tokio is simulated here: it goes on only while everybody waits.
#[tokio::test(start_paused = true)]
async fn a_comment_every_fifteen_seconds_shows_that_a_stream_is_there() {
    let api = TestApi::new().await;
    let mut client = Client::open(&api, "acme-viewer", "/api/v1/events").await;
    let before = Instant::now();

    for number in 1..=4 {
        assert_eq!(client.block().await.as_deref(), Some(": still here"));
        assert_eq!(before.elapsed().as_secs(), number * 15);
    }
}

/// Lets one caller in, for as long as that is meant.
struct Revocable(AtomicBool);

#[async_trait]
impl Guard for Revocable {
    async fn authenticate(&self, _: &axum::http::request::Parts) -> Result<Option<Caller>, Problem> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Problem::new(ProblemCode::KeyRefused, "the key is revoked"));
        }
        Ok(Some(Caller::of_platform("ada".parse().unwrap(), Scopes::all())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_key_is_revoked() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let guard = Arc::new(Revocable(AtomicBool::new(false)));
    let options = ApiOptions { guards: Guards::none().with(Arc::clone(&guard) as _), ..ApiOptions::default() };
    let router = stepcell_server::router(api.engine.clone(), options);
    let asked = || request("GET", "", "/api/v1/events").body(Body::empty()).unwrap();
    let (mut idle, mut busy) = (Client::of(&router, asked()).await, Client::of(&router, asked()).await);
    assert_eq!(idle.block().await.as_deref(), Some(": still here"));
    assert_eq!(busy.block().await.as_deref(), Some(": still here"));
    tokio::time::advance(Duration::from_secs(2)).await;

    guard.0.store(true, Ordering::SeqCst);
    api.start("acme-operator", "echo").await;

    assert_eq!(busy.block().await, None, "what happened since is not told any more");
    assert_eq!(idle.block().await, None);
}
