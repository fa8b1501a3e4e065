//! A YAML or JSON text as a tree in which every value knows where it stands.
//!
//! Bounded before anything is built: size, nesting, nodes, aliases. A document is one value, its keys are text and
//! stand once, its numbers are finite. What the values mean is not looked at here.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned};

use crate::json::JSON_DEPTH_MAX;
use crate::problem::{PathPart, Position, Problem, shorten};

/// The largest text that is read, in bytes.
pub const DOCUMENT_LEN_BYTES_MAX: usize = 1 << 20;

/// The most values in a document, aliases counted each time that they are used.
pub const DOCUMENT_NODES_MAX: usize = 100_000;

/// The stack on which a document is read, in bytes; enough for [`JSON_DEPTH_MAX`] levels in a build for debugging.
const READER_STACK_BYTES: usize = 16 << 20;

/// A document: its value, and where the parts of it stand.
#[derive(Clone, Debug)]
pub struct Document {
    value: Value,
    places: Option<Places>,
}

impl Document {
    /// Reads YAML, and so JSON.
    ///
    /// # Errors
    /// A [`Problem`] with its place if the text is too large, is not YAML, repeats a key, has a key that is not text,
    /// or has a number that JSON can not hold.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::definition::document::Document;
    /// let document = Document::parse("name: pay\nsteps: [a, b]")?;
    /// assert_eq!(document.value()["steps"][1], "b");
    /// assert_eq!(document.position(&["steps".into(), 1.into()]).unwrap().to_string(), "line 2, column 12");
    /// # Ok::<(), stepcell_model::problem::Problem>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > DOCUMENT_LEN_BYTES_MAX {
            let size = text.len();
            return Err(Problem::new(format!(
                "the document has {size} bytes, more than the {DOCUMENT_LEN_BYTES_MAX} that are read"
            )));
        }
        // Without optimisation the reader takes tens of KiB of stack a level: more than a thread of a runtime has.
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(READER_STACK_BYTES);
            let read = reader.spawn_scoped(scope, || Self::parse_here(text)).map(std::thread::ScopedJoinHandle::join);
            read.map_err(|error| Problem::new(format!("the document can not be read now: {error}")))?
                .unwrap_or_else(|_| Err(Problem::new("the document can not be read; write it in a simpler way")))
        })
    }

    fn parse_here(text: &str) -> Result<Self, Problem> {
        let node: Located = serde_saphyr::from_str_with_options(text, options()).map_err(|error| refusal(&error))?;
        let (value, places) = node.split(Position { line: 1, column: 1 });
        Ok(Self { value, places: Some(places) })
    }

    /// Takes a value that never was text that a person could look at.
    #[must_use]
    pub fn from_value(value: Value) -> Self {
        Self { value, places: None }
    }

    /// The document's value; keys are in the order in which they were written.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Finds where the value at `path` stands.
    ///
    /// That is where its text begins, or its key if it is an object or a list that begins on a later line. For a path
    /// that is not in the document (such as a missing field's) it is the place of the nearest part around it that is.
    #[must_use]
    pub fn position(&self, path: &[PathPart]) -> Option<Position> {
        let mut places = self.places.as_ref()?;
        for part in path {
            match places.inside(part) {
                Some(inside) => places = inside,
                None => break,
            }
        }
        Some(places.at)
    }
}

/// Where a value stands, and where the values in it do.
#[derive(Clone, Debug)]
struct Places {
    at: Position,
    inside: Inside,
}

#[derive(Clone, Debug)]
enum Inside {
    Nothing,
    List(Vec<Places>),
    Object(Vec<(String, Places)>),
}

impl Places {
    fn inside(&self, part: &PathPart) -> Option<&Self> {
        match (&self.inside, part) {
            (Inside::List(items), PathPart::Index(index)) => items.get(*index),
            (Inside::Object(entries), PathPart::Key(key)) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, places)| places)
            }
            (Inside::Nothing | Inside::List(_) | Inside::Object(_), _) => None,
        }
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: JSON_DEPTH_MAX,
            flow_nesting_limit: JSON_DEPTH_MAX,
            max_events: 4 * DOCUMENT_NODES_MAX,
            max_nodes: DOCUMENT_NODES_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: DOCUMENT_NODES_MAX,
            max_recorded_anchor_bytes: 4 * DOCUMENT_LEN_BYTES_MAX,
            max_total_scalar_bytes: 4 * DOCUMENT_LEN_BYTES_MAX,
            max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: DOCUMENT_NODES_MAX,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        // A country `NO` and a key `on` are text.
        strict_booleans: true,
        with_snippet: false,
    }
}

