//! Components over HTTP: signatures that come along with an upload.

use axum::body::Body;
use axum::http::StatusCode;
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
async fn a_signature_that_is_none_is_refused_and_said_to_be() {
    let api = TestApi::new().await;

    for signature in ["", "x", "{}", "[1, 2, 3]", &"x".repeat(1025)] {
        let answer = upload(&api, Some(signature)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "request.invalid"), "{signature}");
        assert!(answer.text.contains("`Component-Signature`"), "{}", answer.text);
    }
}
