//! Events of a server as they come.
//!
//! A stream that breaks is taken up again behind the last event that was told, so that nothing is missed and nothing told
//! twice. It ends only where the server says so.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use stepcell_server::wire::EventRow;

use super::answer::{ANSWER_LEN_BYTES_MAX, Answer, Broken};
use super::blocks::{Block, Blocks};
use super::{ANSWER_TIMEOUT, Ask, REPEAT_DELAY, Server};
use crate::cli::exit::Refused;

/// How long nothing may come before the connection is taken for broken. A server tells every 15 seconds that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How often in a row a stream is taken up again that tells nothing: for about 25 seconds, in which a server can be started
/// anew. Protects the server, and patience.
const RESUMES_MAX: u32 = 7;

/// Where events are told.
const PATH: &[&str] = &["events"];

/// Which events are asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// What the server shall look at, by the names of its parameters.
    pub(crate) filter: Vec<(&'static str, String)>,
    /// Whether to go on with what happens from now on.
    pub(crate) follow: bool,
    /// After how many events to end; those of one transition stay together.
    pub(crate) limit: Option<u64>,
}

/// A stream of events of a server.
pub(crate) struct EventStream<'a> {
    server: &'a Server,
    wanted: Wanted,
    open: Option<(Response, Blocks)>,
    /// The place behind what was told.
    last_id: Option<String>,
    /// The position of the last event that was told.
    position: Option<u64>,
    told: u64,
    /// How often it was taken up again since something was told.
    resumes: u32,
}

impl Server {
    /// Events, once the server has agreed to tell them.
    pub(crate) async fn events(&self, wanted: Wanted) -> anyhow::Result<EventStream<'_>> {
        let mut stream =
            EventStream { server: self, wanted, open: None, last_id: None, position: None, told: 0, resumes: 0 };
        stream.open().await?;
        Ok(stream)
    }

    /// Opens a stream; what is no stream is read as a whole.
    async fn open_stream(&self, ask: &Ask<'_>) -> Result<Result<Response, Answer>, Broken> {
        // How long it may take is looked at by whoever reads it.
        let response = self.request(ask).timeout(Duration::MAX).send().await?;
        if response.status().is_success() { Ok(Ok(response)) } else { Answer::read(response).await.map(Err) }
    }
}

impl EventStream<'_> {
    /// The next event; none where the server says that this is all.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<EventRow>> {
        loop {
            let Some(block) = self.next_block().await? else {
                self.open().await?;
                continue;
            };
            if block.is_comment {
                self.resumes = 0;
            }
            let Block { id, kind, data: Some(data), .. } = block else {
                self.last_id = block.id.or(self.last_id.take());
                continue;
            };
            if kind == "end" {
                return Ok(None);
            }
            let row: EventRow = serde_json::from_str(&data).map_err(|error| {
                let why = format!("the server tells of an event that is not understood here: {error}");
                Refused::unusable(why).hint("use the version of `stepcell` that the server has")
            })?;
            if self.left() == Some(0) && self.position != Some(row.position) {
                return Ok(None);
            }
            self.last_id = id.or(self.last_id.take());
            self.position = Some(row.position);
            self.told += 1;
            self.resumes = 0;
            return Ok(Some(row));
        }
    }

    /// The position of the last event that was told.
    pub(crate) const fn position(&self) -> Option<u64> {
        self.position
    }

    /// How many more events are asked for.
    fn left(&self) -> Option<u64> {
        self.wanted.limit.map(|limit| limit.saturating_sub(self.told))
    }

    /// What comes next; none if the connection broke.
    async fn next_block(&mut self) -> anyhow::Result<Option<Block>> {
        let Some((response, blocks)) = &mut self.open else { return Ok(None) };
        loop {
            if let Some(block) = blocks.next() {
                return Ok(Some(block));
            }
            let Ok(Ok(Some(bytes))) = tokio::time::timeout(SILENCE_MAX, response.chunk()).await else {
                self.open = None;
                return Ok(None);
            };
            blocks.push(&bytes).map_err(|malformed| {
                Refused::unusable(format!("the server's stream of events can not be read: {malformed}"))
            })?;
        }
    }

    /// Opens the stream, or takes it up again behind what was told.
    async fn open(&mut self) -> anyhow::Result<()> {
        let has_begun = self.last_id.is_some() || self.resumes > 0;
        loop {
            if has_begun || self.resumes > 0 {
                let Some(wait) = delay(self.resumes) else {
                    let why = format!("the stream of events from {} breaks again and again", self.server.base);
                    return Err(Refused::unusable(why).hint(self.how_to_go_on()).into());
                };
                tracing::info!(?wait, "the stream of events broke; it is taken up again");
                tokio::time::sleep(wait).await;
            }
            self.resumes += 1;
            let ask = self.ask();
            let opened = tokio::time::timeout(ANSWER_TIMEOUT, self.server.open_stream(&ask)).await;
            match opened {
                Ok(Ok(Ok(response))) => {
                    check_media_type(&response)?;
                    self.open = Some((response, Blocks::new(ANSWER_LEN_BYTES_MAX)));
                    return Ok(());
                }
                Ok(Ok(Err(answer))) => match answer.comes_too_early() {
                    Some(wait) if wait <= super::RETRY_AFTER_MAX => tokio::time::sleep(wait).await,
                    _ if has_begun && answer.status.is_server_error() => {}
                    _ => return answer.or_refused(&self.server.base).map(drop),
                },
                Ok(Err(broken)) if !has_begun && !broken.may_pass() => {
                    return Err(broken.told(&self.server.base).into());
                }
                // A server that was there may come back.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    fn how_to_go_on(&self) -> String {
        match self.position {
            Some(position) => format!("`--after {position}` goes on behind what was told"),
            None => "nothing was told yet".to_owned(),
        }
    }

    fn ask(&self) -> Ask<'static> {
        // What is left of a transition that the limit fell into: the next one is not waited for.
        let is_enough = self.left() == Some(0);
        let follow = self.wanted.follow && !is_enough;
        let ask = Ask::get(PATH).with(&self.wanted.filter).query("follow", Some(follow));
        ask.query("limit", self.left().map(|left| left.max(1))).head("last-event-id", self.last_id.clone())
    }
}

/// Refuses what is no stream of events.
fn check_media_type(response: &Response) -> Result<(), Refused> {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.starts_with("text/event-stream") {
        return Ok(());
    }
    let why = "the server answered with what is not understood here: it is no stream of events";
    Err(Refused::unusable(why).hint("use the version of `stepcell` that the server has"))
}

/// How long to wait before a stream is taken up again that was so as often as that.
fn delay(resumes: u32) -> Option<Duration> {
    (resumes < RESUMES_MAX).then(|| REPEAT_DELAY * 2_u32.pow(resumes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_up_again_long_enough_for_a_server_to_be_started_anew_and_not_for_ever() {
        let delays: Vec<_> = (0..).map_while(delay).collect();

        assert_eq!((delays.len(), delays[0]), (7, Duration::from_millis(200)));
        assert_eq!(delays.iter().sum::<Duration>(), Duration::from_millis(25_400));
    }
}
