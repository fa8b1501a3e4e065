//! Answers that clients have not taken yet: what they hold together is bounded, and what those of one tenant do.
//!
//! An answer is made as a whole and then waits for its client. So a stranger who asks for long ones on many connections, and
//! reads none of them, would hold as much memory as they like. Short answers are not counted: connections are.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use stepcell_model::name::TenantId;

use crate::auth::Caller;
use crate::problem::{Problem, ProblemCode};
use crate::turns::{Turn, Turns};

/// What answers may hold together that nobody has taken yet, in bytes.
const UNTAKEN_BYTES_MAX: usize = 1 << 30;

/// What those of one tenant may hold, in bytes, and those of all strangers; less where little is left, of which one takes
/// half at most. Keeps room for everybody else; a page of the longest instances fits while two others hold what they may.
const UNTAKEN_BYTES_OF_TENANT_MAX: usize = 256 << 20;

/// An answer that is not longer is not counted.
const SHORT_LEN_BYTES: u64 = 64 << 10;

/// How much of an answer is handed to its connection at once, in bytes: what is handed over counts no more.
const PIECE_LEN_BYTES: usize = 64 << 10;

/// Under what answers are counted that anybody may ask for: no tenant is called so.
const STRANGERS: &str = "\n";

/// Counts what answers hold.
pub(crate) struct Untaken(Turns);

impl Untaken {
    pub(crate) fn new() -> Self {
        Self(Turns::new(UNTAKEN_BYTES_MAX, UNTAKEN_BYTES_OF_TENANT_MAX).halved())
    }

    /// The same answer, which holds room of its caller's tenant until it was taken.
    ///
    /// # Errors
    /// A [`Problem`] if there is none.
    pub(crate) async fn hold(&self, caller: &Caller, answer: Response) -> Result<Response, Problem> {
        self.hold_of(whose(caller), answer).await
    }

    /// Refuses to do something for a tenant whose answers hold all that they may: its answer would come on top.
    ///
    /// # Errors
    /// A [`Problem`] then.
    pub(crate) fn check(&self, caller: &Caller) -> Result<(), Problem> {
        if self.0.is_full(whose(caller)) { Err(no_room()) } else { Ok(()) }
    }

    /// The same answer, which tells what was done, and so is counted however little room there is.
    pub(crate) async fn hold_done(&self, caller: &Caller, answer: Response) -> Response {
        let Some(len) = long(&answer) else { return answer };
        let turn = self.0.take_anyway(whose(caller), len);
        held(answer, len, turn).await.unwrap_or_else(IntoResponse::into_response)
    }

    /// The same answer, which holds room of strangers until it was taken.
    ///
    /// # Errors
    /// A [`Problem`] if there is none.
    pub(crate) async fn hold_of_strangers(&self, answer: Response) -> Result<Response, Problem> {
        self.hold_of(STRANGERS, answer).await
    }

    async fn hold_of(&self, whose: &str, answer: Response) -> Result<Response, Problem> {
        let Some(len) = long(&answer) else { return Ok(answer) };
        let turn = self.0.take_room(whose, len).ok_or_else(no_room)?;
        held(answer, len, turn).await
    }
}

/// Under what the answers to a caller are counted.
fn whose(caller: &Caller) -> &str {
    caller.tenant.as_ref().map_or("", TenantId::as_str)
}

/// How long an answer is, if it is long enough to be counted.
fn long(answer: &Response) -> Option<usize> {
    let len = answer.body().size_hint().exact().filter(|len| *len > SHORT_LEN_BYTES);
    len.map(|len| usize::try_from(len).unwrap_or(usize::MAX))
}

fn no_room() -> Problem {
    let detail = "too many long answers wait for whoever asked for them; take those first, or ask for less at once";
    Problem::new(ProblemCode::Unavailable, detail).retry_after(crate::api::TURN_RETRY)
}

async fn held(answer: Response, len: usize, turn: Turn) -> Result<Response, Problem> {
    let (head, body) = answer.into_parts();
    let left = to_bytes(body, len).await.map_err(|_| Problem::internal())?;
    Ok(Response::from_parts(head, Body::new(Held { left, _turn: turn })))
}

/// An answer that is handed on piece by piece.
struct Held {
    left: Bytes,
    _turn: Turn,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.left.len().min(PIECE_LEN_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    fn of_tenant(tenant: &str) -> Caller {
        Caller::of_tenant(tenant.parse().unwrap(), "ann".parse().unwrap(), Scopes::all())
    }

    #[tokio::test]
    async fn what_was_done_is_told_and_a_tenant_that_takes_no_answers_does_nothing_more() {
        let (untaken, greedy) = (Untaken::new(), of_tenant("greedy"));
        let answer = || Response::new(Body::from(vec![b'x'; UNTAKEN_BYTES_OF_TENANT_MAX / 2 + 1]));
        let first = untaken.hold_done(&greedy, answer()).await;
        assert!(untaken.check(&greedy).is_ok());

        let second = untaken.hold_done(&greedy, answer()).await;

        assert!(second.status().is_success(), "it is done, and so it is told");
        assert_eq!(untaken.check(&greedy).unwrap_err().code(), ProblemCode::Unavailable);
        assert!(untaken.check(&of_tenant("other")).is_ok());
        assert!(to_bytes(first.into_body(), usize::MAX).await.is_ok());
        assert!(untaken.check(&greedy).is_ok(), "what was taken leaves room");
        drop(second);
    }
}
