//! Bounds what a check can cost before a schema is compiled.
//!
//! Schemas refer to each other and to themselves. Forty definitions that each name the next one twice make 2^40 checks
//! of one value, and a schema that meets itself twice a level makes 2^64 of a deep one. So the checks that one value
//! can meet are counted, level by level down to the deepest document, and too many are refused. References that can not
//! be followed here are refused as well.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::SchemaError;
use crate::json::JSON_DEPTH_MAX;
use crate::problem::one_line;

/// The most schemas that a value and what it is inside of may be checked against on the way down to it.
const CHECKS_MAX: u64 = 20_000;

/// How many schemas may be at work inside one another; protects the stack of whoever checks.
const CHAIN_LEN_MAX: u64 = 300;

/// Keywords whose schemas see the same value.
const SAME_VALUE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// Keywords whose schemas see what is inside the value: each key or place has one of its own.
const INSIDE_APART: [&str; 3] = ["properties", "prefixItems", "items"];

/// Keywords whose schemas see what is inside the value: all of them may meet at one key or place.
const INSIDE_TOGETHER: [&str; 7] = [
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "additionalItems",
    "unevaluatedItems",
    "contains",
];

/// What one schema can cost for a value that nests so and so deep.
#[derive(Clone, Copy)]
struct Cost {
    checks: u64,
    chain: u64,
}

/// Refuses a schema whose checks could take too long.
pub(super) fn bound(root: &Value) -> Result<(), SchemaError> {
    let nodes = reachable(root)?;
    let mut below: HashMap<*const Value, Cost> = HashMap::new();
    for _level in 0..=JSON_DEPTH_MAX {
        let mut level = Level { root, below: &below, here: HashMap::with_capacity(nodes.len()) };
        for node in &nodes {
            level.cost(node, 0)?;
        }
        below = level.here;
    }
    Ok(())
}

/// Finds every schema that a check can come to.
fn reachable(root: &Value) -> Result<Vec<&Value>, SchemaError> {
    let (mut found, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![root]);
    while let Some(node) = open.pop() {
        if !seen.insert(std::ptr::from_ref(node)) {
            continue;
        }
        if node.get("$id").is_some() && !std::ptr::eq(node, root) {
            return Err(refusal("only a schema as a whole can have an `$id`"));
        }
        found.push(node);
        open.extend(references(root, node)?);
        for keyword in SAME_VALUE.iter().chain(&INSIDE_APART).chain(&INSIDE_TOGETHER) {
            open.extend(schemas(node, keyword));
        }
    }
    Ok(found)
}

struct Level<'s> {
    root: &'s Value,
    below: &'s HashMap<*const Value, Cost>,
    here: HashMap<*const Value, Cost>,
}

impl Level<'_> {
    fn cost(&mut self, node: &Value, outer: u64) -> Result<Cost, SchemaError> {
        if let Some(known) = self.here.get(&std::ptr::from_ref(node)) {
            return Ok(*known);
        }
        // A schema that comes back to itself at the same value ends here too.
        if outer > CHAIN_LEN_MAX {
            return Err(refusal("schemas refer to one another without an end, or too deep"));
        }
        let mut cost = Cost { checks: 1, chain: 0 };
        for inner in references(self.root, node)? {
            cost.add(self.cost(inner, outer + 1)?);
        }
        for inner in SAME_VALUE.iter().flat_map(|keyword| schemas(node, keyword)) {
            cost.add(self.cost(inner, outer + 1)?);
        }
        for keyword in INSIDE_APART {
            let costs = schemas(node, keyword).into_iter().filter_map(|inner| self.inside(inner));
            let worst = costs.reduce(|left, right| Cost {
                checks: left.checks.max(right.checks),
                chain: left.chain.max(right.chain),
            });
            worst.into_iter().for_each(|worst| cost.add(worst));
        }
        for inner in INSIDE_TOGETHER.iter().flat_map(|keyword| schemas(node, keyword)) {
            self.inside(inner).into_iter().for_each(|inner| cost.add(inner));
        }
        if node.get("unevaluatedProperties").or_else(|| node.get("unevaluatedItems")).is_some() {
            // What the other keywords have looked at is found out by asking them again.
            cost.checks = cost.checks.saturating_mul(2);
        }
        cost.chain += 1;
        if cost.checks > CHECKS_MAX || cost.chain > CHAIN_LEN_MAX {
            return Err(refusal("the schema refers to itself so often that a check could take forever"));
        }
        self.here.insert(std::ptr::from_ref(node), cost);
        Ok(cost)
    }

    fn inside(&self, node: &Value) -> Option<Cost> {
        self.below.get(&std::ptr::from_ref(node)).copied()
    }
}

impl Cost {
    fn add(&mut self, inner: Self) {
        self.checks = self.checks.saturating_add(inner.checks);
        self.chain = self.chain.max(inner.chain);
    }
}

fn refusal(reason: &str) -> SchemaError {
    SchemaError::Malformed { pointer: String::new(), reason: reason.to_owned() }
}

/// The schemas under a keyword, be it one, a list or an object of them.
fn schemas<'s>(node: &'s Value, keyword: &str) -> Vec<&'s Value> {
    let one_schema = matches!(
        keyword,
        "not"
            | "if"
            | "then"
            | "else"
            | "items"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "propertyNames"
            | "additionalItems"
            | "unevaluatedItems"
            | "contains"
    );
    match node.get(keyword) {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Object(entries)) if !one_schema => entries.values().collect(),
        Some(schema @ Value::Object(_)) => vec![schema],
        _ => Vec::new(),
    }
}

/// The schemas that a schema refers to.
fn references<'s>(root: &'s Value, node: &Value) -> Result<Vec<&'s Value>, SchemaError> {
    let keywords = ["$ref", "$dynamicRef", "$recursiveRef"].into_iter();
    let targets = keywords.filter_map(|keyword| node.get(keyword).and_then(Value::as_str));
    targets.map(|target| find(root, target)).collect()
}

fn find<'s>(root: &'s Value, target: &str) -> Result<&'s Value, SchemaError> {
    let pointer = target.strip_prefix('#').map(percent_decoded);
    let found = pointer.and_then(|pointer| root.pointer(&pointer));
    found.ok_or_else(|| SchemaError::Reference {
        reason: format!("`{}` is not in this schema (such as `#/$defs/name` is)", one_line(target, 80)),
    })
}

/// Pointers in references may have their characters escaped as addresses do.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
