//! Every status that the document names for an operation is answered by it, and it answers no other one.
//!
//! What follows from what an operation takes is asked of all of them; what only one can come to stands in
//! [`particular`]. So an error that is documented and never happens fails here, and so does one that happens and is not
//! documented.

mod particular;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::Request;
use futures::{StreamExt as _, stream};
use stepcell_model::access::{Fingerprint, IdempotencyClaim, IdempotencyRoom};
use stepcell_server::{ApiOptions, RateLimit, ServeLimits, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use super::strangers::{about_nothing, pairs};
use super::*;

/// How long a body may keep a server waiting that nobody sends.
const SHORT: Duration = Duration::from_millis(20);

/// How often a caller is asked for more than a rate allows before it is not held to it at all.
const TRIES_MAX: usize = 1_000;

/// An operation with what the document says of it.
struct Documented {
    id: String,
    method: String,
    role: String,
    has_body: bool,
    has_query: bool,
    takes_tenant: bool,
    keeps_answers: bool,
    statuses: BTreeSet<u16>,
}

impl Documented {
    fn read(method: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let takes = |place: &str, name: &str| {
            parameters
                .iter()
                .any(|parameter| parameter["in"] == place && (name.is_empty() || parameter["name"] == name))
        };
        let id = operation["operationId"].as_str().unwrap().to_owned();
        let statuses = operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap());
        Self {
            method: method.to_uppercase(),
            role: operation["security"][0]["bearer"][0].as_str().unwrap_or("public").to_owned(),
            has_body: operation.get("requestBody").is_some(),
            has_query: takes("query", ""),
            takes_tenant: takes("query", "tenant_id"),
            // A start sees to it itself.
            keeps_answers: takes("header", "Idempotency-Key") && id != "start_instance",
            statuses: statuses.collect(),
            id,
        }
    }

    /// Who may do it.
    fn who(&self) -> &'static str {
        match self.role.as_str() {
            "platform-admin" => "platform",
            "public" => "",
            _ => "acme-admin",
        }
    }
}

async fn documented() -> Vec<Documented> {
    let document = TestApi::new().await.get("", "/api/v1/openapi.json").await.json();
    let each = |item: &Value| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, operation)| Documented::read(method, operation)).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().values().flat_map(each).collect()
}

/// What was answered, by operation.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<u16>>);

impl Seen {
    fn note(&mut self, operation: &Documented, status: StatusCode) {
        self.0.entry(operation.id.clone()).or_default().insert(status.as_u16());
    }
}

fn with_query(case: &Case, query: &str) -> String {
    format!("{}{}{query}", case.path, if case.path.contains('?') { '&' } else { '?' })
}

fn body_of(case: &Case) -> (&'static str, Vec<u8>) {
    match &case.sent {
        Sent::Nothing => ("application/json", Vec::new()),
        Sent::Json(body) => ("application/json", body.to_string().into_bytes()),
        Sent::Component => ("application/wasm", COMPONENT.to_vec()),
    }
}

/// Requests that are wrong in what any operation takes.
fn wrong_requests(operation: &Documented, case: &Case, ground: &Ground) -> Vec<Request<Body>> {
    let who = operation.who();
    let (media_type, body) = body_of(case);
    let to = |path: &str| request(&operation.method, who, path).header("content-type", media_type);
    let mut requests = Vec::new();
    if operation.has_query {
        requests.push(to(&with_query(case, "nope=1")).body(Body::from(body.clone())).unwrap());
    }
    if operation.takes_tenant {
        let path = case.path.split("?tenant_id=").next().unwrap();
        let path =
            with_query(&Case { path: path.to_owned(), sent: Sent::Nothing, others: case.others }, "tenant_id=nobody");
        requests.push(to(&path).body(Body::from(body.clone())).unwrap());
    }
    if operation.has_body {
        requests.push(to(&case.path).body(Body::from("{")).unwrap());
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        requests.push(to(&case.path).body(Body::from_stream(broken)).unwrap());
        let part = Bytes::from(vec![b' '; 1 << 20]);
        let endless = stream::repeat(part).take(100).map(Ok::<_, Infallible>);
        requests.push(to(&case.path).body(Body::from_stream(endless)).unwrap());
        let packed = to(&case.path).header("content-encoding", "gzip");
        requests.push(packed.body(Body::from("x")).unwrap());
    }
    if let Some(nothing) = about_nothing(case, &pairs(ground)) {
        let (_, body) = body_of(&nothing);
        requests.push(to(&nothing.path).body(Body::from(body)).unwrap());
    }
    requests
}

/// Requests with a key that is none, with one of another request, and of one that is being worked on.
async fn repeated_requests(operation: &Documented, case: &Case, ground: &Ground) -> Vec<Request<Body>> {
    let (who, (media_type, body)) = (operation.who(), body_of(case));
    // Below the prefix, as operations see their paths.
    let path = case.path.strip_prefix("/api/v1").unwrap();
    let now = Fingerprint::of(&[operation.method.as_bytes(), path.as_bytes(), &body]);
    let malformed = request(&operation.method, who, &case.path).header("idempotency-key", "a b");
    let mut requests = vec![malformed.header("content-type", media_type).body(Body::from(body.clone())).unwrap()];
    for (key, fingerprint) in [("other", Fingerprint::of(&[b"other"])), ("now", now)] {
        let tenant = (who != "platform").then(|| "acme".parse().unwrap());
        let claim = IdempotencyClaim { tenant, key: format!("{who}\n{key}"), fingerprint, at: ground.api.engine.now() };
        ground.api.engine.store().claim_idempotency(claim, IdempotencyRoom::OF_TENANT).await.unwrap();
        let asked = request(&operation.method, who, &case.path).header("content-type", media_type);
        requests.push(asked.header("idempotency-key", key).body(Body::from(body.clone())).unwrap());
    }
    requests
}

