//! Reads JSON, into a tree or only to check it.
//!
//! serde_json's own `Value` reads an object with one certain key as the JSON in that key's text. So a text could hold a
//! document that is another one once it is read, and nests as deep as it likes: such a key is refused here.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// The key that serde_json keeps for itself.
const RESERVED: &str = "$serde_json::private::RawValue";

/// A JSON value as a tree.
pub(super) struct Tree(pub(super) Value);

/// A JSON value that was read and not kept.
pub(super) struct Checked;

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(Keep))
    }
}

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(Drop))
    }
}

/// What becomes of what is read.
trait Hold: Copy {
    type Held;
    type List: Default;
    type Fields: Default;

    fn one(self, value: impl FnOnce() -> Value) -> Self::Held;
    fn add(self, list: &mut Self::List, item: Self::Held);
    fn insert(self, fields: &mut Self::Fields, key: String, value: Self::Held);
    fn list(self, list: Self::List) -> Self::Held;
    fn fields(self, fields: Self::Fields) -> Self::Held;
}

/// It becomes a tree.
#[derive(Clone, Copy)]
struct Keep;

/// Nothing of it is kept.
#[derive(Clone, Copy)]
struct Drop;

impl Hold for Keep {
    type Held = Tree;
    type List = Vec<Value>;
    type Fields = Map<String, Value>;

    fn one(self, value: impl FnOnce() -> Value) -> Tree {
        Tree(value())
    }

    fn add(self, list: &mut Vec<Value>, Tree(item): Tree) {
        list.push(item);
    }

    fn insert(self, fields: &mut Map<String, Value>, key: String, Tree(value): Tree) {
        fields.insert(key, value);
    }

    fn list(self, list: Vec<Value>) -> Tree {
        Tree(Value::Array(list))
    }

    fn fields(self, fields: Map<String, Value>) -> Tree {
        Tree(Value::Object(fields))
    }
}

impl Hold for Drop {
    type Held = Checked;
    type List = ();
    type Fields = ();

    fn one(self, _: impl FnOnce() -> Value) -> Checked {
        Checked
    }

    fn add(self, (): &mut (), _: Checked) {}

    fn insert(self, (): &mut (), _: String, _: Checked) {}

    fn list(self, (): ()) -> Checked {
        Checked
    }

    fn fields(self, (): ()) -> Checked {
        Checked
    }
}

/// Reads any value.
#[derive(Clone, Copy)]
struct Reader<H>(H);

impl<'de, H: Hold> DeserializeSeed<'de> for Reader<H> {
    type Value = H::Held;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<H::Held, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, H: Hold> Visitor<'de> for Reader<H> {
    type Value = H::Held;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<H::Held, E> {
        Ok(self.0.one(|| value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<H::Held, E> {
        Ok(self.0.one(|| value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<H::Held, E> {
        Ok(self.0.one(|| value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<H::Held, E> {
        let number = Number::from_i128(value).ok_or_else(|| E::custom("JSON number out of range"))?;
        Ok(self.0.one(|| number.into()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<H::Held, E> {
        let number = Number::from_u128(value).ok_or_else(|| E::custom("JSON number out of range"))?;
        Ok(self.0.one(|| number.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<H::Held, E> {
        Ok(self.0.one(|| value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<H::Held, E> {
        Ok(self.0.one(|| value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<H::Held, E> {
        Ok(self.0.one(|| value.into()))
    }

    fn visit_none<E>(self) -> Result<H::Held, E> {
        Ok(self.0.one(|| Value::Null))
    }

    fn visit_unit<E>(self) -> Result<H::Held, E> {
        Ok(self.0.one(|| Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<H::Held, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<H::Held, A::Error> {
        let mut list = H::List::default();
        while let Some(item) = items.next_element_seed(self)? {
            self.0.add(&mut list, item);
        }
        Ok(self.0.list(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<H::Held, A::Error> {
        let mut fields = H::Fields::default();
        while let Some(key) = entries.next_key::<String>()? {
            if key == RESERVED {
                return Err(A::Error::custom("an object has a key that is reserved"));
            }
            let value = entries.next_value_seed(self)?;
            self.0.insert(&mut fields, key, value);
        }
        Ok(self.0.fields(fields))
    }
}
