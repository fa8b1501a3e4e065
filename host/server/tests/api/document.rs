//! The OpenAPI document: committed as it is made, complete, and what is held to.

use std::path::Path;

use axum::http::StatusCode;
use serde_json::Value;
use stepcell_server::ApiOptions;

use crate::kit::TestApi;

async fn document() -> Value {
    TestApi::new().await.get("", "/api/v1/openapi.json").await.json()
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters");
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    each.collect()
}

#[tokio::test]
async fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&document().await).unwrap());
    if std::env::var_os("STEPCELL_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }

    let committed = std::fs::read_to_string(&path).unwrap_or_default();

    assert!(committed == made, "the API changed: write docs/openapi.json with STEPCELL_BLESS=1, and commit it");
}

#[tokio::test]
async fn open_api_describes_every_route_with_its_error_codes() {
    let document = document().await;

    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{at}");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{at} {status}");
        }
        let is_public =
            operation["security"] == serde_json::json!([]) || operation["security"] == serde_json::json!([{}]);
        for status in ["401", "403", "429"] {
            assert!(is_public || responses.contains_key(status), "{at} {status}");
        }
    }
}

#[tokio::test]
async fn guards_without_credentials_401_on_every_route() {
    let api = TestApi::new().await;

    for (method, path, operation) in operations(&document().await) {
        if operation["operationId"] == "deliver_callback" {
            continue;
        }
        let path = path.replace(['{', '}'], "");
        let request = crate::kit::request(&method, "", &path).body(axum::body::Body::empty()).unwrap();
        let answer = api.send(request).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNAUTHORIZED, "auth.required"),
            "{method} {path}"
        );
        assert_eq!(answer.head["www-authenticate"], "Bearer realm=\"stepcell\"");
    }
}

#[tokio::test]
async fn api_disabled_by_configuration_has_no_routes_and_the_prefix_is_configurable() {
    let off = TestApi::with(ApiOptions { enable_api: false, enable_admin: false, ..ApiOptions::default() }).await;
    let moved = TestApi::with(ApiOptions { path_prefix: "/workflows".to_owned(), ..ApiOptions::default() }).await;

    assert_eq!(off.get("platform", "/api/v1/instances").await.code(), "route.not_found");
    assert_eq!(moved.get("platform", "/workflows/instances").await.status, StatusCode::OK);
    assert_eq!(moved.get("platform", "/api/v1/instances").await.code(), "route.not_found");
    let document = moved.get("", "/workflows/openapi.json").await.json();
    assert!(operations(&document).iter().all(|(_, path, _)| path.starts_with("/workflows/")));
}

#[tokio::test]
async fn the_documentation_is_served_without_anything_from_elsewhere() {
    let api = TestApi::new().await;

    let page = api.get("", "/api/v1/docs/").await;

    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
}
