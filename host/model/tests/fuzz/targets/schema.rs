//! JSON Schemas of tenants: what compiles checks any value, and says what is wrong in bounded, plain lines.

use serde_json::json;
use stepcell_model::json::Json;
use stepcell_model::schema::{DataSchema, FIELD_ERRORS_MAX};

use super::{assert_shown, parts};

/// A schema, and after a rule a value for it; without one, the schema itself and a few others.
pub fn schema(data: &[u8]) {
    let Some((schema, value)) = parts(data) else { return };
    let Ok(source) = Json::parse(schema.to_owned()) else { return };
    match DataSchema::compile(&source) {
        Err(error) => assert_shown(&error.to_string()),
        Ok(schema) => {
            assert_eq!(schema.source().text(), source.text());
            match value.map(|text| Json::parse(text.to_owned())) {
                Some(Ok(value)) => checked(&schema, &value),
                Some(Err(_)) => {}
                None => usual().iter().chain([&source]).for_each(|value| checked(&schema, value)),
            }
        }
    }
}

fn checked(schema: &DataSchema, value: &Json) {
    let errors = schema.check(value);
    assert!(errors.len() <= FIELD_ERRORS_MAX);
    assert!(errors.is_sorted());
    for error in &errors {
        assert_shown(&error.to_string());
        assert_shown(&error.message);
        assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{:?} is no pointer", error.pointer);
    }
    assert_eq!(schema.check(value), errors, "the same value has the same errors");
}

fn usual() -> [Json; 4] {
    let object = json!({"a": 1, "b": {"c": [1, "x", null, 2.5]}, "id": "o-7", "amount": -1, "odd\n\u{7f}": "\u{0}"});
    [json!(null).into(), json!("text").into(), json!([1, "a", {"a": true}]).into(), object.into()]
}
