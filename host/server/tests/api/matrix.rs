//! Every operation of the document, by whoever may and whoever may not: generated, so that no new route can be forgotten.
//!
//! For each operation there is a request that succeeds for a caller who may. Who else is refused, and how, follows from the
//! document: nobody, a key that was revoked, each scope that does not reach as far, and another tenant's caller.

mod documented;
mod strangers;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Answer, COMPONENT, TestApi, request};

const SCOPES: [&str; 5] = ["viewer", "worker", "author", "operator", "admin"];

/// What somebody of another tenant, who reaches everything of theirs, is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Others {
    /// That it is not there.
    NotThere,
    /// A list without what is this tenant's.
    TheirOwnList,
    /// A list of rows that are theirs.
    TheirOwnRows,
    /// What they may do among their own, which touches nothing of this tenant.
    TheirOwn,
    /// That it is for administrators of the platform.
    NotForThem,
    /// What everybody is told.
    Same,
}

/// What is sent with a request.
enum Sent {
    Nothing,
    Json(Value),
    Component,
}

/// A request that succeeds for a caller of `acme` who may, or for the platform's administrator.
struct Case {
    /// The path with its ids, and the query.
    path: String,
    sent: Sent,
    others: Others,
}

fn case(path: impl Into<String>, sent: Sent, others: Others) -> Case {
    Case { path: format!("/api/v1{}", path.into()), sent, others }
}

/// What there is before each request: things of `acme` alone.
struct Ground {
    api: TestApi,
    waiting: String,
    failed: String,
    held: String,
    task: String,
    digest: String,
    key: String,
    webhook: String,
    delivery: String,
}

/// A workflow of `acme` that waits for a person, for a callback, and for a signal.
fn workflow() -> Value {
    json!({
        "schema": "stepcell/v1", "name": "flow", "version": "1.0.0", "initial_step": "say",
        "steps": {
            "say": { "type": "machine", "component": "acme/echo@1" },
            "fork": { "type": "gateway", "mode": "parallel" },
            "review": { "type": "human", "title": "Approve it" },
            "hook": { "type": "webhook", "callback_key": "hook" },
            "go": { "type": "signal", "signal": "go" },
        },
        "edges": [
            { "source": "say", "target": "fork" }, { "source": "fork", "target": "review" },
            { "source": "fork", "target": "hook" }, { "source": "fork", "target": "go" },
        ],
    })
}

impl Ground {
    async fn new() -> Self {
        Self::on(TestApi::new().await).await
    }

