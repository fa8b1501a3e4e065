//! Who comes in, what administrators do, and what is kept of it.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};
use stepcell_server::{AdminGuard, ApiOptions, Caller, Guards, KeyGuard, Problem, ProblemCode, RateLimit};
use tower::ServiceExt as _;

use crate::kit::{Answer, COMPONENT, TestApi, approval, echo, request};

const ADMIN: &str = "platform";

/// Makes a tenant, and a key of it with those scopes; answers with what was told of the key.
async fn key_of(api: &TestApi, tenant: &str, scopes: &[&str]) -> Value {
    let made = api.post(ADMIN, "/api/v1/admin/tenants", &json!({ "id": tenant })).await;
    assert!([StatusCode::CREATED, StatusCode::CONFLICT].contains(&made.status), "{}", made.text);
    let asked = json!({ "name": "the build's", "user_id": "ann", "scopes": scopes, "tenant_id": tenant });
    let made = api.post(ADMIN, "/api/v1/keys", &asked).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_key_lets_its_user_in_as_far_as_its_scopes_reach_and_is_shown_once() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["author"]).await;
    let key = text(&made["key"]);

    let seen = api.get(key, "/api/v1/instances").await;
    let refused = api.get(key, "/api/v1/keys").await;
    let record = api.get(ADMIN, &format!("/api/v1/keys/{}", text(&made["id"]))).await;
    let listed = api.get(ADMIN, "/api/v1/keys").await;

    assert_eq!(seen.status, StatusCode::OK, "{}", seen.text);
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "auth.scope_missing"));
    assert_eq!(record.json()["prefix"], made["prefix"]);
    for answer in [&record, &listed] {
        assert!(!answer.text.contains(&key[13..]) && answer.json().get("key").is_none(), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_key_that_does_not_hold_is_refused_without_saying_why() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["viewer"]).await;
    let key = text(&made["key"]);
    let last = if key.ends_with('A') { "E" } else { "A" };
    let wrong = format!("{}{last}", &key[..key.len() - 1]);
    let unknown = format!("sck_aaaaaaaa{}", &key[12..]);
    let mut told = Vec::new();

    for bad in [wrong.as_str(), unknown.as_str(), "sck_", "sck_short"] {
        let answer = api.get(bad, "/api/v1/instances").await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "auth.key_refused"), "{bad}");
        told.push(answer.json()["detail"].clone());
    }

    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let twice = request("GET", key, "/api/v1/instances").header("authorization", format!("Bearer {key}"));
    let twice = api.send(twice.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(twice.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn when_a_key_was_last_used_shows_at_its_record() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["viewer"]).await;
    let record = async || api.get(ADMIN, &format!("/api/v1/keys/{}", text(&made["id"]))).await.json();
    assert_eq!(record().await["last_used_at"], json!(null));

    api.get(text(&made["key"]), "/api/v1/instances").await;

    while record().await["last_used_at"].is_null() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_key_in_the_url_lets_nobody_in() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["viewer"]).await;

    let answer = api.get("", &format!("/api/v1/instances?key={}", text(&made["key"]))).await;

    assert_eq!(answer.code(), "auth.required");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_an_expired_one_is_none() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["viewer"]).await;
    let (key, path) = (text(&made["key"]), format!("/api/v1/keys/{}", text(&made["id"])));
    assert_eq!(api.get(key, "/api/v1/instances").await.status, StatusCode::OK);

    let revoked = api.send_json("DELETE", ADMIN, &path, &json!(null)).await;

    assert_eq!(revoked.json()["state"], "revoked", "{}", revoked.text);
    assert_eq!(api.get(key, "/api/v1/instances").await.code(), "auth.key_refused");
    assert_eq!(
        api.send_json("DELETE", ADMIN, &path, &json!(null)).await.json()["revoked_at"],
        revoked.json()["revoked_at"]
    );
    let asked = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"], "expires_at": "2001-01-01T00:00:00Z" });
    assert_eq!(api.post(ADMIN, "/api/v1/keys", &asked).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_tenants_admin_makes_keys_of_its_tenant_alone() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["admin"]).await;
    let others = key_of(&api, "bolt", &["admin"]).await;
    let key = text(&made["key"]);
    let asked =
        |tenant: Option<&str>| json!({ "name": "x", "user_id": "eve", "scopes": ["admin"], "tenant_id": tenant });

    let own = api.post(key, "/api/v1/keys", &asked(None)).await;
    let another = api.post(key, "/api/v1/keys", &asked(Some("bolt"))).await;
    let found = api.get(key, &format!("/api/v1/keys/{}", text(&others["id"]))).await;
    let gone = api.send_json("DELETE", key, &format!("/api/v1/keys/{}", text(&others["id"])), &json!(null)).await;

    assert_eq!((own.status, &own.json()["tenant_id"]), (StatusCode::CREATED, &json!("acme")));
    assert_eq!(another.code(), "tenant.not_found");
    assert_eq!((found.code().as_str(), gone.code().as_str()), ("key.not_found", "key.not_found"));
    assert_eq!(api.get(key, "/api/v1/keys").await.json()["total"], 2);
    assert_eq!(api.get(key, "/api/v1/admin/tenants").await.code(), "auth.admin_only");
}

