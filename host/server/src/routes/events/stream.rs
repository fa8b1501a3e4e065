//! One client's stream. It holds a feed and at most one transition; a client that does not read is not written for, and
//! whoever serves closes its connection.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use stepcell_engine::{EventFeed, EventType, FeedStart};
use stepcell_store::{HistoryRow, StoreError};
use tokio::time::Instant;

use crate::api::ApiState;
use crate::auth::{Caller, Scope};
use crate::problem::{Problem, ProblemCode};
use crate::turns::Turn;
use crate::wire::EventRow;

/// When a client comes back whose connection was lost, in milliseconds.
const RETRY_MS: u32 = 3_000;

/// How often a comment shows that the stream is there. Keeps what stands between from closing it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How long it holds that the caller's credentials do. Bounds what is told after a key was revoked, and what it costs to
/// look.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Has proxies hand on what comes as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The place of an event: that of its transition, and of the event in it. Without the latter it is the whole transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    position: u64,
    index: Option<usize>,
}

impl Place {
    /// Reads the `id` of an event.
    pub(super) fn read(parameter: &str, id: &str) -> Result<Self, Problem> {
        let (position, index) = id.split_once('.').map_or((id, None), |(position, index)| (position, Some(index)));
        // As they are written: no sign, no space.
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
        let index = index.map(|index| number(index).and_then(|index| usize::try_from(index).ok()));
        match (number(position), index) {
            (Some(position), None) => Ok(Self { position, index: None }),
            (Some(position), Some(Some(index))) => Ok(Self { position, index: Some(index) }),
            _ => {
                let detail =
                    "it is not the `id` of an event; send the last one that was told, or `0` for the beginning";
                Err(Problem::parameter(parameter, detail))
            }
        }
    }

    /// Where a feed begins that tells what comes after.
    pub(super) const fn start(self) -> FeedStart {
        match self.index {
            // Others of the same transition may come after it.
            Some(_) => FeedStart::After(self.position.saturating_sub(1)),
            None => FeedStart::After(self.position),
        }
    }

    /// Refuses a place that the history has not come to, as with one of another database.
    pub(super) fn check(self, last: u64) -> Result<(), Problem> {
        if self.position <= last {
            return Ok(());
        }
        let detail = format!(
            "there is no event at position {}: the last one is at {last}; begin after a position of this database",
            self.position
        );
        Err(Problem::new(ProblemCode::PositionNotFound, detail))
    }

    /// Whether an event comes before this place or stands at it.
    fn has_passed(self, position: u64, index: usize) -> bool {
        position < self.position || (position == self.position && self.index.is_none_or(|last| index <= last))
    }
}

/// When a stream ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Whether it goes on with what happens from now on.
    follow: bool,
    /// How many more events it tells, whole transitions of them.
    left: Option<u64>,
}

impl Bounds {
    /// As a client asked for.
    pub(super) fn new(follow: Option<bool>, limit: Option<NonZeroU64>) -> Self {
        Self { follow: follow.unwrap_or(true), left: limit.map(NonZeroU64::get) }
    }
}

/// A stream of events for one caller.
pub(super) struct LiveStream {
    feed: EventFeed,
    types: Box<[EventType]>,
    after: Option<Place>,
    bounds: Bounds,
    api: ApiState,
    caller: Caller,
    head: Box<Parts>,
    _turn: Turn,
    has_begun: bool,
    has_ended: bool,
    checked_at: Instant,
    heartbeat_at: Instant,
}

impl LiveStream {
    pub(super) fn new(
        feed: EventFeed,
        types: Vec<EventType>,
        (after, bounds): (Option<Place>, Bounds),
        (api, caller, head, turn): (ApiState, Caller, Parts, Turn),
    ) -> Self {
        let now = Instant::now();
        Self {
            feed,
            types: types.into(),
            after,
            bounds,
            api,
            caller,
            head: Box::new(head),
            _turn: turn,
            has_begun: false,
            has_ended: false,
            checked_at: now,
            heartbeat_at: now + HEARTBEAT_INTERVAL,
        }
    }

    /// The answer.
    pub(super) fn into_response(self) -> Response {
        let chunks = unfold(self, |mut stream| async move {
            let chunk = stream.next_chunk().await?;
            Some((Ok::<_, Infallible>(Bytes::from(chunk)), stream))
        });
        let mut response = Response::new(Body::from_stream(chunks));
        let head = response.headers_mut();
        head.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        head.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }

