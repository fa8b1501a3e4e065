//! From the runtime's request to ours, and from our answer to the runtime's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use stepcell_model::attempt::Wanted;
use stepcell_outbound::{
    Header, Outbound, OutboundError, OutboundRequest, OutboundResponse, OutboundRules, Part, Timeouts,
};
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::held::{HeldBody, HeldBytes, Hold};
use crate::blank::Blanker;
use crate::budget::HTTP_BODIES_HELD_MAX;
use crate::denials::Denials;

/// Sends the requests of one attempt, and keeps the books.
pub(super) struct Sender {
    outbound: Arc<dyn Outbound>,
    rules: OutboundRules,
    held: Arc<HeldBytes>,
    denials: Denials,
    blanker: Blanker,
    requests: AtomicU32,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Sender {
    pub(super) fn new(rules: OutboundRules, outbound: Arc<dyn Outbound>, denials: Denials, blanker: Blanker) -> Self {
        let held_bytes_max = rules.limits().body_bytes_max.saturating_mul(HTTP_BODIES_HELD_MAX);
        Self {
            outbound,
            rules,
            held: HeldBytes::up_to(held_bytes_max),
            denials,
            blanker,
            requests: AtomicU32::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Sends a request once its body is written, within the time that a request may take.
    pub(super) async fn send(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let time_max = self.rules.limits().time_max;
        let sending = timeout(time_max, self.send_whole(request, options));
        sending.await.map_err(|_| Error::HttpResponseTimeout)?
    }

    async fn send_whole(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let (parts, body) = request.into_parts();
        let (body, _hold) = self.read_body(body).await?;
        let bytes_out = body.len() as u64;
        let answer = self.outbound.send(outbound_request(&parts, body, options), &self.rules).await;
        if !matches!(answer, Err(OutboundError::RequestsUsedUp { .. })) {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        let response = answer.map_err(|error| self.told(&error))?;
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
        self.bytes_in.fetch_add(response.body.len() as u64, Ordering::Relaxed);
        self.runtime_response(response)
    }

    /// Reads what the guest writes. Past the limit nobody reads on, which the guest sees as a closed stream.
    async fn read_body(&self, mut body: WasiBody) -> Result<(Bytes, Hold), Error> {
        let bytes_max = self.rules.limits().body_bytes_max;
        let (mut whole, mut hold) = (BytesMut::new(), self.held.hold());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { return Err(Error::HttpRequestTrailerSectionSize(Some(0))) };
            if (whole.len() + data.len()) as u64 > bytes_max || !hold.grow(data.len()) {
                return Err(Error::HttpRequestBodySize(Some(bytes_max)));
            }
            whole.extend_from_slice(&data);
        }
        Ok((whole.freeze(), hold))
    }

    fn runtime_response(&self, response: OutboundResponse) -> Result<http::Response<WasiBody>, Error> {
        let bytes_max = self.rules.limits().body_bytes_max;
        let too_much = Error::HttpResponseBodySize(Some(bytes_max));
        let body = HeldBody::new(response.body, &self.held).ok_or(too_much)?;
        let mut builder = http::Response::builder().status(response.status);
        for Header { name, value } in response.headers {
            builder = builder.header(name, value.as_ref());
        }
        builder.body(body.boxed_unsync()).map_err(|_| Error::HttpProtocolError)
    }

    /// What the guest is told, after a denial is written down.
    fn told(&self, error: &OutboundError) -> Error {
        if let OutboundError::Denied { wanted, .. } = error {
            // A host may have a user before it, and that a password.
            self.denials.note(Wanted::Http, &self.blanker.text(wanted));
        }
        runtime_error(error)
    }
}

fn outbound_request(parts: &http::request::Parts, body: Bytes, options: Option<RequestOptions>) -> OutboundRequest {
    let uri = &parts.uri;
    let headers = parts.headers.iter();
    let timeouts = options.map(|options| Timeouts {
        connect: options.connect_timeout,
        first_byte: options.first_byte_timeout,
        between_bytes: options.between_bytes_timeout,
    });
    OutboundRequest {
        method: parts.method.as_str().to_owned(),
        scheme: uri.scheme_str().unwrap_or_default().to_owned(),
        authority: uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default(),
        path_with_query: uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default(),
        headers: headers
            .map(|(name, value)| Header::new(name.as_str(), Bytes::copy_from_slice(value.as_bytes())))
            .collect(),
        body,
        timeouts: timeouts.unwrap_or_default(),
    }
}

/// The interface's word for what stood in the way.
fn runtime_error(error: &OutboundError) -> Error {
    let narrow = |bytes: u64| Some(u32::try_from(bytes).unwrap_or(u32::MAX));
    match error {
        OutboundError::Denied { .. } | OutboundError::RequestsUsedUp { .. } => Error::HttpRequestDenied,
        OutboundError::Malformed { .. } => Error::InternalError(Some(error.to_string())),
        OutboundError::RequestTooLarge { part: Part::Path, .. } => Error::HttpRequestUriTooLong,
        OutboundError::RequestTooLarge { part: Part::Headers, bytes_max } => {
            Error::HttpRequestHeaderSectionSize(narrow(*bytes_max))
        }
        OutboundError::RequestTooLarge { bytes_max, .. } => Error::HttpRequestBodySize(Some(*bytes_max)),
        OutboundError::ResponseTooLarge { part: Part::Headers, bytes_max } => {
            Error::HttpResponseHeaderSectionSize(narrow(*bytes_max))
        }
        OutboundError::ResponseTooLarge { bytes_max, .. } => Error::HttpResponseBodySize(Some(*bytes_max)),
        OutboundError::Timeout { .. } => Error::HttpResponseTimeout,
        OutboundError::Unresolved { .. } => Error::DnsError { rcode: None, info_code: None },
        OutboundError::Connect { .. } => Error::ConnectionRefused,
        OutboundError::Certificate { .. } => Error::TlsCertificateError,
        OutboundError::Tls { .. } => Error::TlsProtocolError,
        OutboundError::BrokeOff => Error::HttpResponseIncomplete,
        OutboundError::Protocol => Error::HttpProtocolError,
        _ => Error::InternalError(None),
    }
}

#[cfg(test)]
mod tests;
