//! A request on its way through `wasi:http`.

use super::{HttpError, Request, Response};
use crate::bindings::http::wasi::http::outgoing_handler::handle;
use crate::bindings::http::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme,
};
use crate::bindings::http::wasi::io::streams::StreamError;

/// How much of an answer's body is read at once, in bytes.
const READ_BYTES: u64 = 64 << 10;

/// The parts of an address.
#[derive(Debug, PartialEq)]
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    path_with_query: String,
}

/// Sends a request and waits for the whole answer.
pub(crate) fn send(request: &Request) -> Result<Response, HttpError> {
    let url = Url::parse(&request.url)?;
    let target = format!("{} {}://{}", request.method, url.scheme, url.authority);
    let outgoing = outgoing(request, &url)?;
    let body = if request.body.is_empty() {
        None
    } else {
        Some(outgoing.body().map_err(|()| invalid("its body can not be opened"))?)
    };
    let answer = handle(outgoing, options(request)).map_err(|code| explain(&target, code))?;
    if let Some(body) = body {
        write(body, &request.body);
    }
    read(&wait_for(&answer).map_err(|code| explain(&target, code))?)
}

impl<'a> Url<'a> {
    /// Takes an address apart. Whether its parts are good is for the host to say.
    fn parse(url: &'a str) -> Result<Self, HttpError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("its address has no `https://` before it"))?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path_with_query = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, authority, path_with_query })
    }
}

fn outgoing(request: &Request, url: &Url<'_>) -> Result<OutgoingRequest, HttpError> {
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    let headers = Fields::from_list(&headers).map_err(|error| match error {
        HeaderError::Forbidden => invalid("a header is the engine's own, such as `host` or `connection`"),
        HeaderError::InvalidSyntax | HeaderError::Immutable => invalid("a header has characters that none has"),
    })?;
    let outgoing = OutgoingRequest::new(headers);
    let scheme = match url.scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => Scheme::Other(other.to_owned()),
    };
    outgoing.set_method(&method(&request.method)).map_err(|()| invalid("its method is none"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| invalid("its address has an odd scheme"))?;
    outgoing.set_authority(Some(url.authority)).map_err(|()| invalid("its address has an odd host"))?;
    outgoing.set_path_with_query(Some(&url.path_with_query)).map_err(|()| invalid("its address has an odd path"))?;
    Ok(outgoing)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// The time-out, for the answer's head and for each piece of its body.
fn options(request: &Request) -> Option<RequestOptions> {
    let timeout = Some(u64::try_from(request.timeout?.as_nanos()).unwrap_or(u64::MAX));
    let options = RequestOptions::new();
    // A host that can not be told waits as long as it likes.
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);
    Some(options)
}

/// Writes the body. What stands in the way is told by the answer.
fn write(body: OutgoingBody, mut rest: &[u8]) {
    if let Ok(stream) = body.write() {
        while !rest.is_empty() {
            let piece = match stream.check_write() {
                Ok(0) => {
                    stream.subscribe().block();
                    continue;
                }
                Ok(permit) => rest.len().min(usize::try_from(permit).unwrap_or(usize::MAX)),
                Err(_) => break,
            };
            if stream.write(&rest[..piece]).is_err() {
                break;
            }
            rest = &rest[piece..];
        }
    }
    // A body that is not finished breaks its request off, which the answer says as well.
    if rest.is_empty() {
        let _ = OutgoingBody::finish(body, None);
    }
}

fn wait_for(answer: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(answer)) => answer,
        Some(Err(())) | None => Err(ErrorCode::InternalError(None)),
    }
}

fn read(incoming: &IncomingResponse) -> Result<Response, HttpError> {
    let headers = incoming.headers().entries().into_iter();
    let headers = headers.map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect();
    let mut response = Response { status: incoming.status(), headers, body: Vec::new() };
    let body: IncomingBody = incoming.consume().map_err(|()| broken("its body is gone"))?;
    let stream = body.stream().map_err(|()| broken("its body is gone"))?;
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => response.body.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(response),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken("its body broke off")),
        }
    }
}

fn explain(target: &str, code: ErrorCode) -> HttpError {
    let unreachable = |reason: &str| HttpError::Unreachable { reason: reason.to_owned() };
    let too_large = |what: &str| HttpError::TooLarge { what: what.to_owned() };
    match code {
        ErrorCode::HttpRequestDenied => HttpError::Denied { target: target.to_owned() },
        ErrorCode::HttpRequestBodySize(_) => too_large("the request's body"),
        ErrorCode::HttpRequestHeaderSectionSize(_) | ErrorCode::HttpRequestUriTooLong => {
            too_large("the request's head")
        }
        ErrorCode::HttpResponseBodySize(_) => too_large("the answer's body"),
        ErrorCode::HttpResponseHeaderSectionSize(_) => too_large("the answer's head"),
        ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionTimeout | ErrorCode::DnsTimeout => HttpError::Timeout,
        ErrorCode::DnsError(_) => unreachable("its name can not be looked up"),
        ErrorCode::ConnectionRefused => unreachable("nobody answers there"),
        ErrorCode::TlsCertificateError => unreachable("its certificate does not prove its name"),
        ErrorCode::TlsProtocolError => unreachable("it speaks no TLS"),
        ErrorCode::HttpResponseIncomplete => broken("it broke off"),
        ErrorCode::HttpRequestUriInvalid => invalid("its address is none"),
        ErrorCode::InternalError(Some(reason)) => invalid(&reason),
        other => broken(&format!("{other:?}")),
    }
}

fn invalid(reason: &str) -> HttpError {
    HttpError::Invalid { reason: reason.to_owned() }
}

fn broken(reason: &str) -> HttpError {
    HttpError::Broken { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_as_it_is_written() {
        for (url, scheme, authority, path) in [
            ("https://api.example", "https", "api.example", "/"),
            ("https://api.example/a/b?c=d#e", "https", "api.example", "/a/b?c=d"),
            ("http://api.example:8080?q", "http", "api.example:8080", "/?q"),
            ("http://user@[::1]:1/", "http", "user@[::1]:1", "/"),
        ] {
            let parts = Url { scheme, authority, path_with_query: path.to_owned() };
            assert_eq!(Url::parse(url), Ok(parts), "{url}");
        }
        assert!(Url::parse("api.example/a").is_err());
    }
}
