//! A request before it is sent.

use std::io::Read as _;

use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;

/// How many random bytes a key has that makes a request safe to repeat.
const KEY_LEN_BYTES: usize = 16;

/// What is asked of a server.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    method: Method,
    /// The segments of the path below the prefix, as they are; a `/` in one is escaped.
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    head: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    repeatable: bool,
}

impl<'a> Ask<'a> {
    fn new(method: Method, path: &'a [&'a str]) -> Self {
        let repeatable = method != Method::POST;
        Self { method, path, query: Vec::new(), head: Vec::new(), body: None, repeatable }
    }

    /// Reads something, which is always safe to repeat.
    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// Does something, which is not safe to repeat unless [`Self::once`] or [`Self::repeatable`] says so.
    pub(crate) fn post(path: &'a [&'a str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// Sets something to what it shall be.
    pub(crate) fn put(path: &'a [&'a str]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Changes parts of something to what they shall be.
    pub(crate) fn patch(path: &'a [&'a str]) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// Removes something. It is not sent again after an answer that got lost: that would say that there is no such thing.
    pub(crate) fn delete(path: &'a [&'a str]) -> Self {
        Self { repeatable: false, ..Self::new(Method::DELETE, path) }
    }

    /// With a parameter, if there is one.
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a head, if there is one.
    pub(crate) fn head(mut self, name: &'static str, value: Option<String>) -> Self {
        self.head.extend(value.map(|value| (name, value)));
        self
    }

    /// With a body of JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().into_bytes())
    }

    /// With a body.
    pub(crate) fn body(mut self, media_type: &str, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self.head("content-type", Some(media_type.to_owned()))
    }

    /// Sent again with the same key, the server does it once. Without a key, one is made up.
    ///
    /// # Errors
    /// If the machine has no randomness to give.
    pub(crate) fn once(mut self, key: Option<String>) -> anyhow::Result<Self> {
        let key = match key {
            Some(key) => key,
            None => random_key()?,
        };
        self.repeatable = true;
        Ok(self.head("idempotency-key", Some(key)))
    }

    /// Done twice it is as done once.
    pub(crate) const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Whether it may be sent again though it may have been done.
    pub(super) const fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// The same with another parameter, for the next page of a list.
    pub(super) fn with(&self, query: &[(&'static str, String)]) -> Self {
        let query = [self.query.as_slice(), query].concat();
        Self { method: self.method.clone(), query, head: self.head.clone(), body: None, ..*self }
    }

    pub(super) fn request(&self, client: &Client, base: &Url) -> RequestBuilder {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = client.request(self.method.clone(), url);
        for (name, value) in &self.head {
            request = request.header(*name, value);
        }
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }
}

/// What no other request has.
fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; KEY_LEN_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
