//! A JSON document that is checked once and never printed or parsed twice.
//!
//! Guests hand in text, databases keep text, conditions want a tree: [`Json`] keeps the text and makes the tree at
//! the first look. Clones share both.

mod read;

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use self::read::{Checked, Tree};

/// The deepest nesting of arrays and objects that any document may have.
///
/// Protects the host's stack: whatever walks a document may recurse this far and no further.
pub const JSON_DEPTH_MAX: usize = 64;

/// The longest text that is made a tree while it is checked, in bytes; the tree of a longer one is made at the first look.
///
/// Protects the host's memory: a tree takes up to fifty times as much as its text, and most texts are only handed on.
const TREE_AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// One JSON value: its text, and its tree once somebody asked for it.
#[derive(Clone)]
pub struct Json(Arc<Inner>);

struct Inner {
    text: Box<str>,
    tree: OnceLock<Value>,
}

/// Why a text is not a JSON document that the engine takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not one JSON value; holds what the parser said.
    #[error("not one JSON value: {0}")]
    Malformed(String),
    /// Arrays and objects nest deeper than [`JSON_DEPTH_MAX`].
    #[error("arrays and objects nest deeper than {JSON_DEPTH_MAX}; flatten the value")]
    TooDeep,
}

impl Json {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    /// [`JsonError`] if it is not exactly one JSON value, or nests too deep.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::json::Json;
    /// let json = Json::parse(r#"{"amount": 12}"#.to_owned())?;
    /// assert_eq!(json.tree()["amount"], 12);
    /// assert!(Json::parse("{".to_owned()).is_err());
    /// # Ok::<(), stepcell_model::json::JsonError>(())
    /// ```
    pub fn parse(text: String) -> Result<Self, JsonError> {
        if depth_of(&text) > JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        let malformed = |error: serde_json::Error| JsonError::Malformed(error.to_string());
        let tree = if text.len() <= TREE_AT_ONCE_BYTES_MAX {
            OnceLock::from(serde_json::from_str::<Tree>(&text).map_err(malformed)?.0)
        } else {
            serde_json::from_str::<Checked>(&text).map_err(malformed)?;
            OnceLock::new()
        };
        Ok(Self(Arc::new(Inner { text: text.into_boxed_str(), tree })))
    }

    /// Takes over text that a store or this crate wrote itself.
    ///
    /// The text is not looked at before [`Json::tree`] needs it; text that is no JSON after all reads as `null`.
    #[must_use]
    pub fn trusted(text: String) -> Self {
        Self(Arc::new(Inner { text: text.into_boxed_str(), tree: OnceLock::new() }))
    }

    /// The document as text, as it was handed in.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The document as a tree, made at the first call.
    #[must_use]
    pub fn tree(&self) -> &Value {
        self.0.tree.get_or_init(|| serde_json::from_str(&self.0.text).map_or(Value::Null, |Tree(tree)| tree))
    }

    /// The JSON value `null`.
    #[must_use]
    pub fn null() -> Self {
        Value::Null.into()
    }

    /// The number of bytes of the text.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.0.text.len()
    }

    /// How deep arrays and objects nest in it.
    #[must_use]
    pub fn depth(&self) -> usize {
        depth_of(self.text())
    }
}

/// Counts how deep brackets nest, reading each byte once and never recursing.
fn depth_of(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl From<Value> for Json {
    fn from(tree: Value) -> Self {
        Self(Arc::new(Inner { text: tree.to_string().into_boxed_str(), tree: OnceLock::from(tree) }))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() || self.tree() == other.tree()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.text()) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => self.tree().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tree::deserialize(deserializer).map(|Tree(tree)| Self::from(tree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_inside_a_string_is_no_nesting() {
        let text = format!(r#""{}\"[""#, "[".repeat(100));

        assert!(Json::parse(text).is_ok());
    }

    #[test]
    fn the_deepest_allowed_document_passes_and_one_deeper_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));

        assert!(Json::parse(nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(Json::parse(nested(JSON_DEPTH_MAX + 1)), Err(JsonError::TooDeep));
        assert_eq!(Json::parse(nested(1_000_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn a_number_is_the_same_after_it_was_written_and_read() {
        for number in [0.1 + 0.2, 5e-324, f64::MAX, 2.225_073_858_507_201e-308, 1.0 / 3.0 * 1e-7, 8.41e21] {
            let json = Json::from(serde_json::json!(number));

            assert_eq!(Json::parse(json.text().to_owned()).unwrap().tree(), json.tree(), "{number:?}");
        }
    }

    #[test]
    fn text_survives_a_round_trip_through_serde_to_the_letter() {
        let json = Json::parse(r#"{"b": 1.50, "a": [ ]}"#.to_owned()).unwrap();

        assert_eq!(serde_json::to_string(&vec![json]).unwrap(), r#"[{"b": 1.50, "a": [ ]}]"#);
    }

    #[test]
    fn a_long_text_is_checked_as_a_short_one_is() {
        let long = |end: &str| format!("[{}{end}]", "1, ".repeat(TREE_AT_ONCE_BYTES_MAX));

        assert_eq!(Json::parse(long("[true, {}]")).unwrap().tree()[TREE_AT_ONCE_BYTES_MAX][0], true);
        for odd in ["1e999", r#""\ud800""#, "NaN", "1] [1", r#"{"a"}"#, "\"\n\"", ""] {
            assert!(Json::parse(long(odd)).is_err(), "{odd}");
            assert!(Json::parse(format!("[1, {odd}]")).is_err(), "{odd}");
        }
    }

    #[test]
    fn no_document_hides_another_in_a_text() {
        let nested = serde_json::to_string(&"[".repeat(65)).unwrap();
        for key in ["$serde_json::private::RawValue", "\\u0024serde_json::private::RawValue"] {
            for hidden in [r#""[1]""#, nested.as_str(), "1"] {
                let text = format!(r#"{{"a": [{{"{key}": {hidden}}}]}}"#);
                let long = format!("{{\"b\": \"{}\", \"a\": {text}}}", "x".repeat(TREE_AT_ONCE_BYTES_MAX));

                assert!(Json::parse(text.clone()).is_err(), "{text}");
                assert!(Json::parse(long).is_err(), "{text}");
                assert!(serde_json::from_str::<Json>(&text).is_err(), "{text}");
                assert_eq!(Json::trusted(text).tree(), &Value::Null);
            }
        }
    }
}
