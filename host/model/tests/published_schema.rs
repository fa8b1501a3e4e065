//! The published JSON Schema is the one that the model makes, and says what the reader says.

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

#[test]
fn every_example_fits_the_schema() {
    let mut examples = 0;
    for entry in std::fs::read_dir(root().join("example-steps/webhook-triage")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert_eq!(errors_of(Document::parse(&text).unwrap().value()), Vec::<String>::new());
        examples += 1;
    }
    assert!(examples >= 3);
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
