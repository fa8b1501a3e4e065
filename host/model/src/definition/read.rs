//! Reads a value into a type and reports every mistake in it, not only the first.
//!
//! Serde stops at its first error. So what it stumbled over is noted, taken out, and the rest tried again. A mistake
//! inside a tagged enum is reported at the enum as a whole: serde does not say where in it; read such parts one by one.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problem::{PROBLEMS_MAX, PathPart, did_you_mean, shorten};

/// How often a value is tried: a wrong field that is required costs two, itself and what is then missing.
const TRIES_MAX: usize = 2 * PROBLEMS_MAX;

/// A mistake at a path, whose place in the text is yet to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is meant, from the document's root.
    pub path: Vec<PathPart>,
    /// What is wrong with it.
    pub message: String,
}

/// Reads `value`, which stands at `path` of its document, and adds to `findings` what is wrong with it.
///
/// Returns what could be read once everything wrong was left out; nothing if a required part is missing or wrong.
/// Whoever wants all or nothing looks whether findings were added.
pub fn read_all<T: DeserializeOwned>(value: Value, path: &[PathPart], findings: &mut Vec<Finding>) -> Option<T> {
    let mut reading = Reading { value, removed: BTreeSet::new() };
    for _ in 0..TRIES_MAX {
        let error = match serde_path_to_error::deserialize(&reading.value) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let mistake = Mistake::from_text(&error.inner().to_string());
        let culprit = reading.culprit(error.path(), &mistake);
        if !reading.is_our_doing(&culprit, &mistake) {
            let mut full = path.to_vec();
            full.extend(reading.original(&culprit));
            findings.push(Finding { path: full, message: mistake.message() });
        }
        if findings.len() >= PROBLEMS_MAX || !reading.remove(culprit, &mistake) {
            return None;
        }
    }
    None
}

/// A value from which mistakes are taken out.
struct Reading {
    value: Value,
    /// Paths in the value as it was.
    removed: BTreeSet<Vec<PathPart>>,
}

impl Reading {
    /// Finds what an error is about, as a path in the value as it is now.
    fn culprit(&self, path: &serde_path_to_error::Path, mistake: &Mistake) -> Vec<PathPart> {
        let mut culprit = Vec::new();
        let mut value = &self.value;
        for segment in path {
            let (part, inside) = match segment {
                Segment::Seq { index } => (PathPart::Index(*index), value.get(index)),
                Segment::Map { key } => (PathPart::Key(key.clone()), value.get(key)),
                Segment::Enum { .. } | Segment::Unknown => break,
            };
            let Some(inside) = inside else { break };
            value = inside;
            culprit.push(part);
        }
        match mistake {
            Mistake::Missing { field } => culprit.push(PathPart::Key(field.clone())),
            Mistake::UnknownField { field, .. } if value.get(field).is_some() => {
                culprit.push(PathPart::Key(field.clone()));
            }
            Mistake::UnknownField { .. } | Mistake::Other { .. } => {}
        }
        culprit
    }

    /// Tells whether a part is only missing because it was taken out.
    fn is_our_doing(&self, culprit: &[PathPart], mistake: &Mistake) -> bool {
        matches!(mistake, Mistake::Missing { .. }) && self.removed.contains(&self.original(culprit))
    }

    /// Translates a path in the value as it is now to one in the value as it was: items of lists have moved up.
    fn original(&self, path: &[PathPart]) -> Vec<PathPart> {
        let mut original = Vec::with_capacity(path.len());
        for part in path {
            let part = match part {
                PathPart::Key(key) => PathPart::Key(key.clone()),
                PathPart::Index(index) => PathPart::Index(self.original_index(&original, *index)),
            };
            original.push(part);
        }
        original
    }

    fn original_index(&self, list: &[PathPart], index: usize) -> usize {
        let mut original = index;
        // In rising order, as the set is sorted.
        for removed in self.removed.iter().filter(|path| path.len() == list.len() + 1 && path.starts_with(list)) {
            if removed.last().is_some_and(|last| *last <= PathPart::Index(original)) {
                original += 1;
            }
        }
        original
    }

    /// Takes the culprit out; for a missing field that is what it is missing from. False if nothing would be left.
    fn remove(&mut self, mut culprit: Vec<PathPart>, mistake: &Mistake) -> bool {
        if matches!(mistake, Mistake::Missing { .. }) {
            culprit.pop();
        }
        let original = self.original(&culprit);
        let Some(last) = culprit.pop() else { return false };
        let mut parent = &mut self.value;
        for part in &culprit {
            let inside = match part {
                PathPart::Key(key) => parent.get_mut(key),
                PathPart::Index(index) => parent.get_mut(index),
            };
            let Some(inside) = inside else { return false };
            parent = inside;
        }
        let removed = match (parent, &last) {
            (Value::Object(entries), PathPart::Key(key)) => entries.shift_remove(key).is_some(),
            (Value::Array(items), PathPart::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        };
        self.removed.insert(original);
        removed
    }
}

/// What serde complained about.
enum Mistake {
    Missing { field: String },
    UnknownField { field: String, known: Vec<String> },
    Other { message: String },
}

impl Mistake {
    /// Reads the texts that serde's derived code makes: they are all there is, and have not changed in years.
    fn from_text(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix("missing field ") {
            return Self::Missing { field: unquoted(rest).to_owned() };
        }
        if let Some((field, known)) = split_unknown(text, "unknown field `") {
            return Self::UnknownField { field, known };
        }
        Self::Other { message: plain(text) }
    }

