//! JSON Schema: what a start's data or a form's answers must look like.
//!
//! Schemas come from tenants. They are compiled once, are bounded in size, fetch nothing, and match their patterns with
//! an engine that takes linear time. Draft 2020-12 unless `$schema` names another.

use std::fmt;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::json::Json;
use crate::problem::{one_line, shorten};

mod cost;

/// The largest schema, in bytes.
pub const SCHEMA_LEN_BYTES_MAX: usize = 64 << 10;

/// The most errors that one check returns.
pub const FIELD_ERRORS_MAX: usize = 100;

/// How large one compiled pattern of a schema may be, in bytes.
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// The longest message of an error, in characters.
const MESSAGE_LEN_CHARS_MAX: usize = 200;

/// How much of a pointer is shown to people, in characters.
const POINTER_LEN_CHARS_MAX: usize = 300;

/// A compiled JSON Schema. Clones share it.
#[derive(Clone)]
pub struct DataSchema(Arc<Inner>);

struct Inner {
    source: Json,
    validator: Validator,
}

/// Why a schema is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is larger than [`SCHEMA_LEN_BYTES_MAX`].
    #[error("the schema has {len_bytes} bytes, more than the {SCHEMA_LEN_BYTES_MAX} that it may have")]
    TooLarge {
        /// How large it is.
        len_bytes: usize,
    },
    /// It is no JSON Schema.
    #[error("{}{reason}", at(.pointer))]
    Malformed {
        /// Where in the schema, as a JSON pointer; empty for the schema as a whole.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
    /// It refers to a schema that is not part of it.
    #[error("{reason}; a schema fetches nothing: write what it refers to under `$defs`")]
    Reference {
        /// Which reference.
        reason: String,
    },
}

/// One thing that is wrong with a value, by field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// The field, as a JSON pointer such as `/lines/0/title`; empty for the value as a whole. For a field that is
    /// missing it is where the field would be.
    pub pointer: String,
    /// What is wrong with it, short enough to stand beside a form's field.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", at(&self.pointer), self.message)
    }
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!("at {}: ", one_line(pointer, POINTER_LEN_CHARS_MAX)) }
}

impl DataSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`SchemaError`] if it is too large, is no schema, or refers to what is not in it.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::json::Json;
    /// use stepcell_model::schema::DataSchema;
    /// let schema = DataSchema::compile(&Json::parse(r#"{"required": ["amount"]}"#.to_owned())?)?;
    /// let errors = schema.check(&Json::parse("{}".to_owned())?);
    /// assert_eq!(errors[0].to_string(), "at /amount: this is required");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compile(schema: &Json) -> Result<Self, SchemaError> {
        let len_bytes = schema.len_bytes();
        if len_bytes > SCHEMA_LEN_BYTES_MAX {
            return Err(SchemaError::TooLarge { len_bytes });
        }
        if !matches!(schema.tree(), Value::Object(_) | Value::Bool(_)) {
            return Err(SchemaError::Malformed {
                pointer: String::new(),
                reason: "a schema is an object, such as `{ type: object }`".to_owned(),
            });
        }
        let draft = draft(schema.tree())?;
        cost::bound(schema.tree())?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        let validator = jsonschema::options()
            .with_draft(draft)
            .should_validate_formats(true)
            .with_pattern_options(patterns)
            .offline()
            .build(schema.tree())
            .map_err(|error| refusal(&error))?;
        Ok(Self(Arc::new(Inner { source: schema.clone(), validator })))
    }

    /// The schema as it was written.
    #[must_use]
    pub fn source(&self) -> &Json {
        &self.0.source
    }

    /// Finds everything that is wrong with a value, in the order of its fields' pointers.
    ///
    /// At most [`FIELD_ERRORS_MAX`] errors are returned. No value is repeated in them.
    #[must_use]
    pub fn check(&self, value: &Json) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for error in self.0.validator.iter_errors(value.tree()).take(FIELD_ERRORS_MAX) {
            push_errors(&error, &mut errors);
        }
        errors.sort();
        errors.dedup();
        errors.truncate(FIELD_ERRORS_MAX);
        errors
    }
}

