//! A server as verbs see it: what they ask of it, and what its refusals mean here.
//!
//! Verbs that change something either send what makes the request safe to repeat, or do not repeat it: what the server may
//! have done already is not done twice because an answer was lost. Redirections are not followed, so that a key goes
//! nowhere but where it was sent.

mod answer;
mod ask;
mod blocks;
mod flags;
mod history;
mod pages;
mod settled;
mod stream;
mod tls;

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use stepcell::model::id::InstanceId;
use stepcell_server::wire::Instance;

use self::answer::Answer;
pub(crate) use self::ask::Ask;
use self::flags::Key;
pub(crate) use self::flags::ServerFlags;
pub(crate) use self::history::entries_of;
pub(crate) use self::stream::{EventStream, Wanted};
use super::exit::Refused;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one request may take from its first byte to the last one of its answer. An upload is compiled meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// How often a request is sent again whose connection broke or that came too early. Protects the server, and patience.
const REPEATS_MAX: u32 = 4;

/// How long the first repetition waits after a broken connection; each one after it waits twice as long.
const REPEAT_DELAY: Duration = Duration::from_millis(200);

/// The longest that a server may ask for patience. Whatever takes longer is told at once.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Refuses what a server knows by the key, such as who acts.
pub(crate) fn not_on_server<T>(flag: &str, given: Option<&T>) -> anyhow::Result<()> {
    if given.is_none() {
        return Ok(());
    }
    let why = format!("`{flag}` can not be said to a server: whoever's key it is acts; leave `{flag}` out");
    Err(Refused::input(why).into())
}

/// A server, and the key that opens it.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    /// The address of its API, prefix included, with no `/` at its end.
    base: Url,
    key: Option<Key>,
}

impl Server {
    fn new(base: Url, key: Option<Key>, roots_pem: Option<&str>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config(roots_pem.unwrap_or_default())?)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("stepcell/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Refused::unusable(format!("can not begin to speak HTTP: {error}")))?;
        Ok(Self { client, base, key })
    }

    /// Reads what stands at a path, given by its segments.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        self.send(Ask::get(path)).await?.json()
    }

    /// Asks for something, and reads the answer as JSON.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> anyhow::Result<T> {
        self.send(ask).await?.json()
    }

    /// Asks for something that is no JSON.
    pub(crate) async fn ask_text(&self, ask: Ask<'_>) -> anyhow::Result<String> {
        self.send(ask).await?.text()
    }

    /// An instance with all that is shown of it.
    pub(crate) async fn instance(&self, id: InstanceId) -> anyhow::Result<Instance> {
        self.get(&["instances", &id.to_string()]).await
    }

    /// Does something to an instance that is not safe to repeat, such as `pause`.
    pub(crate) async fn operate(&self, path: &[&str], body: Option<Value>) -> anyhow::Result<()> {
        let ask = Ask::post(path);
        self.send(if let Some(body) = body { ask.json(&body) } else { ask }).await?;
        Ok(())
    }

    /// Sends a request, again where that is safe and may help.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> anyhow::Result<Answer> {
        let mut repeats = 0;
        loop {
            let outcome = self.send_once(&ask).await;
            let wait = match &outcome {
                Ok(answer) => answer.comes_too_early(),
                Err(broken) if ask.is_repeatable() && broken.may_pass() => Some(REPEAT_DELAY * 2_u32.pow(repeats)),
                Err(_) => None,
            };
            match wait {
                Some(wait) if repeats < REPEATS_MAX && wait <= RETRY_AFTER_MAX => {
                    tracing::info!(?wait, "the request is sent again");
                    tokio::time::sleep(wait).await;
                    repeats += 1;
                }
                _ => return outcome.map_err(|broken| broken.told(&self.base))?.or_refused(&self.base),
            }
        }
    }

    async fn send_once(&self, ask: &Ask<'_>) -> Result<Answer, answer::Broken> {
        Answer::read(self.request(ask).send().await?).await
    }

    fn request(&self, ask: &Ask<'_>) -> RequestBuilder {
        let request = ask.request(&self.client, &self.base);
        match &self.key {
            Some(key) => request.bearer_auth(key.text()),
            None => request,
        }
    }
}
