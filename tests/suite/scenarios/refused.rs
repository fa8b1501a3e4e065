//! Components that do not fit are refused by name, and nothing of them is stored.

use stepcell::EngineError;
use stepcell_tests::{Scenario, component};

async fn refusal_of(bytes: Vec<u8>) -> String {
    let scenario = Scenario::new().await;

    let error = scenario.push("bad", bytes).await.expect_err("it is refused");

    assert!(matches!(error, EngineError::ComponentRefused { .. }), "{error:?}");
    let stored = scenario.host.engine().registry().list_components(None).await.expect("the store works");
    assert!(stored.is_empty(), "nothing is stored");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_component_is_refused() {
    insta::assert_snapshot!(refusal_of(b"#!/bin/sh\n".to_vec()).await, @r"component `bad` 1.0.0 was refused: the file is no WebAssembly: it does not begin with `\0asm`; push the `.wasm` file that the build made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_module_is_refused_and_told_apart() {
    insta::assert_snapshot!(refusal_of(b"\0asm\x01\0\0\0".to_vec()).await, @r"component `bad` 1.0.0 was refused: the file is a core module, and a step is a component; build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_without_the_export_is_refused_by_name() {
    insta::assert_snapshot!(refusal_of(b"\0asm\x0d\0\x01\0".to_vec()).await, @"component `bad` 1.0.0 was refused: the component exports nothing, and a step exports `stepcell:step/step@0.1.0`; implement the world `stepcell:step/step-component` (in Rust: `stepcell_sdk::export!(YourStep);`), or for a gateway `stepcell:step/gateway-component`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_component_is_refused() {
    let mut bytes = component("greet");
    let middle = bytes.len() / 2;
    bytes.truncate(middle);

    let refusal = refusal_of(bytes).await;

    assert!(refusal.starts_with("component `bad` 1.0.0 was refused: "), "{refusal}");
}
