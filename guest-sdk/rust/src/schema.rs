//! The JSON Schema of a step's input and output, as constants that end up inside the component.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use crate::text::Text;

/// A type whose JSON form has a schema. Derive it beside serde's traits.
///
/// The derive reads doc comments as descriptions, and serde's `rename`, `rename_all`, `default`, `skip`, `transparent`
/// and `deny_unknown_fields`. Enums without data become a list of words; enums with data stay open, as anything that
/// serde shapes by `tag`, `untagged`, `with` or `flatten` does. `#[schema(any)]` leaves a field open whose type has no
/// schema. Types that contain themselves need it somewhere in their circle.
///
/// # Examples
/// ```
/// use stepcell_sdk::Schema;
///
/// #[derive(Schema)]
/// #[allow(dead_code)]
/// struct Order {
///     /// What it costs, in cents.
///     price: u32,
///     coupon: Option<String>,
/// }
///
/// let schema: serde_json::Value = serde_json::from_str(stepcell_sdk::schema::of::<Order>().as_str())?;
/// assert_eq!(schema["required"], serde_json::json!(["price"]));
/// assert_eq!(schema["properties"]["price"]["description"], "What it costs, in cents.");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no JSON Schema",
    note = "add `#[derive(stepcell_sdk::Schema)]` to it, or `#[schema(any)]` to the field"
)]
pub trait Schema {
    /// The members of the schema object, without its braces and its description.
    const MEMBERS: Text;

    /// What the type is for; empty where nobody said.
    const DESCRIPTION: &'static str = "";

    /// Whether a field of this type may be left out.
    const IS_OPTIONAL: bool = false;
}

/// The whole schema of a type.
#[must_use]
pub const fn of<T: Schema>() -> Text {
    let mut text = Text::EMPTY;
    push_schema::<T>(&mut text, "");
    text
}

/// Appends the schema of `T`; a description that is not empty goes before the type's own.
pub const fn push_schema<T: Schema>(text: &mut Text, description: &str) {
    let description = if description.is_empty() { T::DESCRIPTION } else { description };
    text.push("{");
    if !description.is_empty() {
        text.push("\"description\":");
        text.push_json_string(description);
    }
    let members = T::MEMBERS;
    if !description.is_empty() && members.len_bytes() > 0 {
        text.push(",");
    }
    text.push_text(&members);
    text.push("}");
}

/// Appends a schema that allows anything.
pub const fn push_any(text: &mut Text, description: &str) {
    push_schema::<Value>(text, description);
}

/// The manifest of a step or gateway: who it is, and what it takes and returns.
#[must_use]
pub const fn manifest<I: Schema, O: Schema>(name: &str, version: &str, summary: &str) -> Text {
    let mut text = Text::EMPTY;
    text.push("{\"name\":");
    text.push_json_string(name);
    text.push(",\"version\":");
    text.push_json_string(version);
    text.push(",\"summary\":");
    text.push_json_string(summary);
    text.push(",\"input_schema\":");
    push_schema::<I>(&mut text, "");
    text.push(",\"output_schema\":");
    push_schema::<O>(&mut text, "");
    text.push("}");
    text
}

const fn literal(members: &str) -> Text {
    let mut text = Text::EMPTY;
    text.push(members);
    text
}

const fn wrapped<T: Schema>(before: &str, after: &str) -> Text {
    let mut text = literal(before);
    push_schema::<T>(&mut text, "");
    text.push(after);
    text
}

macro_rules! literal_schemas {
    ($($members:literal: $($type:ty),+;)+) => {
        $($(impl Schema for $type { const MEMBERS: Text = literal($members); })+)+
    };
}

literal_schemas! {
    "": Value;
    "\"type\":\"null\"": ();
    "\"type\":\"boolean\"": bool;
    "\"type\":\"string\"": String, str, char, Cow<'_, str>;
    "\"type\":\"number\"": f32, f64, serde_json::Number;
    "\"type\":\"integer\"": i8, i16, i32, i64, isize;
    "\"type\":\"integer\",\"minimum\":0": u8, u16, u32, u64, usize;
    "\"type\":\"object\"": Map<String, Value>;
}

macro_rules! wrapped_schemas {
    ($($before:literal, $after:literal: $([$($generics:tt)*] $type:ty),+;)+) => {
        $($(impl<$($generics)*> Schema for $type { const MEMBERS: Text = wrapped::<T>($before, $after); })+)+
    };
}

