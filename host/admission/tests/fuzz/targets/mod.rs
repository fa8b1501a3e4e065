//! What must hold of every file that somebody pushes: one function a way of making files, each takes any bytes.
//!
//! `main.rs` beside this folder runs them on some thousand files with every test; the package `fuzz/` at the top
//! includes this very file and runs them for as long as one likes. They fail by panicking.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a finding is a panic, and `fuzz/` calls from outside")]

mod smith;

use stepcell_admission::{Bound, ComponentFacts, ImportedInterface, Refusal, inspect};
use stepcell_model::component::Capability;
use stepcell_model::id::ComponentDigest;
use wasmparser::{Validator, WasmFeatures};

/// The longest text that people are shown, in characters: a refusal quotes two signatures of 2,000 bytes at most.
const SHOWN_LEN_CHARS_MAX: usize = 6_000;

/// The proposals that a component may use.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::LIME1)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::COMPONENT_MODEL);

/// The structure: components made from the bytes, which are valid, so that only what they ask for can be wrong.
pub fn structure(data: &[u8]) {
    let _ = checked(data);
    let Some(component) = smith::component(data) else { return };
    let outcome = checked(&component);
    if let Err(Refusal::Unreadable { reason }) = outcome {
        // What the runtime would take must not be called damaged.
        let valid = Validator::new_with_features(FEATURES).validate_all(&component);
        assert!(valid.is_err(), "a valid component is refused: {reason}");
    }
}

/// The whole check: any bytes, of which many begin as real components.
pub fn admission(data: &[u8]) {
    if let Ok(facts) = checked(data) {
        taken(data, &facts);
    }
}

/// Checks a file twice, and what is said of it.
fn checked(bytes: &[u8]) -> Result<ComponentFacts, Refusal> {
    let outcome = inspect(bytes);
    assert_eq!(inspect(bytes), outcome, "the same file is told the same");
    if let Err(refusal) = &outcome {
        let text = refusal.to_string();
        assert!(text.chars().count() <= SHOWN_LEN_CHARS_MAX, "people are shown {} characters", text.chars().count());
        assert!(!text.contains(char::is_control), "people are shown control characters: {text:?}");
        assert!(!text.contains("confuses the reader"), "the reader panicked");
        assert!(Refusal::CODES.iter().any(|(code, _)| *code == refusal.code()));
        if let Refusal::TooComplex { bound, found } = refusal {
            assert!(Bound::ALL.contains(bound) && *found > bound.max, "{refusal}");
        }
    }
    outcome
}

/// What is let in is what it is said to be, and as valid as can be told without reading functions.
fn taken(bytes: &[u8], facts: &ComponentFacts) {
    assert_eq!((facts.size_bytes, facts.digest), (bytes.len(), ComponentDigest::of(bytes)));
    assert!(facts.imports.iter().all(is_known), "{:?}", facts.imports);
    let http = facts.imports.iter().any(|import| import.name.starts_with("wasi:http/outgoing-handler@0.2"));
    assert!(http || !facts.capabilities.contains(&Capability::Http));
    assert!(facts.manifest.as_ref().is_none_or(|manifest| manifest.tree().is_object()));
}

fn is_known(import: &ImportedInterface) -> bool {
    import.name.starts_with("stepcell:step/") || (import.name.starts_with("wasi:") && import.name.contains("@0.2"))
}