    fn message(&self) -> String {
        match self {
            Self::Missing { .. } => "this is required and is missing".to_owned(),
            Self::UnknownField { field, known } if known.is_empty() => {
                format!("unknown field `{}`; this takes none", shorten(field, 80))
            }
            Self::UnknownField { field, known } => {
                let meant = did_you_mean(field, known.iter().map(String::as_str));
                format!("unknown field `{}`; this takes {}{meant}", shorten(field, 80), known.join(", "))
            }
            Self::Other { message } => message.clone(),
        }
    }
}

/// Puts what is no unknown or missing field into plain words.
fn plain(text: &str) -> String {
    if let Some((variant, known)) = split_unknown(text, "unknown variant `") {
        let meant = did_you_mean(&variant, known.iter().map(String::as_str));
        return format!("`{}` is not known here; this takes {}{meant}", shorten(&variant, 80), known.join(", "));
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = text.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            return format!("expected {}, found {}", plain_expected(expected), plain_found(found));
        }
    }
    if text.starts_with("invalid length ") && text.contains("expected struct ") {
        return "expected an object, found a list".to_owned();
    }
    shorten(text, 300)
}

/// Splits serde's "unknown … `x`, expected one of `a`, `b`" into `x` and the list.
fn split_unknown(text: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let rest = text.strip_prefix(prefix)?;
    let (name, expected) = rest.split_once("`, expected ").or_else(|| rest.split_once("`, there are no "))?;
    Some((name.to_owned(), expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('`')
}

fn plain_expected(expected: &str) -> String {
    match expected {
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number from 0".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other if other.starts_with("tuple ") || other.starts_with("an array ") => "a list".to_owned(),
        other => other.to_owned(),
    }
}

fn plain_found(found: &str) -> String {
    match found.split_once(' ').unwrap_or((found, "")) {
        ("string", _) => "a string".to_owned(),
        ("integer", number) => format!("the number {}", unquoted(number)),
        ("floating", number) => format!("the number {}", unquoted(number.trim_start_matches("point "))),
        ("boolean", value) => unquoted(value).to_owned(),
        ("map", _) => "an object".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("null" | "unit", _) => "null".to_owned(),
        _ => shorten(found, 80),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::name::StepName;
    use crate::problem::display_path;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        name: StepName,
        amount: u32,
        #[serde(default)]
        open: bool,
        #[serde(default)]
        lines: Vec<Line>,
        #[serde(default)]
        by_day: BTreeMap<String, Line>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        title: String,
        #[serde(default)]
        price: f64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Small,
        Large,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Empty {}

    fn read<T: DeserializeOwned>(value: Value) -> (Option<T>, Vec<String>) {
        let mut findings = Vec::new();
        let read = read_all(value, &["order".into()], &mut findings);
        (read, findings.iter().map(|found| format!("{}: {}", display_path(&found.path), found.message)).collect())
    }

    #[test]
    fn a_value_without_mistakes_is_read() {
        let (order, found) = read::<Order>(json!({"name": "a", "amount": 1, "lines": [{"title": "x"}]}));

        assert_eq!(order.unwrap().lines, [Line { title: "x".into(), price: 0.0 }]);
        assert!(found.is_empty());
    }

    #[test]
    fn every_mistake_is_reported_with_its_path() {
        let (order, found) = read::<Order>(json!({
            "name": "9 lives", "amonut": 7, "open": "yes", "kind": "smal",
            "lines": [{"title": 5}, {"title": "good"}, {"price": "x", "titel": "y"}, 7, {"title": "z", "price": []}],
            "by_day": {"mon": {"title": "t", "x": 1}},
        }));

        assert_eq!(order, None);
        let mut sorted = found;
        sorted.sort();
        insta::assert_snapshot!(sorted.join("\n"), @r"
order.amonut: unknown field `amonut`; this takes name, amount, open, lines, by_day, kind; did you mean `amount`?
order.by_day.mon.x: unknown field `x`; this takes title, price
order.kind: `smal` is not known here; this takes small, large; did you mean `small`?
order.lines[0].title: expected a string, found the number 5
order.lines[2].price: expected a number, found a string
order.lines[2].titel: unknown field `titel`; this takes title, price; did you mean `title`?
order.lines[2].title: this is required and is missing
order.lines[3]: expected an object, found the number 7
order.lines[4].price: expected a number, found a list
order.name: `9 lives` can not be a step's name: it begins with a letter or `_`, goes on with letters, digits, `_` or `-`, and has at most 64 characters
order.open: expected true or false, found a string
");
    }

    #[test]
    fn what_is_right_is_read_although_something_beside_it_is_wrong() {
        let (order, found) = read::<Order>(json!({"name": "a", "amount": 1, "open": 3, "lines": [{}, {"title": "x"}]}));

        assert_eq!(order.unwrap().lines.len(), 1);
        assert_eq!(
            found,
            [
                "order.open: expected true or false, found the number 3",
                "order.lines[0].title: this is required and is missing"
            ]
        );
    }

    #[test]
    fn a_value_that_is_wrong_as_a_whole_says_so_once() {
        assert_eq!(read::<Order>(json!([])).1, ["order: expected an object, found a list"]);
        assert_eq!(read::<Order>(json!("x")).1, ["order: expected an object, found a string"]);
        assert_eq!(read::<Empty>(json!({"a": 1})).1, ["order.a: unknown field `a`; this takes none"]);
        assert_eq!(
            read::<Line>(json!({"title": "a", "pric": 1})).1,
            ["order.pric: unknown field `pric`; this takes title, price; did you mean `price`?"]
        );
        assert_eq!(read::<Kind>(json!("`, expected `x")).1.len(), 1);
    }

    #[test]
    fn a_thousand_mistakes_end_after_a_hundred() {
        let lines = vec![json!({"title": 1}); 1000];

        assert_eq!(read::<Order>(json!({"name": "a", "amount": 1, "lines": lines})).1.len(), PROBLEMS_MAX);
    }
}
