//! Holds a request against the rules, and makes of it the one that is sent.
//!
//! The order matters: the host is put into its one spelling before anyone asks whether it is granted, and nothing is
//! looked up before that. What speaks of the connection or of a body's length is the host's to say, never the author's.

use std::fmt;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use stepcell_model::grants::{HttpTarget, Scheme};

use crate::error::{Denial, OutboundError, Part};
use crate::host::Host;
use crate::request::{OutboundRequest, Timeouts};
use crate::rules::OutboundRules;

/// How large a header block may be, names and values and what stands between them, in bytes. Protects the host's memory.
pub(crate) const HEADER_BLOCK_BYTES_MAX: usize = 32 << 10;

/// How many headers there may be. Protects the host's memory.
pub(crate) const HEADERS_LEN_MAX: usize = 128;

/// What a line of a header block has beside name and value, in bytes: a colon, a space and a line's end.
const HEADER_LINE_BYTES: usize = 4;

/// How long a path with its query may be, in bytes. Protects servers, most of which take no longer one.
const PATH_BYTES_MAX: usize = 8 << 10;

/// How much of a request that was denied is told, in bytes. Protects the store.
const WANTED_BYTES_MAX: usize = 200;

/// The longest method, in bytes; as long as a grant can name.
const METHOD_BYTES_MAX: usize = 20;

/// What lets an answer that is made again be known again.
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Where a request stands in a trace, and what others have added to that.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Headers that speak of the connection, apart from all that begin with `proxy-`.
const OWN_HEADERS: [&str; 9] =
    ["connection", "expect", "host", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// A request that may be sent, as far as can be said before its host is looked up.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) target: Target,
    pub(crate) request: Request<Full<Bytes>>,
    pub(crate) timeouts: Timeouts,
    wanted: String,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Whether a header is the host's own: an author can not set it, and does not see a server's.
///
/// # Examples
/// ```
/// use stepcell_outbound::is_own_header;
///
/// assert!(is_own_header("Transfer-Encoding") && is_own_header("proxy-anything"));
/// assert!(!is_own_header("authorization"));
/// ```
#[must_use]
pub fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("proxy-") || OWN_HEADERS.contains(&name.as_str())
}

/// Holds a request against the rules.
pub(crate) fn check(request: OutboundRequest, rules: &OutboundRules) -> Result<Checked, OutboundError> {
    let wanted = wanted(&request);
    let denied = |reason| OutboundError::Denied { wanted: wanted.clone(), reason };
    let scheme = parse_scheme(&request.scheme).map_err(denied)?;
    let method = parse_method(&request.method).map_err(denied)?;
    let (host, port) = Host::parse(&request.authority).map_err(|spelling| denied(Denial::Host(spelling)))?;
    let target = Target { scheme, host, port: port.unwrap_or(scheme.default_port()) };
    if !target.is_granted(&method, rules) {
        return Err(denied(Denial::NotGranted));
    }
    let path = parse_path(&request.path_with_query)?;
    let body_bytes_max = rules.limits.body_bytes_max;
    if request.body.len() as u64 > body_bytes_max {
        return Err(OutboundError::RequestTooLarge { part: Part::Body, bytes_max: body_bytes_max });
    }
    let headers = headers(&request, &method, &target, rules)?;
    let (timeouts, body) = (request.timeouts, Full::new(request.body));
    let mut sent = Request::new(body);
    *sent.method_mut() = method;
    *sent.uri_mut() = Uri::from(path);
    *sent.headers_mut() = headers;
    Ok(Checked { target, request: sent, timeouts, wanted })
}

impl Checked {
    /// The error of a request whose host has an address that may not be reached.
    pub(crate) fn denied_address(&self) -> OutboundError {
        OutboundError::Denied { wanted: self.wanted.clone(), reason: Denial::Address }
    }
}

