//! One request and its answer over an open connection, by HTTP/1.1.

use std::error::Error as _;
use std::io;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::check::{HEADER_BLOCK_BYTES_MAX, HEADERS_LEN_MAX, is_own_header};
use crate::client::took_longer_than;
use crate::connect::{Connection, WireUsedUp};
use crate::error::{OutboundError, Part};
use crate::request::{Header, OutboundResponse, Timeouts};
use crate::rules::OutboundRules;

/// What may come over the wire beside head and body, in bytes: certificates, records of TLS, interim responses.
const WIRE_OVERHEAD_BYTES: u64 = 256 << 10;

/// How much of a connection is read for one answer, in bytes. A body may come in chunks of one byte and be framed.
pub(crate) fn wire_bytes_max(rules: &OutboundRules) -> u64 {
    WIRE_OVERHEAD_BYTES + HEADER_BLOCK_BYTES_MAX as u64 + rules.limits.body_bytes_max.saturating_mul(2)
}

/// Sends a request and reads the whole answer. Nothing of it goes on after that, or once the future is dropped.
pub(crate) async fn exchange(
    stream: Box<dyn Connection>,
    request: Request<Full<Bytes>>,
    timeouts: Timeouts,
    rules: &OutboundRules,
) -> Result<OutboundResponse, OutboundError> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEADER_BLOCK_BYTES_MAX).max_headers(HEADERS_LEN_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error, rules))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(receive(sender, request, timeouts, rules));
    tokio::select! {
        answer = &mut answer => return answer,
        // What became of it is told by the answer, which may be here in whole.
        _ = &mut connection => {}
    }
    answer.await
}

async fn receive(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    timeouts: Timeouts,
    rules: &OutboundRules,
) -> Result<OutboundResponse, OutboundError> {
    let head_max = rules.timeout(timeouts.first_byte);
    let head = timeout(head_max, sender.send_request(request)).await.map_err(|_| took_longer_than(head_max))?;
    let response = head.map_err(|error| explain(&error, rules))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked for another one.
        return Err(OutboundError::Protocol);
    }
    let (status, headers) = (response.status().as_u16(), seen_by_author(response.headers()));
    Ok(OutboundResponse { status, headers, body: read_body(response, timeouts, rules).await? })
}

async fn read_body(
    response: Response<Incoming>,
    timeouts: Timeouts,
    rules: &OutboundRules,
) -> Result<Bytes, OutboundError> {
    let mut body = response.into_body();
    let bytes_max = rules.limits.body_bytes_max;
    let too_large = || OutboundError::ResponseTooLarge { part: Part::Body, bytes_max };
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let frame_max = rules.timeout(timeouts.between_bytes);
    let mut whole = BytesMut::new();
    while let Some(frame) = timeout(frame_max, body.frame()).await.map_err(|_| took_longer_than(frame_max))? {
        // Trailers are not handed on: nobody asked for them.
        let Ok(data) = frame.map_err(|error| explain(&error, rules))?.into_data() else { continue };
        if (whole.len() + data.len()) as u64 > bytes_max {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn seen_by_author(headers: &HeaderMap) -> Vec<Header> {
    let seen = headers.iter().filter(|(name, _)| !is_own_header(name.as_str()));
    seen.map(|(name, value)| Header::new(name.as_str(), Bytes::copy_from_slice(value.as_bytes()))).collect()
}

fn explain(error: &hyper::Error, rules: &OutboundRules) -> OutboundError {
    if is_wire_used_up(error) {
        return OutboundError::ResponseTooLarge { part: Part::Message, bytes_max: wire_bytes_max(rules) };
    }
    if error.is_parse_too_large() {
        let bytes_max = HEADER_BLOCK_BYTES_MAX as u64;
        return OutboundError::ResponseTooLarge { part: Part::Headers, bytes_max };
    }
    if error.is_parse() { OutboundError::Protocol } else { OutboundError::BrokeOff }
}

fn is_wire_used_up(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<WireUsedUp>() || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<WireUsedUp>) {
            return true;
        }
        source = error.source();
    }
    false
}