fn refusal(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error;
    let mut cause = error.without_snippet();
    while let Error::AliasError { error, .. } = cause {
        cause = error;
    }
    let message = match cause {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands here a second time"),
        Error::NonFiniteFloat { value, .. } => format!("`{value}` is no number that JSON can hold"),
        Error::MultipleDocuments { .. } => "a second document begins here; one file is one definition".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            format!(
                "the document is too large once written out: at most {DOCUMENT_NODES_MAX} values, {JSON_DEPTH_MAX} deep, \
                 with few aliases"
            )
        }
        Error::Message { msg, .. } => msg.clone(),
        Error::Eof { .. } => "the document is empty".to_owned(),
        other => without_place(&other.to_string()),
    };
    let one_line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Problem::new(shorten(&one_line, 300)).with_position(error.location().and_then(position))
}

/// Drops the place that the YAML reader writes into its texts: ours stands before them.
fn without_place(text: &str) -> String {
    text.split(" at line ").next().unwrap_or(text).trim_end_matches([',', ':', ' ']).to_owned()
}

fn position(location: Location) -> Option<Position> {
    (location != Location::UNKNOWN).then(|| Position { line: location.line(), column: location.column() })
}

/// One value of the text, with its place.
struct Located {
    at: Option<Position>,
    content: Content,
}

enum Content {
    Scalar(Value),
    List(Vec<Located>),
    Object(Vec<(Spanned<Key>, Located)>),
}

/// A key, which has to be text.
struct Key(String);

impl Located {
    /// Separates the value from its places. `key_at` is where the key of this value stands.
    fn split(self, key_at: Position) -> (Value, Places) {
        let own = self.at.unwrap_or(key_at);
        match self.content {
            Content::Scalar(value) => (value, Places { at: own, inside: Inside::Nothing }),
            Content::List(items) => {
                let at = if own.line == key_at.line { own } else { key_at };
                let (values, places) = items.into_iter().map(|item| item.split_item(own)).unzip();
                (Value::Array(values), Places { at, inside: Inside::List(places) })
            }
            Content::Object(entries) => {
                let at = if own.line == key_at.line { own } else { key_at };
                let mut values = Map::with_capacity(entries.len());
                let mut places = Vec::with_capacity(entries.len());
                for (key, node) in entries {
                    let (value, place) = node.split(position(key.referenced).unwrap_or(at));
                    values.insert(key.value.0.clone(), value);
                    places.push((key.value.0, place));
                }
                (Value::Object(values), Places { at, inside: Inside::Object(places) })
            }
        }
    }