impl Target {
    fn is_granted(&self, method: &Method, rules: &OutboundRules) -> bool {
        // Grants know addresses without brackets.
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        rules.grants.may_send(&HttpTarget {
            scheme: self.scheme,
            host: &host,
            port: self.port,
            method: method.as_str(),
        })
    }
}

impl fmt::Display for Target {
    /// As the header `host` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == self.scheme.default_port() {
            self.host.fmt(f)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn parse_scheme(scheme: &str) -> Result<Scheme, Denial> {
    match scheme {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(Denial::Scheme),
    }
}

fn parse_method(method: &str) -> Result<Method, Denial> {
    let is_word =
        (1..=METHOD_BYTES_MAX).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase());
    match Method::from_bytes(method.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => Err(Denial::Method),
        Ok(method) if is_word => Ok(method),
        Ok(_) => Err(Denial::Method),
    }
}

fn parse_path(path: &str) -> Result<PathAndQuery, OutboundError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(OutboundError::RequestTooLarge { part: Part::Path, bytes_max: PATH_BYTES_MAX as u64 });
    }
    let full = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let is_path = path.is_empty() || path.starts_with(['/', '?']);
    let is_plain = full.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    PathAndQuery::try_from(full).ok().filter(|_| is_path && is_plain).ok_or_else(|| {
        malformed("its path must begin with `/` and have no spaces, no fragment, and other characters as `%xx`")
    })
}

fn headers(
    request: &OutboundRequest,
    method: &Method,
    target: &Target,
    rules: &OutboundRules,
) -> Result<HeaderMap, OutboundError> {
    let block_bytes: usize =
        request.headers.iter().map(|header| header.name.len() + header.value.len() + HEADER_LINE_BYTES).sum();
    if block_bytes > HEADER_BLOCK_BYTES_MAX || request.headers.len() > HEADERS_LEN_MAX {
        let bytes_max = HEADER_BLOCK_BYTES_MAX as u64;
        return Err(OutboundError::RequestTooLarge { part: Part::Headers, bytes_max });
    }
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 4);
    for header in &request.headers {
        let name = parse_name(&header.name)?;
        let odd_value = || malformed(&format!("the value of `{name}` has characters that no header has"));
        let value = HeaderValue::from_bytes(&header.value).map_err(|_| odd_value())?;
        if name == CONTENT_LENGTH && value.as_bytes() != request.body.len().to_string().as_bytes() {
            return Err(malformed("its `content-length` is not the length of its body; leave the header out"));
        }
        headers.append(name, value);
    }
    let ours = |text: String| HeaderValue::try_from(text).map_err(|_| malformed("the host's own headers are odd"));
    headers.insert(HOST, ours(target.to_string())?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(IDEMPOTENCY_KEY.clone(), ours(rules.idempotency_key.clone())?);
    headers.remove(TRACESTATE.clone());
    headers.remove(TRACEPARENT.clone());
    if let Some(trace) = &rules.trace {
        headers.insert(TRACEPARENT.clone(), ours(trace.to_string())?);
    }
    headers.remove(CONTENT_LENGTH);
    if !request.body.is_empty() || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    }
    Ok(headers)
}

fn parse_name(name: &str) -> Result<HeaderName, OutboundError> {
    if is_own_header(name) {
        return Err(malformed(&format!("the header `{name}` is the host's own; leave it out")));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed("a header's name has characters that none has"))
}

fn malformed(reason: &str) -> OutboundError {
    OutboundError::Malformed { reason: reason.to_owned() }
}

/// What the author wanted, as it was written but without control characters, and cut.
fn wanted(request: &OutboundRequest) -> String {
    let OutboundRequest { method, scheme, authority, .. } = request;
    let mut text: String = format!("{method} {scheme}://{authority}").chars().take(WANTED_BYTES_MAX).collect();
    while text.len() > WANTED_BYTES_MAX {
        text.pop();
    }
    text.replace(char::is_control, "\u{fffd}")
}
