//! What the document says of texts is what the model's parsers hold to, and what a body is made of.

use std::str::FromStr;

use axum::http::StatusCode;
use serde_json::{Value, json};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{SecretName, StepName, TenantId, WorkflowName};
use stepcell_model::schema::DataSchema;
use stepcell_model::webhook::WebhookUrl;

use crate::kit::TestApi;

/// The schema of a property of a named schema.
fn property(document: &Value, schema: &str, name: &str) -> Value {
    document["components"]["schemas"][schema]["properties"][name].clone()
}

/// The schema of a parameter of an operation.
fn parameter(document: &Value, path: &str, method: &str, name: &str) -> Value {
    let all = document["paths"][format!("/api/v1{path}")][method]["parameters"].as_array().unwrap();
    all.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"].clone()
}

/// Holds texts against a schema of the document and against what the model reads.
fn compare<T: FromStr>(schema: Value, texts: &[&str]) {
    let schema = DataSchema::compile(&Json::from(schema)).unwrap();
    for text in texts {
        let fits = schema.check(&Json::from(json!(text))).is_empty();
        assert_eq!(fits, text.parse::<T>().is_ok(), "{}: {text:?}", std::any::type_name::<T>());
    }
}

#[tokio::test]
async fn a_name_fits_the_document_if_the_model_reads_it() {
    let document = TestApi::new().await.get("", "/api/v1/openapi.json").await.json();
    let long = "a".repeat(65);
    let long_part = format!("group/{long}");

    let workflow = parameter(&document, "/definitions/{name}", "get", "name");
    compare::<WorkflowName>(
        workflow,
        &["acme/pay.v2", "a-b_c", "", "/a", "a//b", "a/", "9a", "a b", "ä", "a\n", &long],
    );
    let secret = parameter(&document, "/secrets/{name}", "put", "name");
    compare::<SecretName>(secret, &["token", "_a-1", "", "-a", "a/b", "a.b", &long]);
    let step = property(&document, "RetryInstance", "from_step");
    compare::<StepName>(step, &["review", "group/member", "", "/", "a/", "a.b", "1", &long, &long_part]);
    let tenant = property(&document, "CreateTenant", "id");
    compare::<TenantId>(tenant, &["acme", "a b", "ä/🦀", "", "a\nb", "\u{7f}", "\u{85}", &"t".repeat(257)]);
}

#[tokio::test]
async fn a_version_a_digest_or_an_address_fits_the_document_if_the_model_reads_it() {
    let document = TestApi::new().await.get("", "/api/v1/openapi.json").await.json();

    let good = ["1.0.0", "0.1.2-rc.1+build.05", "1.0.0--"];
    let bad = ["", "1", "1.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "v1.0.0"];
    compare::<semver::Version>(property(&document, "StartInstance", "version"), &[&good[..], &bad[..]].concat());
    let digest = format!("sha256:{}", "0".repeat(64));
    compare::<ComponentDigest>(property(&document, "Component", "digest"), &[&digest, "sha256:0", "0", ""]);
    let good = ["https://example.com/hooks?a=b", "http://a:80"];
    let bad = ["", "example.com", "ftp://a", "https://", "https://a b", "https://a/#b"];
    compare::<WebhookUrl>(property(&document, "CreateWebhook", "url"), &[&good[..], &bad[..]].concat());
    assert_eq!(property(&document, "Instance", "id")["format"], "uuid");
}

#[tokio::test]
async fn a_list_is_not_taken_for_an_object() {
    let api = TestApi::new().await;

    let whole = api.post("platform", "/api/v1/admin/tenants", &json!(["acme", "Acme", {}])).await;
    let part = api.post("platform", "/api/v1/admin/tenants", &json!({ "id": "acme", "quotas": [1, 2] })).await;

    for (answer, pointer) in [(whole, ""), (part, "/quotas")] {
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "request.invalid"));
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_quota_is_a_whole_number_that_every_reader_counts_alike() {
    let api = TestApi::new().await;
    let ask = |id: &'static str, quota: &'static str| {
        let body: Value =
            serde_json::from_str(&format!(r#"{{"id":"{id}","quotas":{{"components":{quota}}}}}"#)).unwrap();
        let api = &api;
        async move { api.post("platform", "/api/v1/admin/tenants", &body).await }
    };

    let taken = [ask("a", "5.0").await, ask("b", "9007199254740991").await, ask("c", "null").await];
    let refused =
        [ask("d", "9007199254740992").await, ask("e", "0.5").await, ask("f", "-1").await, ask("g", "1e300").await];

    let quotas = taken.map(|answer| answer.json()["quotas"]["components"].clone());
    assert_eq!(quotas, [json!(5), json!(9_007_199_254_740_991_u64), Value::Null]);
    for answer in refused {
        assert_eq!(answer.code(), "request.invalid");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/quotas/components", "{}", answer.text);
    }
}

#[tokio::test]
async fn an_idempotency_key_is_visible_characters() {
    let api = TestApi::new().await;
    for (id, key, status) in [("a", "order 7", 400), ("b", "order\t7", 400), ("c", "ordér", 400), ("d", "order-7", 201)]
    {
        let request = crate::kit::request("POST", "platform", "/api/v1/admin/tenants")
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        let answer = api.send(request.body(json!({ "id": id }).to_string().into()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{key:?}: {}", answer.text);
    }
}
