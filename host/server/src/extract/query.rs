//! Queries and ids.

use std::error::Error;
use std::fmt::Display;
use std::iter::successors;
use std::str::FromStr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::{DeserializeOwned, value};
use serde_path_to_error::Segment;

use crate::problem::{Problem, ProblemCode};

/// A query whose every parameter the route knows.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|refused| problem(&refused))
    }
}

/// What is wrong with a query, told of the parameter that it is wrong with.
fn problem(refused: &QueryRejection) -> Problem {
    let mut sources = successors(Some(refused as &(dyn Error + 'static)), |&error| error.source());
    let Some(error) = sources.find_map(|error| error.downcast_ref::<serde_path_to_error::Error<value::Error>>()) else {
        return Problem::new(ProblemCode::RequestInvalid, format!("the query is not as it has to be: {refused}"));
    };
    let text = error.inner().to_string();
    // A parameter that is not there, or is twice, has no place: only the text names it.
    let unplaced = [
        ("missing field `", "it is missing; name it in the query"),
        ("duplicate field `", "it is named more than once; name it once"),
    ];
    let unplaced = unplaced.into_iter().find_map(|(start, detail)| {
        let name = text.strip_prefix(start)?.strip_suffix('`')?;
        Some(Problem::parameter(name, detail))
    });
    let placed = error.path().iter().find_map(|segment| match segment {
        Segment::Map { key } => Some(Problem::parameter(key, text.as_str())),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    });
    let unnamed = || Problem::new(ProblemCode::RequestInvalid, format!("the query is not as it has to be: {text}"));
    unplaced.or(placed).unwrap_or_else(unnamed)
}

/// The parts of a path that name something: what is malformed names nothing, so it is not there.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state).await.map(|path| Self(path.0)).map_err(|refused| {
            let detail = format!("the path names nothing: {}", refused.body_text());
            Problem::new(ProblemCode::RouteNotFound, detail)
        })
    }
}

/// Reads an optional text of a query into what it has to be.
pub(crate) fn read_parameter<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|error: T::Err| Problem::parameter(name, error.to_string()));
    text.map(read).transpose()
}