impl fmt::Debug for DataSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataSchema").field(&self.0.source).finish()
    }
}

/// The draft that a schema names, else the newest.
fn draft(schema: &Value) -> Result<Draft, SchemaError> {
    if schema.get("$schema").is_none() {
        return Ok(Draft::Draft202012);
    }
    match Draft::default().detect(schema) {
        known @ (Draft::Draft4 | Draft::Draft6 | Draft::Draft7 | Draft::Draft201909 | Draft::Draft202012) => Ok(known),
        _ => Err(SchemaError::Malformed {
            pointer: "/$schema".to_owned(),
            reason: "this draft is not known; leave it out for 2020-12".to_owned(),
        }),
    }
}

fn refusal(error: &ValidationError<'_>) -> SchemaError {
    match error.kind() {
        ValidationErrorKind::Referencing(reference) => {
            SchemaError::Reference { reason: sentence(&reference.to_string()) }
        }
        _ => SchemaError::Malformed { pointer: error.instance_path().to_string(), reason: message(error) },
    }
}

/// Adds an error of the validator; what it says of several fields at once becomes one error a field.
fn push_errors(error: &ValidationError<'_>, errors: &mut Vec<FieldError>) {
    let path = error.instance_path();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            errors.push(FieldError { pointer: inside(path, name), message: "this is required".to_owned() });
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            errors.extend(unexpected.iter().take(FIELD_ERRORS_MAX).map(|name| FieldError {
                pointer: inside(path, &shorten(name, MESSAGE_LEN_CHARS_MAX)),
                message: "there is no such field".to_owned(),
            }));
        }
        _ => errors.push(FieldError { pointer: path.to_string(), message: message(error) }),
    }
}

fn inside(path: &Location, name: &str) -> String {
    path.join(LocationSegment::from(name)).to_string()
}

