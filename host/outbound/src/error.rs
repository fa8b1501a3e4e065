//! Why a request was not answered. Every text may be shown to the tenant: none names an address that a name stands for.

use serde::{Deserialize, Serialize};

use crate::host::HostSpelling;

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutboundError {
    /// It may not be sent. Nothing was sent, nor looked up unless the address is the reason.
    #[error("`{wanted}` is denied: {reason}")]
    Denied {
        /// Method, scheme, host and port, cut where they are too long.
        wanted: String,
        /// Why.
        reason: Denial,
    },
    /// The attempt has sent all the requests that it may.
    #[error("the attempt may send {requests_max} requests, and has done so")]
    RequestsUsedUp {
        /// How many.
        requests_max: u32,
    },
    /// It can not be sent as it is.
    #[error("the request can not be sent: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The request is larger than it may be.
    #[error("the request's {part} is larger than {bytes_max} bytes")]
    RequestTooLarge {
        /// What of it.
        part: Part,
        /// How large it may be.
        bytes_max: u64,
    },
    /// The response is larger than it may be.
    #[error("the response's {part} is larger than {bytes_max} bytes")]
    ResponseTooLarge {
        /// What of it.
        part: Part,
        /// How large it may be.
        bytes_max: u64,
    },
    /// It took too long.
    #[error("the request took longer than {time_ms} ms")]
    Timeout {
        /// How long it may take, in milliseconds.
        time_ms: u64,
    },
    /// The name stands for nothing.
    #[error("the name `{host}` could not be looked up")]
    Unresolved {
        /// The name.
        host: String,
    },
    /// Nobody answers there.
    #[error("no connection to `{host}` at port {port}: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the system says.
        reason: String,
    },
    /// Whoever answers does not prove to be who it should be.
    #[error("`{host}` does not prove to be that: {reason}")]
    Certificate {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// Whoever answers speaks no TLS, or none that is safe.
    #[error("no TLS with `{host}`: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The answer broke off.
    #[error("the answer broke off")]
    BrokeOff,
    /// The answer is no HTTP/1.1.
    #[error("the answer is no HTTP/1.1")]
    Protocol,
}

/// Why a request may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Denial {
    /// Only `http` and `https` are known.
    #[error("only `http` and `https` are known")]
    Scheme,
    /// The host is written in a way that is not taken.
    #[error("its host is not taken: {0}")]
    Host(HostSpelling),
    /// Not a method in capitals, or one that turns the connection into something else.
    #[error("methods are words in capitals, and neither CONNECT nor TRACE")]
    Method,
    /// Nobody granted it.
    #[error("it is not granted; the step's `grants.http` and the operator's policy must both list it")]
    NotGranted,
    /// The host's address, or one of its addresses, may not be reached.
    #[error("its address is not public, and lies in no network that the operator's policy opens")]
    Address,
}

/// A part of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The path with the query.
    Path,
    /// Names and values of all headers.
    Headers,
    /// The body.
    Body,
    /// Everything that came over the wire, with all that is around head and body.
    Message,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Path => "path",
            Self::Headers => "header block",
            Self::Body => "body",
            Self::Message => "message",
        })
    }
}
