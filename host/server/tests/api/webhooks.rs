//! Outgoing webhooks over the API: subscriptions, their secrets, and what became of deliveries.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Answer, TestApi, request};

const URL: &str = "https://example.com/hooks";

async fn create(api: &TestApi, who: &str, body: &Value) -> Value {
    let answer = api.post(who, "/api/v1/webhooks", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

async fn call(api: &TestApi, method: &str, who: &str, path: &str, body: Option<&Value>) -> Answer {
    let request = request(method, who, path).header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| body.to_string().into());
    api.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn a_subscription_is_made_changed_and_deleted_and_its_secret_is_told_once() {
    let api = TestApi::new().await;
    let made = create(&api, "acme-admin", &json!({ "url": URL, "types": ["workflow_failed"] })).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(
        (&made["tenant_id"], &made["created_by"], &made["is_active"]),
        (&json!("acme"), &json!("acme-admin"), &json!(true))
    );

    let mut found = api.get("acme-operator", &path).await.json();
    assert_eq!(found.get("secret"), None);
    assert_eq!(api.get("acme-operator", "/api/v1/webhooks").await.json()["items"], json!([found]));
    let wanted = json!({ "url": "https://example.com/x", "is_active": false, "description": "for us" });
    let changed = call(&api, "PUT", "acme-admin", &path, Some(&wanted)).await.json();
    for (field, value) in wanted.as_object().unwrap() {
        found[field] = value.clone();
    }
    found["types"] = json!([]);
    assert_eq!(changed, found);
    let rotated = api.post("acme-admin", &format!("{path}/rotate-secret"), &json!({})).await.json();
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(call(&api, "DELETE", "acme-admin", &path, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.get("acme-operator", &path).await.code(), "webhook.not_found");
    assert_eq!(api.get("acme-operator", "/api/v1/webhooks").await.json()["total"], 0);
}

#[tokio::test]
async fn what_a_change_of_parts_does_not_name_stays_and_null_takes_away() {
    let api = TestApi::new().await;
    let wanted = json!({ "url": URL, "types": ["workflow_failed"], "definition_name": "pay", "description": "for us" });
    let made = create(&api, "acme-admin", &wanted).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    let mut expected = api.get("acme-admin", &path).await.json();

    for (change, field, value) in [
        (json!({}), "url", json!(URL)),
        (json!({ "is_active": false }), "is_active", json!(false)),
        (json!({ "definition_name": null }), "definition_name", Value::Null),
        (json!({ "types": [] }), "types", json!([])),
        (json!({ "description": null }), "description", Value::Null),
        (json!({ "url": "https://example.com/x" }), "url", json!("https://example.com/x")),
    ] {
        expected[field] = value;
        let changed = call(&api, "PATCH", "acme-admin", &path, Some(&change)).await;
        assert_eq!(changed.json(), expected, "{change}");
    }

    let unknown = call(&api, "PATCH", "acme-admin", &path, Some(&json!({ "active": true }))).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::BAD_REQUEST, "request.invalid"));
}

#[tokio::test]
async fn another_tenants_subscription_is_not_there() {
    let api = TestApi::new().await;
    let acmes = create(&api, "acme-admin", &json!({ "url": URL })).await;
    let platforms = create(&api, "platform", &json!({ "url": URL })).await;
    let of_tenant = create(&api, "platform", &json!({ "url": URL, "tenant_id": "acme" })).await;
    assert_eq!((&platforms["tenant_id"], &of_tenant["tenant_id"]), (&Value::Null, &json!("acme")));

    for made in [&acmes, &platforms, &of_tenant] {
        let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
        let change = json!({ "url": URL, "is_active": true });
        let answers = [
            call(&api, "GET", "other-admin", &path, None).await,
            call(&api, "PUT", "other-admin", &path, Some(&change)).await,
            call(&api, "PATCH", "other-admin", &path, Some(&json!({}))).await,
            call(&api, "DELETE", "other-admin", &path, None).await,
            call(&api, "POST", "other-admin", &format!("{path}/ping"), None).await,
            call(&api, "POST", "other-admin", &format!("{path}/rotate-secret"), None).await,
            call(&api, "POST", "other-admin", &format!("{path}/redeliver"), None).await,
            call(&api, "GET", "other-admin", &format!("{path}/deliveries"), None).await,
            call(&api, "GET", "other-admin", &format!("{path}/deliveries/x"), None).await,
            call(&api, "POST", "other-admin", &format!("{path}/deliveries/x/redeliver"), None).await,
        ];
        for answer in answers {
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "webhook.not_found"));
        }
    }
    assert_eq!(api.get("other-admin", "/api/v1/webhooks").await.json()["total"], 0);
    assert_eq!(api.get("acme-admin", "/api/v1/webhooks").await.json()["total"], 2);
    assert_eq!(api.get("platform", "/api/v1/webhooks").await.json()["total"], 3);
    assert_eq!(api.get("acme-admin", "/api/v1/webhooks?tenant_id=other").await.code(), "tenant.not_found");
    let elsewhere = api.post("acme-admin", "/api/v1/webhooks", &json!({ "url": URL, "tenant_id": "other" })).await;
    assert_eq!(elsewhere.code(), "tenant.not_found");
}

