//! Queries and ids.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{Problem, ProblemCode};

/// A query whose every parameter the route knows.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|refused| {
            let text = std::error::Error::source(&refused).map_or_else(|| refused.to_string(), ToString::to_string);
            Problem::new(ProblemCode::RequestInvalid, format!("the query is not as it has to be: {text}"))
        })
    }
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