wrapped_schemas! {
    "\"type\":\"array\",\"items\":", "": [T: Schema] Vec<T>, [T: Schema] [T], [T: Schema, const N: usize] [T; N];
    "\"type\":\"array\",\"uniqueItems\":true,\"items\":", "": [T: Schema] BTreeSet<T>, [T: Schema, S] HashSet<T, S>;
    "\"type\":\"object\",\"additionalProperties\":", "": [T: Schema] BTreeMap<String, T>, [T: Schema, S] HashMap<String, T, S>;
}

impl<T: Schema> Schema for Option<T> {
    const MEMBERS: Text = wrapped::<T>("\"anyOf\":[", ",{\"type\":\"null\"}]");
    const IS_OPTIONAL: bool = true;
}

macro_rules! transparent_schemas {
    ($($type:ty),+) => {
        $(impl<T: Schema + ?Sized> Schema for $type {
            const MEMBERS: Text = T::MEMBERS;
            const DESCRIPTION: &'static str = T::DESCRIPTION;
            const IS_OPTIONAL: bool = T::IS_OPTIONAL;
        })+
    };
}

transparent_schemas!(&T, Box<T>);

macro_rules! tuple_schemas {
    ($(($first:ident $(, $rest:ident)*))+) => {
        $(impl<$first: Schema $(, $rest: Schema)*> Schema for ($first, $($rest,)*) {
            const MEMBERS: Text = {
                let mut text = literal("\"type\":\"array\",\"prefixItems\":[");
                push_schema::<$first>(&mut text, "");
                $(
                    text.push(",");
                    push_schema::<$rest>(&mut text, "");
                )*
                text.push("]");
                text
            };
        })+
    };
}

tuple_schemas!((A)(A, B)(A, B, C)(A, B, C, D));

#[cfg(test)]
#[expect(dead_code, reason = "the types are only looked at by the derive")]
mod tests {
    use super::*;
    use crate::Schema;
    use serde::Serialize;
    use serde_json::json;

    fn schema<T: Schema>() -> Value {
        serde_json::from_str(of::<T>().as_str()).unwrap()
    }

    #[derive(Schema, Serialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    /// A thing with "quotes".
    struct Thing<T> {
        /// Counted
        /// from one.
        serial_number: u32,
        #[serde(rename = "kind")]
        sort: Sort,
        #[serde(default)]
        tags: Vec<String>,
        note: Option<String>,
        parts: BTreeMap<String, T>,
        #[serde(skip)]
        cache: std::time::Instant,
        #[schema(any)]
        address: std::net::IpAddr,
    }

    #[derive(Schema, Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Sort {
        VeryGood,
        #[serde(rename = "BAD")]
        Bad,
    }

    #[derive(Schema)]
    struct Cents(u64);

    #[derive(Schema)]
    enum Shape {
        Circle { radius: f64 },
        Point,
    }

    #[test]
    fn a_struct_becomes_an_object_with_serdes_names_and_the_doc_comments() {
        assert_eq!(
            schema::<Thing<bool>>(),
            json!({
                "description": "A thing with \"quotes\".",
                "type": "object",
                "properties": {
                    "serialNumber": { "description": "Counted\nfrom one.", "type": "integer", "minimum": 0 },
                    "kind": { "type": "string", "enum": ["very-good", "BAD"] },
                    "tags": { "type": "array", "items": { "type": "string" } },
                    "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                    "parts": { "type": "object", "additionalProperties": { "type": "boolean" } },
                    "address": {},
                },
                "required": ["serialNumber", "kind", "parts", "address"],
                "additionalProperties": false,
            })
        );
    }

    #[test]
    fn a_newtype_is_what_it_wraps_and_an_enum_with_data_is_open() {
        assert_eq!(schema::<Cents>(), json!({ "type": "integer", "minimum": 0 }));
        assert_eq!(schema::<Shape>(), json!({}));
        assert_eq!(schema::<(bool, f32)>()["prefixItems"][1], json!({ "type": "number" }));
        assert_eq!(schema::<()>(), json!({ "type": "null" }));
    }

    #[test]
    fn a_manifest_is_json_whatever_the_description_holds() {
        const MANIFEST: Text = manifest::<Value, Cents>("greet", "1.0.0", "Says \"hello\"\n\\o/");
        let manifest: Value = serde_json::from_str(MANIFEST.as_str()).unwrap();

        assert_eq!(manifest["summary"], "Says \"hello\"\n\\o/");
        assert_eq!(manifest["input_schema"], json!({}));
    }
}
