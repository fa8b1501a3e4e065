//! Which values an expression looks at, for whoever shows why it decided as it did.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::tree::{Binary, Node, Root};
use super::{KeysRead, Reads, Scope};
use crate::attempt::ContextData;
use crate::json::Json;
use crate::problem::one_line;

/// The longest text of a value that is shown, in characters.
const VALUE_LEN_CHARS_MAX: usize = 60;

/// The most values that are shown.
const VALUES_MAX: usize = 16;

/// A value that an expression looked at, shortened for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRead {
    /// What it is, such as `context.amount`.
    pub path: String,
    /// What it was, as JSON; `missing` if there was none.
    pub value: String,
}

impl fmt::Display for ValueRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.path, self.value)
    }
}

/// Collects what a tree reads.
pub(super) fn collect(root: &Node) -> Reads {
    let mut reads = Reads::default();
    visit(root, &mut reads);
    reads
}

fn visit(node: &Node, reads: &mut Reads) {
    match node {
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Double(_) | Node::Text(_) => {}
        Node::Root(root) => reads.note(*root, None),
        Node::Field { of, name } | Node::Has { of, name } => visit_member(of, Some(name), reads),
        Node::Index { of, key } => visit_keyed(of, key, reads),
        Node::Get { of, key, default } => {
            visit_keyed(of, key, reads);
            if let Some(default) = default {
                visit(default, reads);
            }
        }
        Node::Binary(Binary::In, key, of) => visit_keyed(of, key, reads),
        Node::Not(of) | Node::Negate(of) => visit(of, reads),
        Node::And(left, right) | Node::Or(left, right) | Node::Binary(_, left, right) => {
            visit(left, reads);
            visit(right, reads);
        }
        Node::Choice { condition, then, otherwise } => {
            [condition, then, otherwise].into_iter().for_each(|part| visit(part, reads));
        }
        Node::Call(_, nodes) | Node::List(nodes) => nodes.iter().for_each(|node| visit(node, reads)),
        Node::Object(entries) => entries.iter().for_each(|(key, value)| {
            visit(key, reads);
            visit(value, reads);
        }),
    }
}

fn visit_keyed(of: &Node, key: &Node, reads: &mut Reads) {
    visit(key, reads);
    let name = if let Node::Text(name) = key { Some(name.as_str()) } else { None };
    visit_member(of, name, reads);
}

fn visit_member(of: &Node, name: Option<&str>, reads: &mut Reads) {
    match of {
        Node::Root(root) => reads.note(*root, name),
        deeper => visit(deeper, reads),
    }
}

impl Reads {
    fn note(&mut self, root: Root, key: Option<&str>) {
        let keys = match root {
            Root::Result => {
                self.result = true;
                return;
            }
            Root::Context => &mut self.context,
            Root::Metadata => &mut self.metadata,
            Root::Instance => &mut self.instance,
        };
        match (keys, key) {
            (KeysRead::Only(names), Some(key)) => {
                names.insert(key.to_owned());
            }
            (keys, None) => *keys = KeysRead::All,
            (KeysRead::All, Some(_)) => {}
        }
    }
}

/// Looks the values up, at most [`VALUES_MAX`], each shortened.
pub(super) fn values_read(reads: &Reads, scope: &Scope<'_>) -> Vec<ValueRead> {
    let mut values = Vec::new();
    data_read("context", &reads.context, scope.context, &mut values);
    if reads.result {
        values.push(ValueRead { path: "result".to_owned(), value: shown(scope.result) });
    }
    data_read("metadata", &reads.metadata, scope.metadata, &mut values);
    let facts = super::datum::facts_object(scope.instance);
    for (name, value) in facts.iter().filter(|(name, _)| reads.instance.has(name)) {
        values.push(ValueRead {
            path: format!("instance.{name}"),
            value: one_line(&value.to_string(), VALUE_LEN_CHARS_MAX),
        });
    }
    values.truncate(VALUES_MAX);
    values
}

impl KeysRead {
    /// Tells whether a key is among them.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(key),
            Self::All => true,
        }
    }
}

fn data_read(root: &str, keys: &KeysRead, data: &ContextData, values: &mut Vec<ValueRead>) {
    let mut push = |key: &str, json: Option<&Json>| {
        values.push(ValueRead { path: one_line(&format!("{root}.{key}"), VALUE_LEN_CHARS_MAX), value: shown(json) });
    };
    match keys {
        KeysRead::Only(names) => names.iter().take(VALUES_MAX).for_each(|key| push(key, data.get(key.as_str()))),
        KeysRead::All => data.iter().take(VALUES_MAX).for_each(|(key, json)| push(key.as_str(), Some(json))),
    }
}

fn shown(json: Option<&Json>) -> String {
    json.map_or_else(|| "missing".to_owned(), |json| one_line(json.text(), VALUE_LEN_CHARS_MAX))
}