#[tokio::test]
async fn it_takes_an_administrator_to_tell_others_what_happens() {
    let api = TestApi::new().await;
    let made = create(&api, "acme-admin", &json!({ "url": URL })).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());

    for who in ["acme-viewer", "acme-worker", "acme-author", "acme-operator"] {
        let create = api.post(who, "/api/v1/webhooks", &json!({ "url": URL })).await;
        assert_eq!((create.status, create.code().as_str()), (StatusCode::FORBIDDEN, "auth.scope_missing"), "{who}");
        assert_eq!(call(&api, "DELETE", who, &path, None).await.code(), "auth.scope_missing", "{who}");
    }
    assert_eq!(api.get("acme-viewer", &path).await.code(), "auth.scope_missing");
    assert_eq!(api.get("acme-operator", &path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_subscribes_nothing_more() {
    let api = TestApi::new().await;
    let keyed = async |body: &Value| {
        let request = request("POST", "acme-admin", "/api/v1/webhooks");
        let request = request.header("content-type", "application/json").header("idempotency-key", "once");
        api.send(request.body(body.to_string().into()).unwrap()).await
    };

    let first = keyed(&json!({ "url": URL })).await;
    let again = keyed(&json!({ "url": URL })).await;
    let other = keyed(&json!({ "url": "https://example.com/other" })).await;

    assert_eq!((first.status, again.status, other.status.as_u16()), (StatusCode::CREATED, StatusCode::CONFLICT, 422));
    assert_eq!((again.code().as_str(), other.code().as_str()), ("resource.already_exists", "idempotency.mismatch"));
    assert!(again.text.contains(first.json()["id"].as_str().unwrap()));
    assert!(!again.text.contains("whsec_"));
    assert_eq!(api.get("acme-admin", "/api/v1/webhooks").await.json()["total"], 1);
}

#[tokio::test]
async fn what_can_not_be_subscribed_is_refused_with_where_it_is_wrong() {
    let api = TestApi::new().await;
    let cases = [
        (json!({ "url": "ftp://example.com" }), 400, "request.invalid", "/url"),
        (json!({ "url": "https://user:word@example.com" }), 400, "request.invalid", "/url"),
        (json!({ "url": "http://127.1/" }), 422, "data.invalid", "/url"),
        (json!({ "url": URL, "description": "x".repeat(2_000) }), 422, "data.invalid", "/description"),
        (json!({ "url": URL, "types": ["done"] }), 400, "request.invalid", "/types/0"),
    ];
    for (body, status, code, pointer) in cases {
        let answer = api.post("acme-admin", "/api/v1/webhooks", &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{}", answer.text);
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.text);
    }
    assert_eq!(
        api.post("acme-admin", "/api/v1/webhooks", &json!({ "url": URL, "secret": "x" })).await.code(),
        "request.invalid"
    );
    for _ in 0..100 {
        create(&api, "acme-admin", &json!({ "url": URL })).await;
    }
    let beyond = api.post("acme-admin", "/api/v1/webhooks", &json!({ "url": URL })).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "quota.exceeded"));
    assert!(beyond.head.contains_key("retry-after"));
    let page = api.get("acme-admin", "/api/v1/webhooks?limit=60").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = api.get("acme-admin", &format!("/api/v1/webhooks?limit=60&cursor={cursor}")).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (60, 40));
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn deliveries_are_listed_by_status_and_sent_anew() {
    let api = TestApi::new().await;
    let made = create(&api, "acme-admin", &json!({ "url": URL })).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("/api/v1/webhooks/{id}");
    let mut pings = Vec::new();
    for _ in 0..3 {
        let ping = api.post("acme-operator", &format!("{path}/ping"), &json!({})).await;
        assert_eq!(ping.status, StatusCode::ACCEPTED);
        pings.push(ping.json());
    }
    let list = async |query: &str| api.get("acme-operator", &format!("{path}/deliveries{query}")).await.json();
    assert_eq!(list("?status=pending").await["total"], 3);
    let first = list("?limit=2").await;
    assert_eq!(first["items"], json!([pings[2], pings[1]]));
    let rest = list(&format!("?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&rest["items"], &rest["next_cursor"]), (&json!([pings[0]]), &Value::Null));

    let inactive = json!({ "url": URL, "is_active": false });
    call(&api, "PUT", "acme-admin", &path, Some(&inactive)).await;
    assert_eq!(list("?status=dead").await["total"], 3);
    let one = format!("{path}/deliveries/{}", pings[0]["id"].as_str().unwrap());
    let refused = api.post("acme-operator", &format!("{one}/redeliver"), &json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "state.wrong"));
    call(&api, "PUT", "acme-admin", &path, Some(&json!({ "url": URL, "is_active": true }))).await;
    let anew = api.post("acme-operator", &format!("{one}/redeliver"), &json!({})).await;
    assert_eq!((anew.status, &anew.json()["status"]), (StatusCode::ACCEPTED, &json!("pending")));
    let all = call(&api, "POST", "acme-operator", &format!("{path}/redeliver"), None).await;
    assert_eq!((all.status, all.json()), (StatusCode::ACCEPTED, json!({ "count": 2 })));
    let found = api.get("acme-operator", &one).await.json();
    assert_eq!((&found["body"]["type"], &found["body"]["data"]["webhook"]), (&json!("ping"), &json!(id)));
    let nobody = format!("{path}/deliveries/01a20607-442f-722f-8252-1df4668eb21f");
    assert_eq!(api.get("acme-operator", &nobody).await.code(), "webhook.not_found");
    assert_eq!(api.get("acme-operator", &format!("{path}/deliveries?status=done")).await.code(), "request.invalid");
}
