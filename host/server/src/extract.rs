//! What handlers are handed: bodies, queries and ids that were read strictly, or a problem that says what is wrong.
//!
//! A body is one JSON value in UTF-8 without keys that stand twice, not deeper than the engine reads, and with no field
//! that the route does not know; everything that is wrong is told at once, by JSON pointer. Nothing compressed is read,
//! so that a small body can not become a large one.

mod body;
mod query;
mod strict;

pub(crate) use self::body::{AsObject, BODY_LEN_BYTES_MAX, JsonBody, OptionalJson, TextBody, check_plain, read_bytes};
pub(crate) use self::query::{Id, Query, read_parameter};
