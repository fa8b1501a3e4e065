//! What must hold of every text from outside: one function a kind of text, each takes any bytes.
//!
//! `main.rs` beside this folder runs them on a few thousand texts with every test; the package `fuzz/` at the top
//! includes this very file and runs them for as long as one likes. They fail by panicking.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a finding is a panic, and `fuzz/` calls from outside")]

mod condition;
mod definition;
mod export;
mod json;
mod schema;

pub use condition::condition;
pub use definition::{definition_json, definition_yaml};
pub use export::export;
pub use json::json;
pub use schema::schema;

use serde_json::Value;

/// The line between the two parts of a text that has two, such as a schema and a value.
const RULE: &str = "\n---\n";

/// The longest text that people are shown, in characters.
const SHOWN_LEN_CHARS_MAX: usize = 3_000;

/// Checks what people are shown: one line, not endless, nothing in it that moves a terminal's cursor.
#[track_caller]
fn assert_shown(text: &str) {
    assert!(!text.is_empty(), "people are shown nothing");
    let chars = text.chars().count();
    assert!(chars <= SHOWN_LEN_CHARS_MAX, "people are shown {chars} characters: {text:.200}…");
    assert!(!text.contains(char::is_control), "people are shown control characters: {text:?}");
}

/// The bytes as text, split at the rule. Only text comes in, so that all else is no case.
fn parts(data: &[u8]) -> Option<(&str, Option<&str>)> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.split_once(RULE).map_or((text, None), |(first, second)| (first, Some(second))))
}

/// How deep arrays and objects nest.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
