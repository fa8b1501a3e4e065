//! Every operation of the document, by whoever may and whoever may not: generated, so that a new route can not be forgotten.
//!
//! For each operation there is a request that succeeds for a caller who may. From the document follows who else must be
//! refused, and how: nobody, a key that was revoked, each scope that does not reach as far, and another tenant's caller.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::kit::{Answer, COMPONENT, TestApi, approval, callback, echo, request};

/// What somebody of another tenant is told.
#[derive(Clone, Copy, PartialEq)]
enum Others {
    /// That it is not there.
    NotThere,
    /// Nothing of this tenant: a list without its rows.
    OwnList,
    /// What they are told of their own: they make something of theirs.
    TheirOwn,
}

/// One operation, as it succeeds.
struct Case {
    path: String,
    body: Body2,
    others: Others,
}

/// What is sent with it.
#[derive(Clone)]
enum Body2 {
    None,
    Json(Value),
    Component,
}

const SCOPES: [&str; 5] = ["viewer", "worker", "author", "operator", "admin"];

fn operations(document: &Value) -> Vec<(String, String, String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let role = operation["security"][0]["bearer"][0].as_str().unwrap_or("public").to_owned();
            let id = operation["operationId"].as_str().unwrap().to_owned();
            (id, method.to_uppercase(), path.clone(), role)
        })
    });
    all.collect()
}

fn reaches(scope: &str, role: &str) -> bool {
    role != "platform-admin" && (scope == role || scope == "admin" || role == "viewer")
}
