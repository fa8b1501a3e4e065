//! What is sent and what comes back: plain data, whole, and fit to be handed from one process to another.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A request as its author made it; nothing about it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundRequest {
    /// The method, in capitals.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host, and a port after a colon where it is not the scheme's own.
    pub authority: String,
    /// The path with the query. Nothing is the same as `/`.
    pub path_with_query: String,
    /// The headers in order.
    pub headers: Vec<Header>,
    /// The body.
    #[serde(with = "base64_text")]
    pub body: Bytes,
    /// How long the author wants to wait.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// A response, whatever its status: a redirect is one as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundResponse {
    /// The status, 200 to 999.
    pub status: u16,
    /// The headers in order, without those that speak of the connection.
    pub headers: Vec<Header>,
    /// The body, as it came: nothing is decompressed.
    #[serde(with = "base64_text")]
    pub body: Bytes,
}

impl OutboundResponse {
    /// The first value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_ref())
    }
}

/// One line of a header block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, which need not be text.
    #[serde(with = "base64_text")]
    pub value: Bytes,
}

impl Header {
    /// A header.
    pub fn new(name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// How long an author wants to wait, each at least a millisecond and at most what a request may take at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Until there is a connection, with TLS where that is asked for.
    pub connect: Option<Duration>,
    /// From there until the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body.
    pub between_bytes: Option<Duration>,
}

/// Bytes as text in base64.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes::from).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_request_survives_the_way_to_another_process() {
        let request = OutboundRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            authority: "api.example".to_owned(),
            path_with_query: "/a?b".to_owned(),
            headers: vec![Header::new("x-odd", vec![0xff, b' ', 0x80])],
            body: vec![0, 159, 146, 150].into(),
            timeouts: Timeouts { connect: Some(Duration::from_millis(5)), ..Timeouts::default() },
        };

        let text = serde_json::to_string(&request).unwrap();

        assert_eq!(serde_json::from_str::<OutboundRequest>(&text).unwrap(), request);
    }
}