    async fn on(api: TestApi) -> Self {
        let upload = request("POST", "acme-author", "/api/v1/components?name=acme/echo&version=1.0.0");
        let upload = upload.header("content-type", "application/wasm").body(Body::from(COMPONENT)).unwrap();
        let digest = api.send(upload).await.json()["digest"].as_str().unwrap().to_owned();
        let registered = api.post("acme-author", "/api/v1/definitions", &workflow()).await;
        assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.text);
        let unused = Value::Object(
            workflow()
                .as_object()
                .unwrap()
                .clone()
                .into_iter()
                .chain([("version".to_owned(), json!("0.9.0"))])
                .collect(),
        );
        api.post("acme-author", "/api/v1/definitions", &unused).await;
        let waiting = api.start("acme-operator", "flow").await;
        let held = api.start("acme-operator", "flow").await;
        api.post("acme-operator", &format!("/api/v1/instances/{held}/pause"), &json!({})).await;
        let failing = json!({ "definition_name": "flow", "input_data": { "fail": true } });
        let failed =
            api.post("acme-operator", "/api/v1/instances", &failing).await.json()["id"].as_str().unwrap().to_owned();
        api.engine.wait_until_settled(failed.parse().unwrap()).await.unwrap();
        let tasks = api.get("acme-viewer", &format!("/api/v1/tasks?instance_id={waiting}")).await.json();
        let task = tasks["items"][0]["id"].as_str().unwrap().to_owned();
        let key = Self::access(&api).await;
        let (webhook, delivery) = Self::subscribed(&api).await;
        Self { api, waiting, failed, held, task, digest, key, webhook, delivery }
    }

    /// Makes a subscription of `acme` with a delivery. Answers with their ids.
    async fn subscribed(api: &TestApi) -> (String, String) {
        let id = |answer: Answer| answer.json()["id"].as_str().unwrap().to_owned();
        let wanted = json!({ "url": "https://example.com/hooks" });
        let webhook = id(api.post("acme-admin", "/api/v1/webhooks", &wanted).await);
        let ping = format!("/api/v1/webhooks/{webhook}/ping");
        let delivery = id(api.post("acme-operator", &ping, &json!({})).await);
        (webhook, delivery)
    }

    /// Those of who is told what happens.
    fn telling_cases(&self) -> [(&'static str, Case); 15] {
        use Others::{NotThere, TheirOwn, TheirOwnList};
        let hook = |path: &str| format!("/webhooks/{}{path}", self.webhook);
        let told = |path: &str| hook(&format!("/deliveries/{}{path}", self.delivery));
        let url = json!({ "url": "https://example.com/x" });
        let change = json!({ "url": "https://example.com/x", "is_active": true });
        let nothing = || Sent::Nothing;
        [
            ("follow_events", case("/events", nothing(), TheirOwn)),
            ("follow_instance", case(format!("/instances/{}/events", self.waiting), nothing(), NotThere)),
            ("follow_tasks", case("/tasks/events", nothing(), TheirOwn)),
            ("list_webhooks", case("/webhooks", nothing(), TheirOwnList)),
            ("create_webhook", case("/webhooks", Sent::Json(url), TheirOwn)),
            ("get_webhook", case(hook(""), nothing(), NotThere)),
            ("change_webhook", case(hook(""), Sent::Json(change), NotThere)),
            ("update_webhook", case(hook(""), Sent::Json(json!({ "is_active": true })), NotThere)),
            ("delete_webhook", case(hook(""), nothing(), NotThere)),
            ("rotate_webhook_secret", case(hook("/rotate-secret"), nothing(), NotThere)),
            ("ping_webhook", case(hook("/ping"), nothing(), NotThere)),
            ("list_webhook_deliveries", case(hook("/deliveries"), nothing(), NotThere)),
            ("get_webhook_delivery", case(told(""), nothing(), NotThere)),
            ("redeliver_webhook", case(told("/redeliver"), nothing(), NotThere)),
            ("redeliver_dead_webhooks", case(hook("/redeliver"), nothing(), NotThere)),
        ]
    }

    /// Makes what administrators have to do with: tenants, a key and a secret of `acme`. Answers with the key's id.
    async fn access(api: &TestApi) -> String {
        for id in ["acme", "other"] {
            api.post("platform", "/api/v1/admin/tenants", &json!({ "id": id })).await;
        }
        api.send_json("PUT", "acme-admin", "/api/v1/secrets/TOKEN", &json!({ "value": "eight or more" })).await;
        let key = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"] });
        api.post("acme-admin", "/api/v1/keys", &key).await.json()["id"].as_str().unwrap().to_owned()
    }

    /// Those of who comes in, and what administrators do.
    fn access_cases(&self) -> [(&'static str, Case); 16] {
        use Others::{NotForThem, NotThere, TheirOwn, TheirOwnList};
        let key = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"] });
        let secret = json!({ "value": "another value" });
        let by_id = format!("/keys/{}", self.key);
        [
            ("get_stats", case("/stats", Sent::Nothing, TheirOwn)),
            ("get_own_tenant", case("/tenant", Sent::Nothing, TheirOwn)),
            ("list_keys", case("/keys", Sent::Nothing, TheirOwnList)),
            ("create_key", case("/keys", Sent::Json(key), TheirOwn)),
            ("get_key", case(by_id.as_str(), Sent::Nothing, NotThere)),
            ("revoke_key", case(by_id, Sent::Nothing, NotThere)),
            ("list_secrets", case("/secrets", Sent::Nothing, TheirOwnList)),
            ("set_secret", case("/secrets/TOKEN", Sent::Json(secret), TheirOwn)),
            ("delete_secret", case("/secrets/TOKEN", Sent::Nothing, NotThere)),
            ("list_audit", case("/audit", Sent::Nothing, Others::TheirOwnRows)),
            ("list_tenants", case("/admin/tenants", Sent::Nothing, NotForThem)),
            ("create_tenant", case("/admin/tenants", Sent::Json(json!({ "id": "new" })), NotForThem)),
            ("get_tenant", case("/admin/tenants/acme", Sent::Nothing, NotForThem)),
            ("update_tenant", case("/admin/tenants/acme", Sent::Json(json!({})), NotForThem)),
            ("list_blocked_components", case("/admin/blocked-components", Sent::Nothing, NotForThem)),
            ("get_platform_stats", case("/admin/stats", Sent::Nothing, NotForThem)),
        ]
    }

    async fn callback(&self) -> String {
        self.callback_of(&self.waiting).await
    }

    async fn callback_of(&self, instance: &str) -> String {
        let path = format!("/api/v1/instances/{instance}/callbacks/hook");
        self.api.get("acme-operator", &path).await.json()["path"].as_str().unwrap().to_owned()
    }

    /// The request of each operation, by its id.
    async fn cases(&self) -> BTreeMap<&'static str, Case> {
        use Others::{NotForThem, NotThere, Same, TheirOwn, TheirOwnList};
        let Self { waiting, failed, held, task, digest, .. } = self;
        let nothing = || Sent::Nothing;
        let callback = self.callback().await.replace("/api/v1", "");
        let start = Sent::Json(json!({ "definition_name": "flow" }));
        let more = json!({ "data": {}, "comment": "fine" });
        let next = Value::Object(
            workflow()
                .as_object()
                .unwrap()
                .clone()
                .into_iter()
                .chain([("version".to_owned(), json!("2.0.0"))])
                .collect(),
        );
        let mut cases = BTreeMap::from([
            ("list_definitions", case("/definitions", nothing(), TheirOwnList)),
            ("register_definition", case("/definitions", Sent::Json(next), NotThere)),
            ("get_definition", case("/definitions/flow", nothing(), NotThere)),
            ("list_definition_versions", case("/definitions/flow/versions", nothing(), NotThere)),
            ("get_definition_version", case("/definitions/flow/versions/1.0.0", nothing(), NotThere)),
            ("unregister_definition", case("/definitions/flow/versions/0.9.0", nothing(), NotThere)),
            ("deactivate_definition", case("/definitions/flow/versions/1.0.0/deactivate", nothing(), NotThere)),
            ("activate_definition", case("/definitions/flow/versions/1.0.0/activate", nothing(), NotThere)),
            ("get_definition_graph", case("/definitions/flow/graph", nothing(), NotThere)),
            ("list_components", case("/components", nothing(), TheirOwnList)),
            ("upload_component", case("/components?name=acme/new&version=1.0.0", Sent::Component, TheirOwn)),
            ("get_component", case(format!("/components/{digest}"), nothing(), NotThere)),
            (
                "revoke_component",
                case(
                    format!("/components/{digest}/revoke?tenant_id=acme"),
                    Sent::Json(json!({ "reason": "bad" })),
                    NotForThem,
                ),
            ),
            ("restore_component", case(format!("/components/{digest}/restore?tenant_id=acme"), nothing(), NotForThem)),
            ("list_instances", case("/instances", nothing(), TheirOwnList)),
            ("start_instance", case("/instances", start, NotThere)),
            ("get_instance", case(format!("/instances/{waiting}"), nothing(), NotThere)),
            ("get_instance_history", case(format!("/instances/{waiting}/history"), nothing(), NotThere)),
            ("get_instance_graph", case(format!("/instances/{waiting}/graph"), nothing(), NotThere)),
            ("explain_instance", case(format!("/instances/{waiting}/why"), nothing(), NotThere)),
            (
                "cancel_instance",
                case(format!("/instances/{waiting}/cancel"), Sent::Json(json!({ "reason": "x" })), NotThere),
            ),
            ("retry_instance", case(format!("/instances/{failed}/retry"), Sent::Json(json!({})), NotThere)),
            ("pause_instance", case(format!("/instances/{waiting}/pause"), nothing(), NotThere)),
            ("resume_instance", case(format!("/instances/{held}/resume"), nothing(), NotThere)),
            ("signal_instance", case(format!("/instances/{waiting}/signals/go"), Sent::Json(json!({})), NotThere)),
            ("get_callback", case(format!("/instances/{waiting}/callbacks/hook"), nothing(), NotThere)),
            ("deliver_callback", case(callback, Sent::Json(json!({})), Same)),
            ("list_tasks", case("/tasks", nothing(), TheirOwnList)),
            ("get_task", case(format!("/tasks/{task}"), nothing(), NotThere)),
            ("claim_task", case(format!("/tasks/{task}/claim"), nothing(), NotThere)),
            ("complete_task", case(format!("/tasks/{task}/complete"), Sent::Json(more), NotThere)),
            (
                "reassign_task",
                case(format!("/tasks/{task}/reassign"), Sent::Json(json!({ "to": "bob", "reason": "x" })), NotThere),
            ),
            ("get_usage", case("/usage", nothing(), TheirOwnList)),
        ]);
        cases.extend(self.access_cases());
        cases.extend(self.telling_cases());
        cases
    }

    async fn ask(&self, who: &str, method: &str, case: &Case) -> Answer {
        let asked = request(method, who, &case.path);
        let asked = match &case.sent {
            Sent::Nothing => asked.body(Body::empty()),
            Sent::Json(body) => asked.header("content-type", "application/json").body(body.to_string().into()),
            Sent::Component => asked.header("content-type", "application/wasm").body(Body::from(COMPONENT)),
        };
        self.api.send(asked.unwrap()).await
    }
}

