//! What only one operation can be asked for.

use super::*;

/// A request in the course of an operation's case: its own, or one that prepares it.
pub(super) struct Step {
    method: &'static str,
    path: String,
    head: Option<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether it is one of the operation, or one that must succeed before it.
    is_own: bool,
}

impl Step {
    /// Who may also prepares.
    pub(super) fn request(&self, who: &str) -> Request<Body> {
        let who = if self.is_own || !who.is_empty() { who } else { "acme-admin" };
        let media_type = if self.path.contains("/components?") { "application/wasm" } else { "application/json" };
        let mut asked = request(self.method, who, &self.path).header("content-type", media_type);
        if let Some((name, value)) = &self.head {
            asked = asked.header(*name, value);
        }
        asked.body(Body::from(self.body.clone())).unwrap()
    }

    pub(super) fn is_asked_of(&self, method: &str) -> bool {
        self.is_own && self.method == method
    }
}

fn own(method: &'static str, path: impl Into<String>, body: Value) -> Step {
    let body = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    Step { method, path: format!("/api/v1{}", path.into()), head: None, body, is_own: true }
}

fn first(method: &'static str, path: impl Into<String>, body: Value) -> Step {
    Step { is_own: false, ..own(method, path, body) }
}

fn with_head(step: Step, name: &'static str, value: impl Into<String>) -> Step {
    Step { head: Some((name, value.into())), ..step }
}

/// A version of the workflow, described in other words than any that is registered.
fn described() -> Value {
    let mut other = workflow();
    other["description"] = json!("another one");
    other
}

/// Asked before the operation succeeds.
pub(super) fn before(operation: &str, ground: &Ground) -> Vec<Step> {
    let Ground { waiting, task, webhook, .. } = ground;
    let long = || "x".repeat(100_000);
    let unreachable = json!({ "url": "http://127.1/", "is_active": true });
    match operation {
        "register_definition" => vec![
            own("POST", "/definitions", json!({ "schema": "stepcell/v1", "name": "flow" })),
            own("POST", "/definitions", described()),
        ],
        "unregister_definition" => vec![own("DELETE", "/definitions/flow/versions/1.0.0", json!(null))],
        "upload_component" => vec![own("POST", "/components?name=acme/bad&version=1.0.0", json!("none"))],
        "revoke_component" => {
            vec![own("POST", format!("/components/{}/revoke?tenant_id=acme", ground.digest), json!({ "reason": "" }))]
        }
        "start_instance" => vec![own("POST", "/instances", json!({ "definition_name": "flow", "metadata": [1] }))],
        "cancel_instance" => {
            vec![own("POST", format!("/instances/{waiting}/cancel"), json!({ "reason": long() }))]
        }
        "retry_instance" => vec![own("POST", format!("/instances/{waiting}/retry"), json!({}))],
        "signal_instance" => vec![
            own("POST", format!("/instances/{waiting}/signals/go"), json!({ "payload": "x".repeat((1 << 20) + 1) })),
            own("POST", format!("/instances/{waiting}/signals/none"), json!({})),
        ],
        "deliver_callback" => vec![own("POST", format!("/callbacks/{waiting}/hook/AAAA"), json!({}))],
        "complete_task" => vec![own("POST", format!("/tasks/{task}/complete"), json!({ "data": 7 }))],
        "reassign_task" => {
            vec![own("POST", format!("/tasks/{task}/reassign"), json!({ "to": "bob", "reason": long() }))]
        }
        "create_webhook" => vec![
            own("POST", "/webhooks", json!({ "url": "http://127.1/" })),
            own("POST", "/webhooks", json!({ "url": "https://example.com/x", "tenant_id": "nobody" })),
        ],
        "change_webhook" => vec![own("PUT", format!("/webhooks/{webhook}"), unreachable)],
        "update_webhook" => vec![own("PATCH", format!("/webhooks/{webhook}"), unreachable)],
        "create_key" => vec![
            own("POST", "/keys", json!({ "name": "x", "user_id": "ann", "scopes": [] })),
            own("POST", "/keys", json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"], "tenant_id": "nobody" })),
        ],
        "set_secret" => vec![own("PUT", "/secrets/TOKEN", json!({ "value": "" }))],
        _ => Vec::new(),
    }
}

/// Asked once the operation has succeeded, twice.
pub(super) async fn after(operation: &str, ground: &Ground) -> Vec<Step> {
    let Ground { waiting, task, webhook, delivery, .. } = ground;
    let inactive =
        || first("PUT", format!("/webhooks/{webhook}"), json!({ "url": "https://example.com/x", "is_active": false }));
    let complete = || first("POST", format!("/tasks/{task}/complete"), json!({ "data": {} }));
    let tag = async || {
        let flow = ground.api.get("acme-viewer", "/api/v1/definitions/flow").await;
        flow.head["etag"].to_str().unwrap().to_owned()
    };
    match operation {
        "get_instance" => {
            let tags = (0..100).map(|seq| format!("\"{seq}\"")).collect::<Vec<_>>().join(",");
            vec![with_head(own("GET", format!("/instances/{waiting}"), json!(null)), "if-none-match", tags)]
        }
        "get_definition" => vec![with_head(own("GET", "/definitions/flow", json!(null)), "if-none-match", tag().await)],
        "get_definition_version" => {
            let version = own("GET", "/definitions/flow/versions/1.0.0", json!(null));
            vec![with_head(version, "if-none-match", tag().await)]
        }
        "upload_component" => {
            let other = [COMPONENT, b"and more"].concat();
            vec![Step { body: other, ..own("POST", "/components?name=acme/echo&version=1.0.0", json!(null)) }]
        }
        "start_instance" => vec![
            first("POST", "/definitions/flow/versions/1.0.0/deactivate", json!(null)),
            own("POST", "/instances", json!({ "definition_name": "flow", "version": "1.0.0" })),
        ],
        "deliver_callback" => {
            let path = ground.callback_of(&ground.failed).await;
            vec![own("POST", path.strip_prefix("/api/v1").unwrap(), json!({}))]
        }
        "claim_task" => vec![complete(), own("POST", format!("/tasks/{task}/claim"), json!(null))],
        "reassign_task" => {
            vec![complete(), own("POST", format!("/tasks/{task}/reassign"), json!({ "to": "bob", "reason": "x" }))]
        }
        "ping_webhook" => vec![inactive(), own("POST", format!("/webhooks/{webhook}/ping"), json!(null))],
        "redeliver_webhook" => {
            vec![inactive(), own("POST", format!("/webhooks/{webhook}/deliveries/{delivery}/redeliver"), json!(null))]
        }
        "redeliver_dead_webhooks" => vec![inactive(), own("POST", format!("/webhooks/{webhook}/redeliver"), json!({}))],
        _ => Vec::new(),
    }
}
