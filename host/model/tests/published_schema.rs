//! The published JSON Schema is the one that the model makes, and says what the reader says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::definition::document::Document;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn errors_of(definition: &Value) -> Vec<String> {
    // Groups hold steps, so the schema refers to itself: more than data of strangers is checked against.
    let published = jsonschema::validator_for(&WorkflowDefinition::json_schema()).expect("the schema is one");
    published.iter_errors(definition).map(|error| error.to_string()).collect()
}

fn minimal() -> Value {
    json!({
        "schema": "stepcell/v1",
        "name": "hello",
        "version": "1.0.0",
        "initial_step": "greet",
        "steps": { "greet": { "type": "machine", "component": "acme/greet@1" } },
    })
}

#[test]
fn the_committed_schema_is_current() {
    let path = root().join("docs/definition.schema.json");
    let generated = format!("{}\n", serde_json::to_string_pretty(&WorkflowDefinition::json_schema()).unwrap());
    if std::env::var_os("STEPCELL_BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }

    let committed = std::fs::read_to_string(&path).unwrap();

    assert!(committed == generated, "the format changed: write the new schema with STEPCELL_BLESS=1, and commit it");
}

/// The definitions of the examples: each folder below `example-steps/` may hold some.
fn example_definitions() -> Vec<PathBuf> {
    let folder = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let inside = folder(&root().join("example-steps")).into_iter().filter(|path| path.is_dir());
    let files = inside.flat_map(|path| folder(&path));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

#[test]
fn every_example_fits_the_schema() {
    let examples = example_definitions();

    for path in &examples {
        let text = std::fs::read_to_string(path).unwrap();
        let at = path.display();
        assert_eq!(errors_of(Document::parse(&text).unwrap().value()), Vec::<String>::new(), "{at}");
        assert!(WorkflowDefinition::from_text(&text).is_ok(), "{at}");
    }
    assert!(examples.len() >= 8, "{examples:?}");
}

#[test]
fn what_the_reader_refuses_the_schema_refuses_too() {
    assert_eq!(errors_of(&minimal()), Vec::<String>::new());
    for (pointer, wrong) in [
        ("/steps/greet/type", json!("timer")),
        ("/steps/greet/retry", json!({ "max_attempt": 3 })),
        ("/steps/greet/titel", json!("x")),
        ("/schema", json!("stepcell/v2")),
        ("/nmae", json!("x")),
    ] {
        let mut definition = minimal();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        definition.pointer_mut(parent).unwrap()[field] = wrong;

        assert!(!errors_of(&definition).is_empty(), "the schema takes {pointer}");
        assert!(WorkflowDefinition::from_text(&definition.to_string()).is_err(), "the reader takes {pointer}");
    }
}
