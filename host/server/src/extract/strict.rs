//! Looks through a JSON text for what most readers silently take: keys that stand twice, and nesting without end.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use stepcell_model::json::JSON_DEPTH_MAX;

/// The key that the JSON library keeps for itself: a text under it would be read as something else.
const RESERVED: &str = "$serde_json::private::RawValue";

/// Checks that a text is one JSON value in which no object has a key twice, and no deeper than the engine reads.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Look { depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

#[derive(Clone, Copy)]
struct Look {
    depth: usize,
}

impl Look {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth < JSON_DEPTH_MAX {
            return Ok(Self { depth: self.depth + 1 });
        }
        Err(E::custom(format!("arrays and objects nest deeper than {JSON_DEPTH_MAX}; flatten the value")))
    }
}

impl<'de> DeserializeSeed<'de> for Look {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut seen = HashSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            if key == RESERVED {
                return Err(A::Error::custom("an object has a key that is reserved"));
            }
            if seen.contains(&key) {
                let key: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format!("an object has the key `{key}` twice; leave one of them out")));
            }
            seen.insert(key);
            fields.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_readers_take_is_refused() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for (text, why) in [
            (r#"{"a": 1, "a": 2}"#, "the key `a` twice"),
            (r#"{"a": {"b": 1, "\u0062": 2}}"#, "the key `b` twice"),
            (deep.as_str(), "deeper than 64"),
            ("{} {}", "trailing"),
            (r#"{"$serde_json::private::RawValue": "1"}"#, "reserved"),
            ("", "EOF"),
        ] {
            let told = check(text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn any_plain_value_passes() {
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        for text in ["null", "1e308", "-7", r#""é""#, r#"{"a": [{"a": 1}, {"a": true}]}"#, deep.as_str()] {
            check(text).unwrap();
        }
    }
}
