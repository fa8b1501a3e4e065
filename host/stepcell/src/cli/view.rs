//! Definitions and components as JSON: the contract of `--output json`.
//!
//! Fields stand in a fixed order, what is not there is `null`, and new fields come last.

use serde_json::{Value, json};
use stepcell::model::component::ComponentExports;
use stepcell::model::record::{ComponentRecord, DefinitionRecord};
use stepcell::store::Inserted;

/// A version of a definition as lists show it.
pub(crate) fn definition(record: &DefinitionRecord) -> Value {
    of_owner(definition_itself(record), record)
}

/// A version of a definition, and whether it is new where it was just registered.
pub(crate) fn registered_definition(record: &DefinitionRecord, inserted: Inserted) -> Value {
    let mut value = definition_itself(record);
    value["is_new"] = json!(inserted == Inserted::New);
    of_owner(value, record)
}

/// A version of a definition with its document, and the digest of the component of each step.
pub(crate) fn whole_definition(record: &DefinitionRecord) -> Value {
    let mut value = definition_itself(record);
    let components = record.components.iter().map(|(step, digest)| (step.to_string(), json!(digest)));
    value["components"] = Value::Object(components.collect());
    value["pure_steps"] = json!(record.pure_steps);
    value["document"] = record.document.tree().clone();
    of_owner(value, record)
}

fn definition_itself(record: &DefinitionRecord) -> Value {
    json!({
        "name": record.name,
        "version": record.version.to_string(),
        "description": record.description,
        "is_active": record.is_active,
        "created_at": record.created_at,
    })
}

fn of_owner(mut value: Value, record: &DefinitionRecord) -> Value {
    value["tenant_id"] = json!(record.tenant);
    value
}

/// A registered component, and whether it is new where it was just pushed.
pub(crate) fn component(record: &ComponentRecord, pushed: Option<Inserted>) -> Value {
    let mut value = json!({
        "name": record.name,
        "version": record.version.to_string(),
        "digest": record.digest,
        "size_bytes": record.size_bytes,
        "created_at": record.created_at,
        "manifest": record.manifest,
    });
    if let Some(inserted) = pushed {
        value["is_new"] = json!(inserted == Inserted::New);
    }
    value["exports"] = json!(record.exports.list());
    value["capabilities"] = json!(record.capabilities);
    value["tenant"] = json!(record.tenant);
    value
}

/// What a component exports, for people.
pub(crate) fn exports(exports: ComponentExports) -> String {
    let words: Vec<_> = exports.list().iter().map(|export| export.as_str()).collect();
    words.join(", ")
}