    /// Separates an item of a list, which has no key: it stands where it begins.
    fn split_item(self, list_at: Position) -> (Value, Places) {
        let own = self.at.unwrap_or(list_at);
        self.split(own)
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.referenced), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Content::deserialize(deserializer)? {
            Content::Scalar(Value::String(text)) => Ok(Self(text)),
            Content::Scalar(other) => Err(D::Error::custom(format!("a key is text: write \"{other}\" in quotes"))),
            Content::List(_) | Content::Object(_) => Err(D::Error::custom("a key is text, not a list or an object")),
        }
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Content, E> {
        Err(E::custom(format!("the number {value} is too large; write it in quotes if it is a text")))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Content, E> {
        Err(E::custom(format!("the number {value} is too large; write it in quotes if it is a text")))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value);
        number
            .map(|number| Content::Scalar(number.into()))
            .ok_or_else(|| E::custom(format!("`{value}` is no number that JSON can hold")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Content::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
name: pay
steps:
  validate:
    type: machine
    retry: { max_attempts: 3 }
edges:
  - source: validate
    target: pay
  - { source: a, target: b }
";

    fn at(path: &[PathPart]) -> String {
        Document::parse(TEXT).unwrap().position(path).unwrap().to_string()
    }

    fn refused(text: &str) -> String {
        Document::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_scalar_stands_at_its_value_and_a_block_at_its_key() {
        assert_eq!(at(&["name".into()]), "line 1, column 7");
        assert_eq!(at(&["steps".into()]), "line 2, column 1");
        assert_eq!(at(&["steps".into(), "validate".into()]), "line 3, column 3");
        assert_eq!(at(&["steps".into(), "validate".into(), "retry".into()]), "line 5, column 12");
        assert_eq!(at(&["edges".into(), 0.into(), "target".into()]), "line 8, column 13");
        assert_eq!(at(&["edges".into(), 1.into()]), "line 9, column 5");
    }

    #[test]
    fn a_missing_part_stands_at_what_it_is_missing_from() {
        assert_eq!(at(&["version".into()]), "line 1, column 1");
        assert_eq!(at(&["steps".into(), "validate".into(), "component".into()]), "line 3, column 3");
        assert_eq!(at(&["edges".into(), 9.into(), "target".into()]), "line 6, column 1");
        assert_eq!(Document::from_value(json!({"a": 1})).position(&["a".into()]), None);
    }

    #[test]
    fn json_reads_as_itself_with_its_keys_in_order() {
        let text = "{\n\t\"b\": [1, -2, 2.5, true, null, \"x\\u00e4\"],\n\t\"a\": {\"n\": 18446744073709551615}\n}";

        let document = Document::parse(text).unwrap();

        assert_eq!(document.value(), &serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(document.value().as_object().unwrap().keys().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(document.position(&["a".into(), "n".into()]).unwrap(), Position { line: 3, column: 13 });
    }

    #[test]
    fn only_true_and_false_are_booleans_and_versions_stay_text() {
        let document = Document::parse("a: no\nb: 1.2.0\non: yes\nc: 2d\nd: '5'\ne: !!str 5").unwrap();

        assert_eq!(document.value(), &json!({"a": "no", "b": "1.2.0", "on": "yes", "c": "2d", "d": "5", "e": "5"}));
    }

    #[test]
    fn anchors_and_merges_are_written_out() {
        let document = Document::parse("base: &b { x: 1 }\none: *b\ntwo: { <<: *b, y: 2 }").unwrap();

        assert_eq!(document.value()["one"], json!({"x": 1}));
        assert_eq!(document.value()["two"], json!({"x": 1, "y": 2}));
        assert_eq!(document.position(&["one".into()]).unwrap(), Position { line: 3 - 1, column: 6 });
    }

    #[test]
    fn what_json_can_not_hold_is_refused_with_its_place() {
        assert_eq!(refused("a: 1\nb: 2\na: 3"), "line 3, column 1: the key `a` stands here a second time");
        assert_eq!(refused("a:\n  1: x"), "line 2, column 3: a key is text: write \"1\" in quotes");
        assert_eq!(refused("a:\n  true: x"), "line 2, column 3: a key is text: write \"true\" in quotes");
        assert_eq!(refused("a: .nan"), "line 1, column 4: `.nan` is no number that JSON can hold");
        assert_eq!(refused("a: [.inf]"), "line 1, column 5: `.inf` is no number that JSON can hold");
        assert!(refused("? [a]\n: b").contains("a key is text"));
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        assert!(refused("a: [1, 2\nb: 3").starts_with("line "), "{}", refused("a: [1, 2\nb: 3"));
        assert!(refused("a: b: c").starts_with("line 1, "), "{}", refused("a: b: c"));
        assert!(refused("a: 1\n---\nb: 2").contains("a second document"), "{}", refused("a: 1\n---\nb: 2"));
    }

    #[test]
    fn bombs_do_not_go_off() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]";
        assert!(refused(bomb).contains("too large"), "{}", refused(bomb));
        for text in [
            "[".repeat(100_000),
            "[".repeat(65) + &"]".repeat(65),
            "- ".repeat(10_000),
            "{a: ".repeat(10_000),
            "x".repeat(DOCUMENT_LEN_BYTES_MAX + 1),
            "- 1\n".repeat(200_000),
            "a: &a *a".to_owned(),
        ] {
            assert!(Document::parse(&text).is_err(), "{}", shorten(&text, 20));
        }
        assert!(Document::parse(&("[".repeat(60) + &"]".repeat(60))).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_is_read_or_refused(text in r##"([a-c\n :\-\[\]{},&*!|>'"#?%@0-9.]|\PC){0,60}"##) {
            if let Err(problem) = Document::parse(&text) {
                prop_assert!(!problem.to_string().contains('\n'));
            }
        }
    }
}