/// An operation of the document.
struct Operation {
    id: String,
    method: String,
    role: String,
}

async fn operations() -> Vec<Operation> {
    let document = TestApi::new().await.get("", "/api/v1/openapi.json").await.json();
    let of = |(method, operation): (&String, &Value)| Operation {
        id: operation["operationId"].as_str().unwrap().to_owned(),
        method: method.to_uppercase(),
        role: operation["security"][0]["bearer"][0].as_str().unwrap_or("public").to_owned(),
    };
    document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().iter().map(of)).collect()
}

fn reaches(scope: &str, role: &str) -> bool {
    role == "public" || (role != "platform-admin" && (scope == role || scope == "admin" || role == "viewer"))
}

#[tokio::test]
async fn every_operation_answers_each_caller_as_the_document_says() {
    let mut wrong = Vec::new();
    for operation in operations().await {
        let ground = Ground::new().await;
        let cases = ground.cases().await;
        let Some(case) = cases.get(operation.id.as_str()) else {
            wrong.push(format!("{}: there is no case for it here; write one", operation.id));
            continue;
        };
        let mut expect = |who: &str, answer: &Answer, status: &str, fits: bool| {
            if !fits {
                wrong.push(format!("{} by {who}: {} and not {status}: {}", operation.id, answer.status, answer.text));
            }
        };
        if operation.role != "public" {
            for (who, code) in [("", "auth.required"), ("acme-revoked", "auth.key_refused")] {
                let answer = ground.ask(who, &operation.method, case).await;
                expect(who, &answer, "401", answer.status == StatusCode::UNAUTHORIZED && answer.code() == code);
            }
        }
        for scope in SCOPES.iter().filter(|scope| !reaches(scope, &operation.role)) {
            let who = format!("acme-{scope}");
            let answer = ground.ask(&who, &operation.method, case).await;
            expect(&who, &answer, "403", answer.status == StatusCode::FORBIDDEN);
        }
        let answer = ground.ask("other-admin", &operation.method, case).await;
        expect("other-admin", &answer, "what others are told", is_told(case.others, &answer));
        let who = match operation.role.as_str() {
            "platform-admin" => "platform",
            "public" => "",
            role => &format!("acme-{role}"),
        };
        let answer = ground.ask(who, &operation.method, case).await;
        expect(who, &answer, "2xx", answer.status.is_success());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_told(others: Others, answer: &Answer) -> bool {
    match others {
        Others::NotThere => answer.status == StatusCode::NOT_FOUND || answer.status == StatusCode::UNPROCESSABLE_ENTITY,
        Others::NotForThem => answer.status == StatusCode::FORBIDDEN,
        Others::TheirOwnList => answer.status == StatusCode::OK && answer.json()["total"] == 0,
        Others::TheirOwnRows => {
            let rows = answer.json()["items"].as_array().cloned().unwrap_or_default();
            answer.status == StatusCode::OK && rows.iter().all(|row| row["tenant_id"] == "other")
        }
        Others::TheirOwn | Others::Same => answer.status.is_success(),
    }
}
