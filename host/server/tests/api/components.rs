//! Components over HTTP: signatures that come along with an upload.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;
use stepcell_model::id::ComponentDigest;
use stepcell_model::policy::Policy;
use stepcell_model::signature::{ComponentSignature, PrivateKey};

use crate::kit::{Answer, COMPONENT, TestApi, request};

const UPLOAD: &str = "/api/v1/components?name=acme/new&version=1.0.0";

fn signed_by(seed: u8) -> ComponentSignature {
    PrivateKey::from_bytes(&[seed; 32]).sign(ComponentDigest::of(COMPONENT))
}

async fn upload(api: &TestApi, signature: Option<&str>) -> Answer {
    let asked = request("POST", "acme-author", UPLOAD).header("content-type", "application/wasm");
    let asked = match signature {
        Some(signature) => asked.header("component-signature", signature),
        None => asked,
    };
    api.send(asked.body(Body::from(COMPONENT)).unwrap()).await
}

#[tokio::test]
async fn where_the_policy_wants_signatures_a_component_is_uploaded_with_one_of_a_trusted_key() {
    let api = TestApi::new().await;
    let trusted = PrivateKey::from_bytes(&[7; 32]).public();
    let text = format!(
        "schema: stepcell-policy/v1\ntenants:\n  acme: {{ signatures: required, trusted_keys: ['{trusted}'] }}\n"
    );
    api.engine.apply_policy(&Policy::from_text(&text).unwrap()).await.unwrap();
    let [ours, strangers] = [7, 8].map(|seed| serde_json::to_string(&signed_by(seed)).unwrap());

    for refused in [None, Some(strangers.as_str())] {
        let answer = upload(&api, refused).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "component.refused"), "{refused:?}");
    }
    let taken = upload(&api, Some(&ours)).await;

    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.text);
}

#[tokio::test]
async fn an_author_can_not_have_the_signatures_of_any_number_of_keys_kept() {
    let api = TestApi::new().await;
    let signed = |seed| serde_json::to_string(&signed_by(seed)).unwrap();
    for seed in 1..=8 {
        let answer = upload(&api, Some(&signed(seed))).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    let kept = api.engine.store().load_guard().await.unwrap();

    let ninth = upload(&api, Some(&signed(9))).await;
    let again = upload(&api, Some(&signed(8))).await;

    assert_eq!((ninth.status.as_u16(), ninth.code().as_str()), (422, "component.refused"));
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    assert_eq!(api.engine.store().load_guard().await.unwrap(), kept);
}

#[tokio::test]
async fn what_may_not_run_is_listed_in_pages_until_it_is_restored() {
    let api = TestApi::new().await;
    let digest = upload(&api, None).await.json()["digest"].as_str().unwrap().to_owned();
    let other = ComponentDigest::of(b"nobody has registered it");
    api.engine.revoke_component(other, "it lies", None).await.unwrap();
    let act = |what: &str| format!("/api/v1/components/{digest}/{what}?tenant_id=acme");
    let revoked = api.post("platform", &act("revoke"), &json!({ "reason": "bad" })).await;
    assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.text);
    let list = "/api/v1/admin/blocked-components?limit=1";

    let first = api.get("platform", list).await.json();
    let rest = format!("{list}&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = api.get("platform", &rest).await.json();
    let restored = api.post("platform", &act("restore"), &json!({})).await;

    let digests = [&first, &second].map(|page| page["items"][0]["digest"].as_str().unwrap().to_owned());
    let mut both = [digest.clone(), other.to_string()];
    both.sort();
    assert_eq!((digests, &second["next_cursor"], &first["total"]), (both, &json!(null), &json!(2)));
    assert_eq!(restored.json()["blocked"], json!(null), "{}", restored.text);
    assert_eq!(api.get("platform", list).await.json()["items"][0]["reason"], "it lies");
}

#[tokio::test]
async fn a_signature_that_is_none_is_refused_and_said_to_be() {
    let api = TestApi::new().await;

    for signature in ["", "x", "{}", "[1, 2, 3]", &"x".repeat(1025)] {
        let answer = upload(&api, Some(signature)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "component.refused"), "{signature}");
        assert!(answer.text.contains("`Component-Signature`"), "{}", answer.text);
    }
}
