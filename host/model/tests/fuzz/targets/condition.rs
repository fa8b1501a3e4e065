//! Conditions and mappings: what compiles decides or explains itself, over whatever the context holds.

use serde_json::{Value, json};
use stepcell_model::attempt::ContextData;
use stepcell_model::expression::{Condition, EvaluationError, ExpressionError, InstanceFacts, Mapping, Scope};
use stepcell_model::json::{JSON_DEPTH_MAX, Json};
use stepcell_model::name::ContextKey;

use super::{assert_shown, depth, parts};

/// The longest picture of a mistake, in bytes.
const PICTURE_LEN_BYTES_MAX: usize = 1_000;

/// An expression, and after a rule the JSON that it sees: an object's entries are the context, and all of it the result.
pub fn condition(data: &[u8]) {
    let Some((source, seen)) = parts(data) else { return };
    let seen = seen.and_then(|text| Json::parse(text.to_owned()).ok()).unwrap_or_else(usual);
    let context: ContextData = match seen.tree() {
        Value::Object(entries) => entries.iter().filter_map(entry).collect(),
        _ => ContextData::new(),
    };
    let metadata = context.clone();
    let instance = InstanceFacts { id: "i-1".to_owned(), user: Some("ada".to_owned()), ..InstanceFacts::default() };
    let scope = Scope { context: &context, result: Some(&seen), metadata: &metadata, instance: &instance };
    let made = mapped(source, &scope);
    match Condition::compile(source) {
        Err(error) => refused(source, &error),
        Ok(condition) => {
            assert_eq!(condition.source(), source);
            for read in condition.values_read(&scope) {
                assert_shown(&read.to_string());
            }
            match (condition.evaluate(&scope), made) {
                (Ok(holds), Some(Ok(made))) => assert_eq!(made.tree(), &Value::Bool(holds)),
                (Ok(_), Some(Err(error))) => panic!("a condition decides, and the same text makes no value: {error}"),
                (Err(error), Some(_)) => failed(&error),
                (_, None) => panic!("a condition is an expression"),
            }
        }
    }
}

/// Makes the value, if the text is an expression at all.
fn mapped(source: &str, scope: &Scope<'_>) -> Option<Result<Json, EvaluationError>> {
    match Mapping::compile(source) {
        Err(error) => {
            refused(source, &error);
            None
        }
        Ok(mapping) => {
            let made = mapping.evaluate(scope);
            match &made {
                Ok(value) => {
                    assert!(depth(value.tree()) <= JSON_DEPTH_MAX && value.depth() <= JSON_DEPTH_MAX);
                    assert_eq!(Json::parse(value.text().to_owned()).as_ref(), Ok(value), "it is JSON");
                }
                Err(error) => failed(error),
            }
            assert_eq!(mapping.evaluate(scope), made, "the same values make the same");
            Some(made)
        }
    }
}

fn refused(source: &str, error: &ExpressionError) {
    assert_shown(&error.to_string());
    assert!(source.is_char_boundary(error.offset));
    let picture = error.caret();
    assert!(picture.len() <= PICTURE_LEN_BYTES_MAX && picture.ends_with('^'), "{picture:?}");
    assert_eq!(picture.split('\n').count(), 2, "{picture:?}");
    assert!(!picture.contains(|c: char| c.is_control() && c != '\n'), "{picture:?}");
}

fn failed(error: &EvaluationError) {
    assert_shown(&error.to_string());
}

fn entry((key, value): (&String, &Value)) -> Option<(ContextKey, Json)> {
    Some((ContextKey::new(key).ok()?, value.clone().into()))
}

fn usual() -> Json {
    json!({
        "score": 85.5, "amount": 1200, "name": "Ada", "nothing": null, "paid": true, "tags": ["a", "b"],
        "max": i64::MAX, "min": i64::MIN, "big": u64::MAX, "order": {"id": "o-7", "total": 12.5, "lines": [{"sum": 1}]},
        "odd \u{7f}\u{85}\n": "\u{0}\u{1b}[31m\u{9b}", "long": "ä".repeat(300),
    })
    .into()
}
