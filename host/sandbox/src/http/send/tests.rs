//! Bodies that a guest writes in odd ways, and answers that it does not read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use async_trait::async_trait;
use http_body::Frame;
use http_body_util::StreamBody;
use stepcell_model::attempt::CellLimits;
use stepcell_model::grants::StepGrants;

use super::*;

/// Answers each request with as many bytes as it is told to, and sends nothing anywhere.
struct Echo(usize);

#[async_trait]
impl Outbound for Echo {
    async fn send(&self, request: OutboundRequest, _: &OutboundRules) -> Result<OutboundResponse, OutboundError> {
        let headers = vec![Header::new("x-sent", request.body.len().to_string())];
        Ok(OutboundResponse { status: 200, headers, body: vec![b'a'; self.0].into() })
    }
}

/// A sender whose bodies may have 10 bytes each, and 40 together.
fn sender(answer_bytes: usize) -> Sender {
    let limits =
        CellLimits { http_body_bytes_max: 10, http_time_max: Duration::from_millis(100), ..CellLimits::default() };
    let rules = OutboundRules::new(StepGrants::default(), "key", (&limits).into());
    Sender::new(rules, Arc::new(Echo(answer_bytes)), Denials::default(), Blanker::default())
}

fn request(frames: Vec<Result<Frame<Bytes>, Error>>) -> http::Request<WasiBody> {
    let body = StreamBody::new(futures::stream::iter(frames));
    http::Request::post("https://api.example/").body(body.boxed_unsync()).unwrap()
}

fn data(size: usize) -> Result<Frame<Bytes>, Error> {
    Ok(Frame::data(vec![b'a'; size].into()))
}

#[tokio::test]
async fn a_body_in_pieces_is_sent_whole() {
    let response = sender(0).send(request(vec![data(4), data(0), data(6)]), None).await.unwrap();

    assert_eq!(response.headers()["x-sent"], "10");
}

#[tokio::test]
async fn a_body_past_its_limit_broken_off_or_with_trailers_is_not_sent() {
    let sender = sender(0);
    let trailers = Ok(Frame::trailers(http::HeaderMap::new()));

    let error = sender.send(request(vec![data(6), data(5)]), None).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestBodySize(Some(10))), "{error:?}");
    let error = sender.send(request(vec![data(6), Err(Error::HttpProtocolError)]), None).await.unwrap_err();
    assert!(matches!(error, Error::HttpProtocolError), "{error:?}");
    let error = sender.send(request(vec![data(6), trailers]), None).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestTrailerSectionSize(_)), "{error:?}");

    assert_eq!(sender.bytes_out(), 0);
    assert_eq!(sender.send(request(vec![data(10)]), None).await.unwrap().headers()["x-sent"], "10");
}

#[tokio::test]
async fn a_body_that_is_never_finished_ends_with_the_requests_time() {
    let body = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Error>>()).boxed_unsync();
    let request = http::Request::post("https://api.example/").body(body).unwrap();

    let error = sender(0).send(request, None).await.unwrap_err();

    assert!(matches!(error, Error::HttpResponseTimeout), "{error:?}");
}

#[tokio::test]
async fn answers_that_are_not_read_are_held_up_to_a_bound() {
    let sender = sender(10);
    let mut unread = Vec::new();
    for _ in 0..4 {
        unread.push(sender.send(request(vec![]), None).await.unwrap());
    }

    let error = sender.send(request(vec![]), None).await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseBodySize(Some(10))), "{error:?}");

    let read = unread.pop().unwrap().into_body().collect().await.unwrap();
    assert_eq!(read.to_bytes().len(), 10);
    assert!(sender.send(request(vec![]), None).await.is_ok());
}