/// Asks one operation for everything on a ground of its own.
async fn ask_for_everything(operation: &Documented, seen: &mut Seen) {
    let ground = Ground::new().await;
    let cases = ground.cases().await;
    let case = &cases[operation.id.as_str()];
    if operation.role != "public" {
        for who in ["", "ghost-admin"] {
            seen.note(operation, ground.ask(who, &operation.method, case).await.status);
        }
    }
    let mut requests = wrong_requests(operation, case, &ground);
    if operation.keeps_answers {
        requests.extend(repeated_requests(operation, case, &ground).await);
    }
    for request in requests {
        seen.note(operation, ground.api.send(request).await.status);
    }
    for step in particular::before(&operation.id, &ground) {
        note_step(operation, &step, &ground, seen).await;
    }
    for _ in 0..2 {
        seen.note(operation, ground.ask(operation.who(), &operation.method, case).await.status);
    }
    for step in particular::after(&operation.id, &ground).await {
        note_step(operation, &step, &ground, seen).await;
    }
}

async fn note_step(operation: &Documented, step: &particular::Step, ground: &Ground, seen: &mut Seen) {
    let answer = ground.api.send(step.request(operation.who())).await;
    if step.is_asked_of(&operation.method) {
        seen.note(operation, answer.status);
    } else {
        assert!(answer.status.is_success(), "{}: {}", operation.id, answer.text);
    }
}

/// Asks every operation for more than a rate allows.
async fn ask_too_often(operations: &[Documented], seen: &mut Seen) {
    let ground = Ground::new().await;
    let cases = ground.cases().await;
    let rate = RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let limited = ground.api.same_with(ApiOptions { rate: Some(rate), ..ApiOptions::default() });
    for operation in operations.iter().filter(|operation| operation.role != "public") {
        let is_refused = async |path: &str, method: &str| {
            let asked = request(method, operation.who(), path).body(Body::empty()).unwrap();
            limited.clone().oneshot(asked).await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS
        };
        for _ in 0..TRIES_MAX {
            // Nothing is left of what the rate allows, unless a second passes in between.
            while !is_refused("/api/v1/instances", "GET").await {}
            if is_refused(&cases[operation.id.as_str()].path, &operation.method).await {
                seen.note(operation, StatusCode::TOO_MANY_REQUESTS);
                break;
            }
        }
    }
}

/// Asks every operation of a server whose store is gone.
async fn ask_without_a_store(operations: &[Documented], seen: &mut Seen) {
    let (api, store) = TestApi::on_sqlite_with_store().await;
    let ground = Ground::on(api).await;
    let cases = ground.cases().await;
    store.close().await;
    for operation in operations {
        let answer = ground.ask(operation.who(), &operation.method, &cases[operation.id.as_str()]).await;
        seen.note(operation, answer.status);
    }
}

/// Sends every operation with a body a body that does not come.
async fn ask_too_slowly(operations: &[Documented], seen: &mut Seen) {
    let ground = Ground::new().await;
    let cases = ground.cases().await;
    let address = served(ground.api.router().clone()).await;
    for operation in operations.iter().filter(|operation| operation.has_body) {
        let case = &cases[operation.id.as_str()];
        let (media_type, _) = body_of(case);
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\ncontent-type: {media_type}\r\n\
             content-length: 100\r\nconnection: close\r\n\r\n{{",
            operation.method,
            case.path,
            operation.who()
        );
        // A callback is for whoever has its address.
        let head = head.replace("authorization: Bearer \r\n", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        seen.note(operation, answer[9..12].parse().unwrap());
    }
}

async fn served(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ServeLimits { body_grace: SHORT, ..ServeLimits::default() };
    tokio::spawn(Server::new(router).limits(limits).serve(listener, std::future::pending()));
    address
}

#[tokio::test]
async fn every_documented_status_of_every_operation_is_answered_and_no_other() {
    let operations = documented().await;
    let mut seen = Seen::default();

    for operation in &operations {
        ask_for_everything(operation, &mut seen).await;
    }
    ask_too_often(&operations, &mut seen).await;
    ask_without_a_store(&operations, &mut seen).await;
    ask_too_slowly(&operations, &mut seen).await;

    let mut wrong = Vec::new();
    for operation in &operations {
        let (answered, named) = (&seen.0[&operation.id], &operation.statuses);
        let never: Vec<_> = named.difference(answered).collect();
        let unnamed: Vec<_> = answered.difference(named).collect();
        if !never.is_empty() || !unnamed.is_empty() {
            wrong.push(format!("{}: never answered {never:?}, not documented {unnamed:?}", operation.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