#[tokio::test]
async fn tenants_are_kept_changed_and_listed_in_pages() {
    let api = TestApi::new().await;
    for id in ["c", "a", "b"] {
        let made = api.post(ADMIN, "/api/v1/admin/tenants", &json!({ "id": id, "quotas": { "components": 3 } })).await;
        assert_eq!(made.head["location"], format!("/api/v1/admin/tenants/{id}"));
    }

    let again = api.post(ADMIN, "/api/v1/admin/tenants", &json!({ "id": "a" })).await;
    let change = json!({ "display_name": "A & sons", "quotas": { "open_instances": 5 } });
    let changed = api.send_json("PATCH", ADMIN, "/api/v1/admin/tenants/a", &change).await.json();
    let first = api.get(ADMIN, "/api/v1/admin/tenants?limit=2").await.json();
    let next = format!("/api/v1/admin/tenants?limit=2&cursor={}", text(&first["next_cursor"]));
    let second = api.get(ADMIN, &next).await.json();
    let shown = api.get(ADMIN, "/api/v1/admin/tenants/a").await.json();

    assert_eq!(again.code(), "resource.already_exists");
    assert_eq!((&changed["display_name"], &changed["quotas"]["components"]), (&json!("A & sons"), &json!(3)));
    let no_more = json!({ "quotas": { "components": null } });
    let unlimited = api.send_json("PATCH", ADMIN, "/api/v1/admin/tenants/a", &no_more).await.json();
    assert_eq!(
        (&unlimited["quotas"]["open_instances"], &unlimited["quotas"]["components"]),
        (&json!(5), &json!(null)),
        "what is left out stays, and null is no limit"
    );
    assert_eq!((first["items"][1]["id"].as_str(), second["items"][0]["id"].as_str()), (Some("b"), Some("c")));
    assert_eq!((&second["next_cursor"], &second["total"]), (&json!(null), &json!(3)));
    assert_eq!((&shown["quotas"]["open_instances"], &shown["used"]["open_instances"]), (&json!(5), &json!(0)));
    let missing = api.send_json("PATCH", ADMIN, "/api/v1/admin/tenants/nobody", &json!({})).await;
    assert_eq!(missing.code(), "tenant.not_found");
    let unknown = api.send_json("PATCH", ADMIN, "/api/v1/admin/tenants/a", &json!({ "quotas": { "x": 1 } })).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_tenant_sees_what_it_may_have_and_what_it_has_of_that() {
    let api = TestApi::new().await;
    api.define(&approval()).await;
    let tenant = json!({ "id": "acme", "quotas": { "open_instances": 5 } });
    api.post(ADMIN, "/api/v1/admin/tenants", &tenant).await;
    api.start("acme-operator", "approval").await;

    let own = api.get("acme-viewer", "/api/v1/tenant").await.json();

    assert_eq!((&own["id"], &own["quotas"]["open_instances"]), (&json!("acme"), &json!(5)));
    assert_eq!(own["used"]["open_instances"], json!(1));
    assert_eq!(own, api.get(ADMIN, "/api/v1/admin/tenants/acme").await.json());
    assert_eq!(own, api.get(ADMIN, "/api/v1/tenant?tenant_id=acme").await.json());
    let others = api.get("acme-viewer", "/api/v1/tenant?tenant_id=bolt").await;
    assert_eq!((others.status, others.code().as_str()), (StatusCode::NOT_FOUND, "tenant.not_found"));
    assert_eq!(api.get(ADMIN, "/api/v1/tenant").await.code(), "tenant.not_found");
    let anybodys = api.get("platform-viewer", "/api/v1/tenant?tenant_id=acme").await;
    assert_eq!(anybodys.code(), "auth.admin_only", "of all tenants administrators of the platform are told");
}

#[tokio::test]
async fn a_tenant_is_where_the_answer_to_its_making_says_whatever_its_id_has_in_it() {
    let api = TestApi::new().await;

    for id in ["a/b", "ä & 7 %2F", "x?y#z", "a+b;c"] {
        let made = api.post(ADMIN, "/api/v1/admin/tenants", &json!({ "id": id })).await;
        let found = api.get(ADMIN, made.head["location"].to_str().unwrap()).await;

        assert_eq!((found.status, &found.json()["id"]), (StatusCode::OK, &json!(id)), "{}", found.text);
    }
}

#[tokio::test]
async fn without_the_platforms_administrators_there_is_nothing_of_theirs_and_a_tenants_keep_what_they_have() {
    let api = TestApi::with(ApiOptions { enable_admin: false, ..ApiOptions::default() }).await;

    for path in ["/api/v1/keys", "/api/v1/secrets", "/api/v1/audit"] {
        let answer = api.get(ADMIN, path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "auth.admin_only"), "{path}");
        assert_eq!(api.get("acme-admin", path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(api.get(ADMIN, "/api/v1/instances").await.status, StatusCode::OK);
    for path in ["/api/v1/admin/tenants", "/api/v1/components/x/revoke"] {
        assert_eq!(api.post(ADMIN, path, &json!({})).await.code(), "route.not_found", "{path}");
    }
}

/// Takes nobody for an administrator of the platform.
struct NoAdmins;

impl AdminGuard for NoAdmins {
    fn admit(&self, _: &Caller) -> Result<(), Problem> {
        Err(Problem::new(ProblemCode::AdminOnly, "not today"))
    }
}

#[tokio::test]
async fn an_admin_guard_decides_on_everything_that_administrators_of_the_platform_do() {
    let api = TestApi::new().await;
    let made = api.post(ADMIN, "/api/v1/keys", &json!({ "name": "x", "user_id": "ann", "scopes": ["admin"] })).await;
    let guards = Guards::none().with(Arc::new(KeyGuard::new(api.engine.clone()))).with_admin(Arc::new(NoAdmins));
    let router = stepcell_server::router(api.engine.clone(), ApiOptions { guards, ..ApiOptions::default() });
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let ask = async |path: &str| {
        let asked = request("GET", &key, path).body(axum::body::Body::empty()).unwrap();
        router.clone().oneshot(asked).await.unwrap().status()
    };

    for path in ["/api/v1/keys", "/api/v1/secrets", "/api/v1/audit", "/api/v1/admin/tenants"] {
        assert_eq!(ask(path).await, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(ask("/api/v1/instances").await, StatusCode::OK);
}

#[tokio::test]
async fn nobody_of_a_suspended_tenant_comes_in_until_it_goes_on() {
    let api = TestApi::new().await;
    let made = key_of(&api, "acme", &["viewer"]).await;
    let set = async |status: &str| {
        let answer = api.send_json("PATCH", ADMIN, "/api/v1/admin/tenants/acme", &json!({ "status": status })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    };

    set("suspended").await;
    let by_key = api.get(text(&made["key"]), "/api/v1/instances").await;
    let otherwise = api.get("acme-viewer", "/api/v1/instances").await;
    set("active").await;

    for refused in [by_key, otherwise] {
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "tenant.suspended"));
    }
    assert_eq!(api.get(text(&made["key"]), "/api/v1/instances").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_used_up_quota_is_429_and_says_when_to_come_back() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    let tenant = json!({ "id": "acme", "quotas": { "open_instances": 0 } });
    api.post(ADMIN, "/api/v1/admin/tenants", &tenant).await;

    let refused = api.post("acme-operator", "/api/v1/instances", &json!({ "definition_name": "echo" })).await;

    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "quota.exceeded"));
    assert_eq!(refused.head["retry-after"], "1");
    assert!(refused.text.contains("cancel one or wait until one has finished"), "{}", refused.text);
}

#[tokio::test]
async fn a_quota_that_no_time_frees_says_so_and_when_to_ask_again_nonetheless() {
    let api = TestApi::new().await;
    let tenant = json!({ "id": "acme", "quotas": { "components": 0 } });
    api.post(ADMIN, "/api/v1/admin/tenants", &tenant).await;
    let upload = request("POST", "acme-author", "/api/v1/components?name=acme/new&version=1.0.0");
    let upload = upload.header("content-type", "application/wasm").body(COMPONENT.into()).unwrap();

    let refused = api.send(upload).await;

    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "quota.exceeded"));
    assert!(refused.head.contains_key("retry-after"));
    assert!(refused.text.contains("have the quota raised; time alone frees nothing"), "{}", refused.text);
}

#[tokio::test]
async fn too_many_requests_with_one_key_are_429_and_disturb_no_other() {
    let rate = RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(3).unwrap() };
    let api = TestApi::with(ApiOptions { rate: Some(rate), ..ApiOptions::default() }).await;

    let mut last: Option<Answer> = None;
    for _ in 0..4 {
        last = Some(api.get("acme-viewer", "/api/v1/instances").await);
    }
    let refused = last.unwrap();

    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate.limited"));
    assert_eq!(refused.head["retry-after"], "1");
    assert_eq!(api.get("bolt-viewer", "/api/v1/instances").await.status, StatusCode::OK);
}