    /// What is written next. There is nothing more once the caller may not see it, or the engine is gone.
    async fn next_chunk(&mut self) -> Option<String> {
        if !self.has_begun {
            self.has_begun = true;
            return Some(self.opening());
        }
        if self.has_ended {
            return None;
        }
        loop {
            if self.bounds.left == Some(0) {
                return Some(self.end());
            }
            let row = tokio::select! {
                biased;
                row = find_next(&mut self.feed, self.bounds) => Some(row),
                () = tokio::time::sleep_until(self.heartbeat_at) => None,
            };
            if !self.may_see().await {
                return None;
            }
            match row {
                None => {
                    self.heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
                    return Some(": still here\n\n".to_owned());
                }
                Some(Ok(Some(row))) => {
                    let chunk = self.written(&row);
                    if !chunk.is_empty() {
                        self.heartbeat_at = Instant::now() + HEARTBEAT_INTERVAL;
                        return Some(chunk);
                    }
                }
                Some(Ok(None)) if !self.bounds.follow => return Some(self.end()),
                Some(Ok(None)) => return None,
                Some(Err(error)) => {
                    // The client comes back, and is told then what is in the way.
                    tracing::warn!(%error, "a stream of events ends: the store can not be used");
                    return None;
                }
            }
        }
    }

    /// What stands before all events. Who is told what happens from now on knows at once where that is.
    fn opening(&self) -> String {
        match self.after {
            Some(_) => format!("retry: {RETRY_MS}\n\n"),
            None => format!("retry: {RETRY_MS}\nid: {}\n\n", self.feed.position()),
        }
    }

    /// What stands behind all events, where that is what was asked for.
    fn end(&mut self) -> String {
        self.has_ended = true;
        let position = self.feed.position();
        format!("id: {position}\nevent: end\ndata: {{\"position\":{position}}}\n\n")
    }

    /// The events of a transition that are wanted, as they are sent.
    fn written(&mut self, row: &HistoryRow) -> String {
        let entry = &row.entry;
        let mut chunk = String::new();
        for (index, event) in entry.events.iter().enumerate() {
            let is_wanted = self.types.is_empty() || self.types.contains(&event.event_type());
            if !is_wanted || self.after.is_some_and(|after| after.has_passed(entry.position, index)) {
                continue;
            }
            let data = serde_json::to_string(&EventRow::new(entry, event)).expect("the keys of an event are names");
            let (position, kind) = (entry.position, event.event_type());
            // JSON has no line ends outside its texts, and none that are not escaped within.
            let written = write!(chunk, "id: {position}.{index}\nevent: {kind}\ndata: {data}\n\n");
            written.expect("a string takes any text");
            self.bounds.left = self.bounds.left.map(|left| left.saturating_sub(1));
        }
        chunk
    }

    /// Whether the credentials hold still, and reach as far as they did.
    async fn may_see(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.checked_at) < CHECK_INTERVAL {
            return true;
        }
        self.checked_at = now;
        let Ok(Some(caller)) = self.api.guards().authenticate(&self.head).await else { return false };
        let is_admitted = match &caller.tenant {
            Some(tenant) => self.api.engine().check_known_tenant(tenant).await.is_ok(),
            None => true,
        };
        is_admitted && caller.tenant == self.caller.tenant && caller.scopes.allows(Scope::Viewer)
    }
}

/// What comes next; without following, of what there is.
async fn find_next(feed: &mut EventFeed, bounds: Bounds) -> Result<Option<Arc<HistoryRow>>, StoreError> {
    if bounds.follow { feed.next_shared().await } else { feed.find_next_shared().await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_event_is_a_place_and_other_texts_are_none() {
        assert_eq!(Place::read("after", "0").unwrap(), Place { position: 0, index: None });
        assert_eq!(Place::read("after", "17.3").unwrap(), Place { position: 17, index: Some(3) });
        for text in ["", ".", "1.", ".1", "-1", "+1", "1.-1", "1.2.3", " 1", "x", "99999999999999999999", "1.x"] {
            assert!(Place::read("after", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_stands_at_a_place_or_before_has_passed() {
        let event = Place { position: 7, index: Some(1) };
        let whole = Place { position: 7, index: None };
        let passed =
            |place: Place| [(6, 9), (7, 0), (7, 1), (7, 2), (8, 0)].map(|(at, index)| place.has_passed(at, index));

        assert_eq!(passed(event), [true, true, true, false, false]);
        assert_eq!(passed(whole), [true, true, true, true, false]);
        assert_eq!((event.start(), whole.start()), (FeedStart::After(6), FeedStart::After(7)));
    }
}
