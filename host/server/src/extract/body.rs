//! Bodies: bounded, plain, and read strictly.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use stepcell_model::definition::read::read_all;

use super::strict;
use crate::problem::{FieldProblem, Problem, ProblemCode, pointer_of};

/// The longest body of a request that is no upload, in bytes. Protects memory: what is read is held as a whole.
pub(crate) const BODY_LEN_BYTES_MAX: usize = 2 << 20;

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_json(request.headers())?;
        let text = read_text(request).await?;
        parse(&text).map(Self)
    }
}

/// An object of named fields. Without this, a list of the fields' values would be taken for one, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsObject<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = AsObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(AsObject)
    }
}

/// A JSON body, or none at all.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if http_body::Body::size_hint(request.body()).exact() == Some(0) {
            return Ok(Self(T::default()));
        }
        check_json(request.headers())?;
        let text = read_text(request).await?;
        if text.trim().is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&text).map(Self)
    }
}

/// A body as text, with its media type.
pub(crate) struct TextBody {
    /// The media type without its parameters, in lower case; empty if there was none.
    pub(crate) media_type: String,
    /// What was sent.
    pub(crate) text: String,
}

impl<S: Sync> FromRequest<S> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_plain(request.headers())?;
        let media_type = media_type(request.headers());
        Ok(Self { media_type, text: read_text(request).await? })
    }
}

/// Reads a body whole, if it is not longer than that.
pub(crate) async fn read_bytes(body: Body, len_bytes_max: usize) -> Result<Bytes, Problem> {
    let read = Limited::new(body, len_bytes_max).collect().await;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            return too_large(len_bytes_max);
        }
        Problem::new(ProblemCode::RequestInvalid, "the body broke off; send the request again")
    })
}

/// Refuses what is compressed, or says beforehand that it is too long.
pub(crate) fn check_plain(head: &HeaderMap) -> Result<(), Problem> {
    match head.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let detail = "bodies are read as they are; send it without `Content-Encoding`";
            Err(Problem::new(ProblemCode::MediaType, detail))
        }
        _ => Ok(()),
    }
}

fn check_json(head: &HeaderMap) -> Result<(), Problem> {
    check_plain(head)?;
    let sent = media_type(head);
    let is_json = sent == "application/json" || (sent.starts_with("application/") && sent.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let found = if sent.is_empty() { "there is no `Content-Type`".to_owned() } else { format!("the body is `{sent}`") };
    Err(Problem::new(ProblemCode::MediaType, format!("{found}; send `Content-Type: application/json`")))
}

fn media_type(head: &HeaderMap) -> String {
    let text = head.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

async fn read_text(request: Request) -> Result<String, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|len| len > BODY_LEN_BYTES_MAX as u64) {
        return Err(too_large(BODY_LEN_BYTES_MAX));
    }
    let bytes = read_bytes(request.into_body(), BODY_LEN_BYTES_MAX).await?;
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::new(ProblemCode::RequestInvalid, "the body is no UTF-8 text; send JSON in UTF-8"))
}

fn too_large(len_bytes_max: usize) -> Problem {
    Problem::new(ProblemCode::BodyTooLarge, format!("the body is longer than {len_bytes_max} bytes; send less"))
}

/// Reads a JSON text into a type, and names everything that is wrong with it.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    strict::check(text).map_err(|error| {
        let problem = FieldProblem {
            line: Some(error.line() as u64),
            column: Some(error.column() as u64),
            ..FieldProblem::at("", error.to_string())
        };
        Problem::new(ProblemCode::RequestInvalid, format!("the body is not the JSON it has to be: {error}"))
            .with_errors([problem])
    })?;
    serde_json::from_str(text).map(|AsObject(read)| read).map_err(|first| {
        let mut findings = Vec::new();
        if let Ok(value) = serde_json::from_str(text) {
            read_all::<AsObject<T>>(value, &[], &mut findings);
        }
        let errors: Vec<_> =
            findings.into_iter().map(|found| FieldProblem::at(pointer_of(&found.path), found.message)).collect();
        let told = match errors.as_slice() {
            [] => first.to_string(),
            errors => errors.iter().map(told).collect::<Vec<_>>().join("; "),
        };
        Problem::new(ProblemCode::RequestInvalid, format!("the body is not as it has to be: {told}"))
            .with_errors(errors)
    })
}

fn told(error: &FieldProblem) -> String {
    match error.pointer.as_deref() {
        Some(pointer) if !pointer.is_empty() => format!("{pointer}: {}", error.detail),
        _ => error.detail.clone(),
    }
}