#[tokio::test]
async fn callers_of_one_tenant_share_a_rate_and_disturb_no_other_tenant() {
    let rate = RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(2).unwrap() };
    let api = TestApi::with(ApiOptions { tenant_rate: Some(rate), ..ApiOptions::default() }).await;

    let mut told = Vec::new();
    for who in ["acme-viewer", "acme-admin", "acme-operator", "bolt-viewer", ADMIN, ADMIN, ADMIN] {
        told.push(api.get(who, "/api/v1/instances").await.status.as_u16());
    }

    assert_eq!(told, [200, 200, 429, 200, 200, 200, 200]);
}

#[tokio::test]
async fn a_tenant_has_no_more_keys_and_secrets_than_there_is_room_for() {
    let api = TestApi::new().await;
    let key = json!({ "name": "x", "user_id": "ann", "scopes": ["viewer"] });
    for number in 0..1_000 {
        let made = api.post("acme-admin", "/api/v1/keys", &key).await;
        assert_eq!(made.status, StatusCode::CREATED, "{number}: {}", made.text);
        let path = format!("/api/v1/secrets/S{number}");
        let set = api.send_json("PUT", "acme-admin", &path, &json!({ "value": "12345678" })).await;
        assert_eq!(set.status, StatusCode::NO_CONTENT, "{number}: {}", set.text);
    }

    let key_refused = api.post("acme-admin", "/api/v1/keys", &key).await;
    let one_more = json!({ "value": "12345678" });
    let secret_refused = api.send_json("PUT", "acme-admin", "/api/v1/secrets/MORE", &one_more).await;

    for refused in [key_refused, secret_refused] {
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "quota.exceeded"));
    }
    assert_eq!(api.post("bolt-admin", "/api/v1/keys", &key).await.status, StatusCode::CREATED);
    let again = api.send_json("PUT", "acme-admin", "/api/v1/secrets/S7", &one_more).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_secrets_value_never_comes_back() {
    let api = TestApi::new().await;
    let path = "/api/v1/secrets/TOKEN";

    let set = api.send_json("PUT", "acme-admin", path, &json!({ "value": "hunter2hunter2" })).await;
    let short = api.send_json("PUT", "acme-admin", path, &json!({ "value": "x" })).await;
    let listed = api.get("acme-admin", "/api/v1/secrets").await;
    let others = api.get("bolt-admin", "/api/v1/secrets").await;
    let not_theirs = api.send_json("DELETE", "bolt-admin", path, &json!(null)).await;
    let gone = api.send_json("DELETE", "acme-admin", path, &json!(null)).await;

    assert_eq!((set.status, short.code().as_str()), (StatusCode::NO_CONTENT, "data.invalid"));
    assert!(!short.text.contains("hunter2") && !listed.text.contains("hunter2"), "{}", listed.text);
    assert_eq!(listed.json()["items"][0]["name"], "TOKEN");
    assert_eq!((&others.json()["total"], not_theirs.code().as_str()), (&json!(0), "secret.not_found"));
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn secrets_are_listed_by_tenant_and_name_in_pages() {
    let api = TestApi::new().await;
    for (who, name) in [("bolt-admin", "A"), ("acme-admin", "C"), ("acme-admin", "B"), (ADMIN, "Z")] {
        let path = format!("/api/v1/secrets/{name}");
        api.send_json("PUT", who, &path, &json!({ "value": "hunter2hunter2" })).await;
    }
    let names = |page: &Value| {
        let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|row| text(&row["name"]).to_owned()).collect();
        names.concat()
    };

    let first = api.get(ADMIN, "/api/v1/secrets?limit=2").await.json();
    let next = format!("/api/v1/secrets?limit=2&cursor={}", text(&first["next_cursor"]));
    let second = api.get(ADMIN, &next).await.json();
    let own = api.get("acme-admin", "/api/v1/secrets").await.json();

    assert_eq!((names(&first), names(&second), names(&own)), ("ZB".to_owned(), "CA".to_owned(), "BC".to_owned()));
    assert_eq!((&first["total"], &own["total"], &second["next_cursor"]), (&json!(4), &json!(2), &json!(null)));
}

#[tokio::test]
async fn stats_are_those_of_the_callers_tenant_or_of_all() {
    let api = TestApi::new().await;
    api.define(&echo()).await;
    api.start("acme-operator", "echo").await;
    api.start("bolt-operator", "echo").await;

    let acme = api.get("acme-viewer", "/api/v1/stats").await.json();
    let all = api.get(ADMIN, "/api/v1/admin/stats").await.json();
    let one = api.get(ADMIN, "/api/v1/stats?tenant_id=acme").await.json();

    assert_eq!((&acme["instances"], &acme["letters"]), (&json!({ "completed": 1 }), &json!(null)));
    assert_eq!((&all["instances"], &all["letters"]), (&json!({ "completed": 2 }), &json!(0)));
    assert_eq!(one, acme);
    assert_eq!(api.get("acme-viewer", "/api/v1/stats?tenant_id=bolt").await.code(), "tenant.not_found");
}
