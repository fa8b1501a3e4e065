//! What is let in and still can not be made ready, and what each refusal says.

use stepcell_model::id::ComponentDigest;
use stepcell_sandbox::{Refusal, Sandbox, SandboxConfig};

use crate::assembly::{CONTRACT, component_of, step_in_text, with_world};
use crate::guests;

fn sandbox() -> Sandbox {
    Sandbox::new(&SandboxConfig { cells: 1, ..SandboxConfig::default() }).unwrap()
}

#[tokio::test]
async fn an_import_of_wasi_with_another_signature_is_refused_when_linking() {
    let bytes = with_world(
        "import wasi:cli/environment@0.2.0; export step;",
        "package wasi:cli@0.2.0 { interface environment { get-arguments: func(really: bool) -> u8; } }",
    );

    let refusal = sandbox().prepare(None, ComponentDigest::of(&bytes), bytes).await.unwrap_err();

    assert!(matches!(refusal, Refusal::Link { .. }), "{refusal}");
    assert!(refusal.to_string().contains("wasi:cli/environment"), "{refusal}");
}

#[tokio::test]
async fn a_function_that_is_not_valid_is_refused_when_compiling() {
    let bytes = step_in_text("", "(i64.const 1)", "1");

    let refusal = sandbox().prepare(None, ComponentDigest::of(&bytes), bytes).await.unwrap_err();

    assert!(matches!(refusal, Refusal::Compile { .. }), "{refusal}");
    assert_eq!(refusal.code(), "admission.compile");
}

#[tokio::test]
async fn bytes_other_than_the_digest_names_are_refused() {
    let sandbox = sandbox();
    let expected = ComponentDigest::of(b"other");

    let refusal = sandbox.prepare(None, expected, guests::component("greet")).await.unwrap_err();

    assert!(matches!(refusal, Refusal::Digest { .. }));
    assert!(!sandbox.is_prepared(&expected));
}

#[tokio::test]
async fn a_component_of_a_later_patch_of_the_contract_links() {
    for world in ["step-component", "gateway-component"] {
        let bytes = component_of(&CONTRACT.replace("stepcell:step@0.1.0", "stepcell:step@0.1.7"), world);

        sandbox().prepare(None, ComponentDigest::of(&bytes), bytes).await.unwrap();
    }
}
