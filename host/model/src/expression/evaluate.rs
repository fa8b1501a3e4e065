//! Evaluates a tree, counting its work.
//!
//! Never panics: arithmetic is checked, indices are looked up. Recurses at most as deep as the tree has nodes, and over
//! values at most as deep as documents nest.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::compute::{arithmetic, convert, depth, does_not_take, extreme, negate};
use super::datum::{Datum, facts_object};
use super::tree::{Binary, Function, Node, Root};
use super::{EVALUATION_BYTES_MAX, Scope};
use crate::json::{JSON_DEPTH_MAX, Json};

/// What a value costs beside its text, in bytes.
const VALUE_BYTES: usize = 32;

/// Why there is no value, in plain words.
type Outcome<T> = Result<T, String>;

/// One evaluation of one expression.
pub(super) struct Evaluation<'a> {
    scope: Scope<'a>,
    bytes_left: usize,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(scope: Scope<'a>) -> Self {
        Self { scope, bytes_left: EVALUATION_BYTES_MAX }
    }

    pub(super) fn run(&mut self, node: &'a Node) -> Outcome<Datum<'a>> {
        match node {
            Node::Null => Ok(Datum::Null),
            Node::Bool(value) => Ok(Datum::Bool(*value)),
            Node::Int(value) => Ok(Datum::Int(*value)),
            Node::Double(value) => Ok(Datum::Double(*value)),
            Node::Text(text) => Ok(Datum::Text(Cow::Borrowed(text))),
            Node::Root(root) => Ok(self.root(*root)),
            Node::Field { of, name } => Ok(self.run(of)?.member(name)?.unwrap_or(Datum::Null)),
            Node::Index { of, key } => self.index(of, key),
            Node::Get { of, key, default } => self.get(of, key, default.as_deref()),
            Node::Has { of, name } => self.has(of, name),
            Node::Not(of) => Ok(Datum::Bool(!self.truth(of, "!")?)),
            Node::Negate(of) => negate(&self.run(of)?),
            Node::And(left, right) => self.logical(left, right, false).map(Datum::Bool),
            Node::Or(left, right) => self.logical(left, right, true).map(Datum::Bool),
            Node::Choice { condition, then, otherwise } => {
                let chosen = if self.truth(condition, "?")? { then } else { otherwise };
                self.run(chosen)
            }
            Node::Binary(binary, left, right) => {
                let (left, right) = (self.run(left)?, self.run(right)?);
                self.binary(*binary, left, right)
            }
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::List(nodes) => {
                let items = nodes.iter().map(|node| self.value(node)).collect::<Outcome<Vec<Value>>>()?;
                Ok(Datum::List(Cow::Owned(items)))
            }
            Node::Object(entries) => self.object(entries),
        }
    }

    /// Turns a result into a document.
    pub(super) fn finish(mut self, datum: Datum<'_>) -> Outcome<Json> {
        let value = self.materialize(datum)?;
        if depth(&value) > JSON_DEPTH_MAX {
            return Err(format!("the value nests deeper than {JSON_DEPTH_MAX}"));
        }
        Ok(value.into())
    }

    fn root(&self, root: Root) -> Datum<'a> {
        match root {
            Root::Context => Datum::Data(self.scope.context),
            Root::Metadata => Datum::Data(self.scope.metadata),
            Root::Result => self.scope.result.map_or(Datum::Null, |json| Datum::borrowed(json.tree())),
            Root::Instance => Datum::Facts(self.scope.instance),
        }
    }

    /// Counts work, and ends an evaluation that takes too much.
    fn charge(&mut self, bytes: usize) -> Outcome<()> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(format!("the values are too large: more than {} MiB in all", EVALUATION_BYTES_MAX >> 20)),
        }
    }

    fn index(&mut self, of: &'a Node, key: &'a Node) -> Outcome<Datum<'a>> {
        let of = self.run(of)?;
        match self.run(key)? {
            Datum::Text(key) => Ok(of.member(&key)?.unwrap_or(Datum::Null)),
            Datum::Int(index) => of.item(index),
            other => Err(format!("{} is no key and no index", other.describe())),
        }
    }

    fn get(&mut self, of: &'a Node, key: &'a Node, default: Option<&'a Node>) -> Outcome<Datum<'a>> {
        let of = self.run(of)?;
        let Datum::Text(key) = self.run(key)? else { return Err("the key of `get` is a string".to_owned()) };
        match (of.member(&key)?, default) {
            (Some(found), _) => Ok(found),
            (None, Some(default)) => self.run(default),
            (None, None) => Ok(Datum::Null),
        }
    }

    fn has(&mut self, of: &'a Node, name: &str) -> Outcome<Datum<'a>> {
        match self.run(of)? {
            Datum::Null => Ok(Datum::Bool(false)),
            of => Ok(Datum::Bool(of.member(name)?.is_some())),
        }
    }

    fn truth(&mut self, node: &'a Node, sign: &str) -> Outcome<bool> {
        match self.run(node)? {
            Datum::Bool(value) => Ok(value),
            other => Err(format!("`{sign}` takes true or false, not {}", other.describe())),
        }
    }

    /// `&&` and `||`: `decisive` on either side decides, even if the other side is an error, as CEL has it.
    fn logical(&mut self, left: &'a Node, right: &'a Node, decisive: bool) -> Outcome<bool> {
        let sign = if decisive { "||" } else { "&&" };
        let left = self.truth(left, sign);
        if left == Ok(decisive) {
            return left;
        }
        let right = self.truth(right, sign);
        if right == Ok(decisive) { right } else { left.and(right) }
    }

    fn binary(&mut self, binary: Binary, left: Datum<'a>, right: Datum<'a>) -> Outcome<Datum<'a>> {
        match binary {
            Binary::Equal => Ok(Datum::Bool(self.equal(left, right)?)),
            Binary::NotEqual => Ok(Datum::Bool(!self.equal(left, right)?)),
            Binary::Less => self.ordered(binary, &left, &right, Ordering::is_lt),
            Binary::LessEqual => self.ordered(binary, &left, &right, Ordering::is_le),
            Binary::Greater => self.ordered(binary, &left, &right, Ordering::is_gt),
            Binary::GreaterEqual => self.ordered(binary, &left, &right, Ordering::is_ge),
            Binary::In => self.is_in(&left, right).map(Datum::Bool),
            Binary::Add => self.add(left, right),
            Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                arithmetic(binary, &left, &right)
            }
        }
    }

    fn ordered(
        &mut self,
        binary: Binary,
        left: &Datum<'_>,
        right: &Datum<'_>,
        holds: fn(Ordering) -> bool,
    ) -> Outcome<Datum<'a>> {
        if let (Datum::Text(left), Datum::Text(right)) = (left, right) {
            self.charge(left.len().min(right.len()))?;
        }
        left.order(right).map(|order| Datum::Bool(holds(order))).ok_or_else(|| {
            let (left, sign, right) = (left.describe(), binary.sign(), right.describe());
            format!("`{sign}` takes two numbers or two strings, not {left} and {right}")
        })
    }

    fn equal(&mut self, left: Datum<'_>, right: Datum<'_>) -> Outcome<bool> {
        match (&left, &right) {
            (Datum::Null, Datum::Null) => Ok(true),
            (Datum::List(left), Datum::List(right)) => self.equal_lists(left, right),
            (Datum::Object(left), Datum::Object(right)) => self.equal_objects(left, right),
            (Datum::Data(_) | Datum::Facts(_), Datum::Object(_) | Datum::Data(_) | Datum::Facts(_))
            | (Datum::Object(_), Datum::Data(_) | Datum::Facts(_)) => {
                let (left, right) = (self.materialize(left)?, self.materialize(right)?);
                self.equal_values(&left, &right)
            }
            (Datum::Text(left), Datum::Text(right)) => {
                self.charge(left.len().min(right.len()))?;
                Ok(left == right)
            }
            _ => Ok(left.order(&right) == Some(Ordering::Equal)),
        }
    }

    fn equal_values(&mut self, left: &Value, right: &Value) -> Outcome<bool> {
        self.charge(VALUE_BYTES)?;
        self.equal(Datum::borrowed(left), Datum::borrowed(right))
    }

    fn equal_lists(&mut self, left: &[Value], right: &[Value]) -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (left, right) in left.iter().zip(right) {
            if !self.equal_values(left, right)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_objects(&mut self, left: &Map<String, Value>, right: &Map<String, Value>) -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (key, left) in left {
            self.charge(key.len())?;
            match right.get(key) {
                Some(right) if self.equal_values(left, right)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn is_in(&mut self, needle: &Datum<'_>, hay: Datum<'a>) -> Outcome<bool> {
        match (hay, needle) {
            (Datum::List(items), _) => {
                for item in items.iter() {
                    self.charge(VALUE_BYTES)?;
                    if self.equal(needle.reborrowed(), Datum::borrowed(item))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (hay @ (Datum::Object(_) | Datum::Data(_) | Datum::Facts(_)), Datum::Text(key)) => {
                Ok(hay.member(key)?.is_some())
            }
            (hay, _) => Err(format!(
                "`in` takes a value and a list, or a key and an object, not {} and {}",
                needle.describe(),
                hay.describe()
            )),
        }
    }

    fn add(&mut self, left: Datum<'a>, right: Datum<'a>) -> Outcome<Datum<'a>> {
        match (left, right) {
            (Datum::Text(left), Datum::Text(right)) => {
                self.charge(left.len() + right.len())?;
                Ok(Datum::Text(Cow::Owned(left.into_owned() + &right)))
            }
            (left @ Datum::List(_), right @ Datum::List(_)) => {
                match (self.materialize(left)?, self.materialize(right)?) {
                    (Value::Array(mut left), Value::Array(right)) => {
                        self.charge(VALUE_BYTES * (left.len() + right.len()))?;
                        left.extend(right);
                        Ok(Datum::List(Cow::Owned(left)))
                    }
                    _ => Ok(Datum::Null),
                }
            }
            (left, right) => arithmetic(Binary::Add, &left, &right),
        }
    }

    fn object(&mut self, entries: &'a [(Node, Node)]) -> Outcome<Datum<'a>> {
        let mut object = Map::with_capacity(entries.len());
        for (key, value) in entries {
            let key = match self.run(key)? {
                Datum::Text(key) => key.into_owned(),
                other => return Err(format!("the key of an object is a string, not {}", other.describe())),
            };
            self.charge(key.len())?;
            let value = self.value(value)?;
            if let Some(_twice) = object.insert(key, value) {
                return Err("an object has the same key twice".to_owned());
            }
        }
        Ok(Datum::Object(Cow::Owned(object)))
    }

    fn value(&mut self, node: &'a Node) -> Outcome<Value> {
        let datum = self.run(node)?;
        self.materialize(datum)
    }

    /// Makes a value of its own, copying what was borrowed.
    fn materialize(&mut self, datum: Datum<'_>) -> Outcome<Value> {
        self.charge(VALUE_BYTES)?;
        Ok(match datum {
            Datum::Null => Value::Null,
            Datum::Bool(value) => Value::Bool(value),
            Datum::Int(value) => Value::from(value),
            Datum::Double(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Datum::Text(text) => {
                self.charge(text.len())?;
                Value::String(text.into_owned())
            }
            Datum::List(Cow::Owned(items)) => Value::Array(items),
            Datum::Object(Cow::Owned(entries)) => Value::Object(entries),
            Datum::List(Cow::Borrowed(items)) => {
                items.iter().try_for_each(|item| self.charge_copy(item))?;
                Value::Array(items.to_vec())
            }
            Datum::Object(Cow::Borrowed(entries)) => {
                entries
                    .iter()
                    .try_for_each(|(key, value)| self.charge(key.len()).and_then(|()| self.charge_copy(value)))?;
                Value::Object(entries.clone())
            }
            Datum::Data(data) => {
                let mut entries = Map::with_capacity(data.len());
                for (key, json) in data {
                    self.charge(key.as_str().len())?;
                    self.charge_copy(json.tree())?;
                    entries.insert(key.as_str().to_owned(), json.tree().clone());
                }
                Value::Object(entries)
            }
            Datum::Facts(facts) => Value::Object(facts_object(facts)),
        })
    }

    fn charge_copy(&mut self, value: &Value) -> Outcome<()> {
        self.charge(VALUE_BYTES)?;
        match value {
            Value::String(text) => self.charge(text.len()),
            Value::Array(items) => items.iter().try_for_each(|item| self.charge_copy(item)),
            Value::Object(entries) => entries
                .iter()
                .try_for_each(|(key, value)| self.charge(key.len()).and_then(|()| self.charge_copy(value))),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Node]) -> Outcome<Datum<'a>> {
        let mut values = arguments.iter().map(|argument| self.run(argument)).collect::<Outcome<Vec<_>>>()?;
        if let (Function::Min | Function::Max, [Datum::List(items)]) = (function, values.as_slice()) {
            items.iter().try_for_each(|item| self.charge_copy(item))?;
            values = items.iter().cloned().map(Datum::owned).collect();
        }
        match (function, values.as_slice()) {
            (Function::Size, [of]) => self.size(of),
            (
                Function::Contains | Function::StartsWith | Function::EndsWith,
                [Datum::Text(text), Datum::Text(part)],
            ) => {
                self.charge(text.len() + part.len())?;
                Ok(Datum::Bool(match function {
                    Function::Contains => text.contains(part.as_ref()),
                    Function::StartsWith => text.starts_with(part.as_ref()),
                    _ => text.ends_with(part.as_ref()),
                }))
            }
            (Function::Int | Function::Double | Function::Text | Function::Bool, [of]) => convert(function, of),
            (Function::Min, values) => extreme(values, Ordering::Less, function),
            (Function::Max, values) => extreme(values, Ordering::Greater, function),
            (_, values) => Err(does_not_take(function, values)),
        }
    }

    fn size(&mut self, of: &Datum<'_>) -> Outcome<Datum<'a>> {
        let size = match of {
            Datum::Text(text) => {
                self.charge(text.len())?;
                text.chars().count()
            }
            Datum::List(items) => items.len(),
            Datum::Object(entries) => entries.len(),
            Datum::Data(data) => data.len(),
            other => return Err(does_not_take(Function::Size, std::slice::from_ref(other))),
        };
        i64::try_from(size).map(Datum::Int).map_err(|_| "this is too large to count".to_owned())
    }
}
