//! Definitions and components over the API.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{COMPONENT, TestApi, echo, request};

#[tokio::test]
async fn a_component_and_a_definition_are_registered_and_read_back() {
    let api = TestApi::new().await;
    let upload = |bytes: &'static [u8]| {
        let path = "/api/v1/components?name=acme/echo&version=1.0.0";
        request("POST", "platform", path).header("content-type", "application/wasm").body(Body::from(bytes)).unwrap()
    };

    let component = api.send(upload(COMPONENT)).await;
    let again = api.send(upload(COMPONENT)).await;
    let other = api.send(upload(b"\0asm other")).await;
    let definition = api.post("platform", "/api/v1/definitions", &echo()).await;

    assert_eq!((component.status, again.status), (StatusCode::CREATED, StatusCode::OK), "{}", component.text);
    assert_eq!(other.code(), "version.taken");
    let digest = component.json()["digest"].as_str().unwrap().to_owned();
    assert_eq!(api.get("platform", &format!("/api/v1/components/{digest}")).await.json()["blocked"], json!(null));
    assert_eq!(definition.status, StatusCode::CREATED);
    assert_eq!(definition.head["location"], "/api/v1/definitions/echo/versions/1.0.0");
    let found = api.get("platform", "/api/v1/definitions/echo").await.json();
    assert_eq!((&found["components"]["say"], &found["document"]["name"]), (&json!(digest), &json!("echo")));
}

#[tokio::test]
async fn a_wrong_definition_is_told_every_problem_by_pointer_line_and_column() {
    let api = TestApi::new().await;
    let text = "schema: stepcell/v1\nname: x\nversion: 1.0.0\ninitial_step: nope\nterminal_steps: [b]\nsteps:\n  a: { type: machine, component: acme/none@1 }\n";
    let request = request("POST", "platform", "/api/v1/definitions").header("content-type", "application/yaml");

    let answer = api.send(request.body(text.into()).unwrap()).await;

    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "definition.invalid"));
    let errors = answer.json()["errors"].clone();
    let places: Vec<_> =
        errors.as_array().unwrap().iter().map(|e| (e["pointer"].as_str().unwrap(), e["line"].as_u64())).collect();
    assert!(
        places.contains(&("/initial_step", Some(4))) && places.contains(&("/terminal_steps/0", Some(5))),
        "{errors}"
    );
}

#[tokio::test]
async fn a_problem_is_pointed_at_whatever_its_name_is() {
    let api = TestApi::new().await;
    let mut definition = echo();
    definition["steps"]["a/b~c.d[0]"] = json!({ "type": "human" });
    definition["steps"]["say"]["component"] = json!("acme/none@1");

    let named = api.post("platform", "/api/v1/definitions", &definition).await;
    definition["steps"].as_object_mut().unwrap().shift_remove("a/b~c.d[0]");
    let unknown = api.post("platform", "/api/v1/definitions", &definition).await;

    let pointers = |body: Value| -> Vec<String> {
        body["errors"].as_array().unwrap().iter().map(|told| told["pointer"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(pointers(named.json()), ["/steps/a~1b~0c.d[0]"]);
    assert_eq!(pointers(unknown.json()), ["/steps/say/component"]);
}

#[tokio::test]
async fn the_last_page_of_a_list_leads_no_further() {
    let api = TestApi::new().await;
    for version in ["1.0.0", "2.0.0", "3.0.0", "4.0.0"] {
        let mut definition = echo();
        definition["version"] = json!(version);
        api.define(&definition).await;
    }
    for _ in 0..4 {
        api.start("acme-operator", "echo").await;
    }

    for path in ["definitions", "definitions/echo/versions", "instances"] {
        let page = async |query: &str| api.get("platform", &format!("/api/v1/{path}?limit=2{query}")).await.json();
        let first = page("").await;
        let last = page(&format!("&cursor={}", first["next_cursor"].as_str().unwrap())).await;
        for page in [&first, &last] {
            assert_eq!((page["items"].as_array().unwrap().len(), &page["total"]), (2, &json!(4)), "{path}");
        }
        assert_eq!(last["next_cursor"], json!(null), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_its_reason() {
    let api = TestApi::new().await;
    let request = request("POST", "platform", "/api/v1/components?name=acme/x&version=1.0.0");

    let answer = api.send(request.header("content-type", "application/wasm").body("plain text".into()).unwrap()).await;

    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "component.refused"));
}

#[tokio::test]
async fn get_definitions_one_and_graph_and_unknown_names_are_404() {
    let api = TestApi::new().await;
    api.define(&echo()).await;

    let list = api.get("platform", "/api/v1/definitions").await.json();
    let mermaid = api.get("platform", "/api/v1/definitions/echo/graph?format=mermaid").await;
    let json = api.get("platform", "/api/v1/definitions/echo/graph?format=json").await.json();

    assert_eq!((&list["total"], &list["items"][0]["name"]), (&json!(1), &json!("echo")));
    assert!(mermaid.text.starts_with("graph TD"), "{}", mermaid.text);
    assert_eq!(json["nodes"][0]["id"], "say");
    for path in ["nope", "nope/graph", "nope/versions", "echo/versions/9.9.9", "echo?version=9.9.9"] {
        let answer = api.get("platform", &format!("/api/v1/definitions/{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "definition.not_found"), "{path}");
    }
    assert_eq!(api.get("platform", "/api/v1/definitions/echo/graph?format=png").await.code(), "request.invalid");
}

#[tokio::test]
async fn a_deactivated_version_starts_nothing_new() {
    let api = TestApi::new().await;
    api.define(&echo()).await;

    let path = "/api/v1/definitions/echo/versions/1.0.0/deactivate";
    assert_eq!(api.post("platform", path, &json!({})).await.json()["is_active"], false);
    let start = json!({ "definition_name": "echo", "version": "1.0.0" });
    assert_eq!(api.post("platform", "/api/v1/instances", &start).await.code(), "definition.inactive");
}