/// Says what is wrong without repeating the value: it may be large, and it may be secret.
fn message(error: &ValidationError<'_>) -> String {
    use ValidationErrorKind as Kind;
    let text = match error.kind() {
        Kind::Type { kind: TypeKind::Single(expected) } => {
            format!("this must be {}", with_article(&expected.to_string()))
        }
        Kind::Type { kind: TypeKind::Multiple(types) } => {
            let names: Vec<String> = types.iter().map(|expected| with_article(&expected.to_string())).collect();
            format!("this must be {}", names.join(" or "))
        }
        Kind::Enum { options } => format!("this must be one of {}", listed(options)),
        Kind::Constant { expected_value } => format!("this must be {}", shorten(&expected_value.to_string(), 80)),
        Kind::Minimum { limit } => format!("this must be at least {limit}"),
        Kind::Maximum { limit } => format!("this must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("this must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("this must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("this must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("this must have at least {}", counted(*limit, "character")),
        Kind::MaxLength { limit } => format!("this must have at most {}", counted(*limit, "character")),
        Kind::MinItems { limit } => format!("this must have at least {}", counted(*limit, "item")),
        Kind::MaxItems { limit } => format!("this must have at most {}", counted(*limit, "item")),
        Kind::AdditionalItems { limit } => format!("this must have at most {}", counted(*limit as u64, "item")),
        Kind::MinProperties { limit } => format!("this must have at least {}", counted(*limit, "field")),
        Kind::MaxProperties { limit } => format!("this must have at most {}", counted(*limit, "field")),
        Kind::Pattern { pattern } => format!("this must match the pattern {}", shorten(pattern, 80)),
        Kind::Format { format } => format!("this is no valid {}", shorten(format, 40)),
        Kind::UniqueItems => "this has the same item twice".to_owned(),
        Kind::Contains => "this lacks an item that it must contain".to_owned(),
        Kind::FalseSchema => "this must not be here".to_owned(),
        Kind::Not { .. } => "this is one of the values that are ruled out".to_owned(),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => "this fits none of the allowed forms".to_owned(),
        Kind::OneOfMultipleValid { .. } => "this fits more than one of the allowed forms".to_owned(),
        Kind::PropertyNames { .. } => "this has a field whose name is not allowed".to_owned(),
        Kind::Required { .. } => "this lacks a required field".to_owned(),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => "this has unknown fields".to_owned(),
        Kind::UnevaluatedItems { .. } => "this has items that are not allowed".to_owned(),
        Kind::ContentEncoding { content_encoding } => format!("this is no valid {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => format!("this is no valid {content_media_type}"),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            "this could not be matched against its pattern".to_owned()
        }
        Kind::FromUtf8 { .. } => "this does not decode to text".to_owned(),
        Kind::Custom { message, .. } => message.clone(),
        Kind::Referencing(reference) => reference.to_string(),
    };
    sentence(&text)
}

fn sentence(text: &str) -> String {
    one_line(&text.split_whitespace().collect::<Vec<_>>().join(" "), MESSAGE_LEN_CHARS_MAX)
}

fn with_article(name: &str) -> String {
    match name {
        "array" => "a list".to_owned(),
        "integer" => "a whole number".to_owned(),
        "object" => "an object".to_owned(),
        "boolean" => "true or false".to_owned(),
        "null" => "null".to_owned(),
        other => format!("a {other}"),
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn listed(options: &Value) -> String {
    let Some(options) = options.as_array() else { return shorten(&options.to_string(), 80) };
    let mut names: Vec<String> = options.iter().take(10).map(|option| shorten(&option.to_string(), 40)).collect();
    if options.len() > names.len() {
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    fn check(schema: Value, value: Value) -> Vec<String> {
        let schema = DataSchema::compile(&schema.into()).unwrap();
        schema.check(&value.into()).iter().map(ToString::to_string).collect()
    }

    fn refused(schema: Value) -> String {
        DataSchema::compile(&schema.into()).unwrap_err().to_string()
    }

    #[test]
    fn every_error_is_returned_by_field() {
        let schema = json!({
            "type": "object",
            "required": ["title", "a/b"],
            "additionalProperties": false,
            "properties": {
                "title": {"type": "string", "minLength": 1},
                "a/b": {},
                "size": {"enum": ["small", "large"]},
                "age": {"type": ["integer", "null"], "minimum": 18, "maximum": 99},
                "name": {"minLength": 3, "pattern": "^[a-z]+$"},
                "lines": {"type": "array", "maxItems": 3, "items": {
                    "type": "object", "required": ["sum"], "properties": {"sum": {"type": "number"}},
                }},
            },
        });
        let value = json!({
            "size": "huge", "age": 17, "name": "A", "extra": 1, "x~": 2,
            "lines": [{"sum": 1}, {"sum": "x"}, {}, 7],
        });

        insta::assert_snapshot!(check(schema.clone(), value).join("\n"), @r#"
        at /age: this must be at least 18
        at /a~1b: this is required
        at /extra: there is no such field
        at /lines: this must have at most 3 items
        at /lines/1/sum: this must be a number
        at /lines/2/sum: this is required
        at /lines/3: this must be an object
        at /name: this must have at least 3 characters
        at /name: this must match the pattern ^[a-z]+$
        at /size: this must be one of "small", "large"
        at /title: this is required
        at /x~0: there is no such field
        "#);
        assert_eq!(check(schema, json!([])), ["this must be an object"]);
    }

    #[test]
    fn a_value_that_fits_has_no_errors() {
        let schema = json!({"$defs": {"n": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/n"}}});

        assert_eq!(check(schema.clone(), json!({"a": 1})), [""; 0]);
        assert_eq!(check(schema, json!({"a": "1"})), ["at /a: this must be a number"]);
    }

    #[test]
    fn huge_values_are_not_repeated_and_errors_are_counted() {
        let huge = "x".repeat(10_000);
        let errors = check(json!({"items": {"type": "integer"}}), json!(vec![huge.as_str(); 500]));

        assert_eq!(errors.len(), FIELD_ERRORS_MAX);
        assert!(errors.iter().all(|error| error.len() < 100));
        assert!(check(json!({"additionalProperties": false}), json!({ huge: 1 }))[0].len() < 1000);
    }

    #[test]
    fn a_schema_that_is_none_is_refused_with_the_reason() {
        assert_eq!(refused(json!({"type": "text"})), "at /type: this fits none of the allowed forms");
        assert_eq!(
            refused(json!({"properties": {"a": {"minimum": "x"}}})),
            "at /properties/a/minimum: this must be a number"
        );
        assert_eq!(refused(json!([])), "a schema is an object, such as `{ type: object }`");
        assert!(refused(json!({"pattern": "("})).contains("pattern"), "{}", refused(json!({"pattern": "("})));
        assert_eq!(
            refused(json!({"title": "x".repeat(SCHEMA_LEN_BYTES_MAX)})),
            "the schema has 65548 bytes, more than the 65536 that it may have"
        );
    }

    #[test]
    fn a_reference_that_leads_outside_is_refused() {
        for target in ["http://127.0.0.1:9/x", "https://example.com/x.json", "file:///etc/passwd", "other.json"] {
            let reason = refused(json!({"properties": {"a": {"$ref": target}}}));

            assert!(reason.contains("a schema fetches nothing"), "{target}: {reason}");
        }
        assert!(DataSchema::compile(&json!({"$schema": "https://example.com/own"}).into()).is_err());
        assert!(DataSchema::compile(&json!({"$ref": "#/$defs/missing"}).into()).is_err());
    }

    #[test]
    fn a_catastrophic_pattern_is_harmless() {
        let begun = Instant::now();
        let schema = json!({"pattern": "^(a+)+$"});

        assert_eq!(check(schema, json!("a".repeat(10_000) + "!")).len(), 1);
        assert!(refused(json!({"pattern": "(?:a{1000}){1000}"})).len() < 300);
        assert!(DataSchema::compile(&json!({"pattern": "(?=a)b"}).into()).is_err());
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends_with_the_value() {
        let schema = json!({"properties": {"next": {"$ref": "#"}}, "required": ["id"]});

        assert_eq!(check(schema, json!({"id": 1, "next": {"next": {"id": 2}}})), ["at /next/id: this is required"]);
    }

    #[test]
    fn a_schema_that_could_take_forever_is_refused() {
        let begun = Instant::now();
        let next = |name: usize| json!({"$ref": format!("#/$defs/{name}")});
        let mut doubling: serde_json::Map<String, Value> =
            (0..40).map(|name| (name.to_string(), json!({"allOf": [next(name + 1), next(name + 1)]}))).collect();
        doubling.insert("40".to_owned(), json!({}));
        let both = json!({"properties": {"a": {"$ref": "#"}}});
        let chain: serde_json::Map<String, Value> = (0..1500).map(|name| (name.to_string(), next(name + 1))).collect();

        for schema in [
            json!({"$defs": doubling, "$ref": "#/$defs/0"}),
            json!({"allOf": [both, both]}),
            json!({"$ref": "#"}),
            json!({"$defs": {"a": {"$id": "x", "$ref": "#"}}, "$ref": "#/$defs/a"}),
            json!({"$defs": chain, "properties": {"a": {"$ref": "#/$defs/0"}}}),
        ] {
            assert!(DataSchema::compile(&schema.into()).is_err());
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_tree_that_describes_itself_is_checked_to_its_depth() {
        let schema = json!({
            "$defs": {"node": {"type": "object", "required": ["id"], "properties": {
                "left": {"$ref": "#/$defs/node"},
                "right": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
            }}},
            "$ref": "#/$defs/node",
        });
        let deep = (0..60).fold(json!({"id": "x"}), |inside, _| json!({"id": 1, "right": inside}));

        assert_eq!(check(schema.clone(), deep), [""; 0]);
        let longest = json!({"allOf": [{"allOf": [{"properties": {"a": {"$ref": "#"}}}]}]});
        assert_eq!(check(longest, (0..64).fold(json!(1), |inside, _| json!({"a": inside}))), [""; 0]);
        assert_eq!(check(schema, json!({"id": 1, "left": {}})), ["at /left/id: this is required"]);
    }
}
