//! Tells a collector of OTLP what instances do: an instance is a trace, an execution a span.
//!
//! All of it is read from history, behind whoever commits: nobody waits for a collector, and one that can not be reached costs
//! the spans of that time and nothing else. What happens while nobody tells is not told later.

mod spans;

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use stepcell::engine::{EventFeed, EventFilter, FeedStart, WorkflowEngine};
use stepcell::model::history::HistoryEntry;
use stepcell::store::StoreError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::spans::Spans;
use super::super::exit::Refused;

/// How many spans are sent at once. Bounds memory, and what a collector has to read.
const BATCH_LEN_MAX: usize = 512;

/// How long a span waits for others.
const BATCH_AGE_MAX: Duration = Duration::from_secs(1);

/// How long a collector may take for a batch before that is given up.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The rest before history is read again after it could not be.
const STORE_REST: Duration = Duration::from_secs(1);

/// How many entries of history are still told when the process stops.
const LAST_ENTRIES_MAX: usize = 10_000;

/// Variables that name a collector where no flag does.
const ENDPOINT_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// A way to a collector.
pub(super) struct Collector(OtlpExporter);

impl Collector {
    /// The collector at an address, or at the one that the standard variables name; none if nobody names one.
    pub(super) fn find(endpoint: Option<&str>) -> anyhow::Result<Option<Self>> {
        let is_named = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if endpoint.is_none() && !ENDPOINT_VARIABLES.iter().any(is_named) {
            return Ok(None);
        }
        // The provider of the whole process; another one that is there already does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = OtlpExporter::builder().with_http();
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(traces_url(endpoint)?);
        }
        let mut exporter = builder.build().context("can not tell traces")?;
        exporter.set_resource(&resource());
        Ok(Some(Self(exporter)))
    }

    async fn send(&self, batch: Vec<SpanData>) -> Result<(), String> {
        match tokio::time::timeout(EXPORT_TIMEOUT, self.0.export(batch)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it took too long".to_owned()),
        }
    }
}

/// Where a collector takes traces: its own path if the address has one, else the usual one.
fn traces_url(endpoint: &str) -> anyhow::Result<String> {
    let refused = |why: &str| Refused::input(format!("`--otlp-endpoint {endpoint}`: {why}"));
    let uri: http::Uri = endpoint.parse().map_err(|_| refused("that is no address such as http://127.0.0.1:4318"))?;
    let authority = uri.authority().ok_or_else(|| refused("it has no host; write http://127.0.0.1:4318"))?;
    if authority.as_str().contains('@') {
        let why = "an address is shown and logged; put credentials into OTEL_EXPORTER_OTLP_HEADERS";
        return Err(Refused::input(format!("`--otlp-endpoint`: {why}")).into());
    }
    Ok(if uri.path() == "/" { format!("{}/v1/traces", endpoint.trim_end_matches('/')) } else { endpoint.to_owned() })
}

/// Who tells, as the standard variables say.
fn resource() -> Resource {
    let says = |name, part: &str| std::env::var(name).is_ok_and(|value| value.contains(part));
    let builder = Resource::builder();
    let is_named = says("OTEL_SERVICE_NAME", "") || says("OTEL_RESOURCE_ATTRIBUTES", "service.name=");
    if is_named { builder.build() } else { builder.with_service_name("stepcell").build() }
}

/// Somebody who tells.
pub(super) struct Telling {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Telling {
    /// Begins to tell of what happens from now on.
    pub(super) async fn begin(engine: &WorkflowEngine, collector: Collector) -> Self {
        let (stop, stopped) = watch::channel(false);
        let teller = Teller { engine: engine.clone(), collector, spans: Spans::default(), batch: Vec::new() };
        let feed = teller.open().await;
        Self { stop, task: tokio::spawn(teller.tell(feed, stopped)) }
    }

    /// Tells the rest, and ends.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "whoever tells traces ended in disorder");
        }
    }
}

struct Teller {
    engine: WorkflowEngine,
    collector: Collector,
    spans: Spans,
    batch: Vec<SpanData>,
}

/// What there is to do next.
enum Next {
    Entry(Result<Option<HistoryEntry>, StoreError>),
    Send,
    Stop,
}

impl Teller {
    async fn tell(mut self, mut feed: Option<EventFeed>, mut stopped: watch::Receiver<bool>) {
        let mut send_at = Instant::now();
        loop {
            let reading = match &mut feed {
                Some(feed) => feed,
                None => match self.open().await {
                    Some(opened) => feed.insert(opened),
                    None => return,
                },
            };
            let next = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => Next::Stop,
                () = tokio::time::sleep_until(send_at), if !self.batch.is_empty() => Next::Send,
                entry = reading.next() => Next::Entry(entry),
            };
            match next {
                Next::Entry(Ok(Some(entry))) => {
                    if self.batch.is_empty() {
                        send_at = Instant::now() + BATCH_AGE_MAX;
                    }
                    self.take(entry).await;
                    if self.batch.len() < BATCH_LEN_MAX {
                        continue;
                    }
                }
                Next::Entry(Ok(None)) => return self.send().await.unwrap_or_default(),
                Next::Entry(Err(error)) => {
                    tracing::warn!(%error, "can not read history for traces");
                    tokio::time::sleep(STORE_REST).await;
                    continue;
                }
                Next::Send => {}
                Next::Stop => return self.tell_last(reading).await,
            }
            if let Err(error) = self.send().await {
                tracing::warn!(error, "the collector took no traces; what happened meanwhile is not told");
                self.spans = Spans::default();
                feed = None;
            }
        }
    }

    async fn open(&self) -> Option<EventFeed> {
        loop {
            match self.engine.events(EventFilter::default(), FeedStart::Now).await {
                Ok(feed) => return Some(feed),
                Err(_) if self.engine.fault().is_some() => return None,
                Err(error) => {
                    tracing::warn!(%error, "can not read history for traces");
                    tokio::time::sleep(STORE_REST).await;
                }
            }
        }
    }

    async fn take(&mut self, entry: HistoryEntry) {
        match self.spans.take(self.engine.store().as_ref(), &entry).await {
            Ok(spans) => self.batch.extend(spans),
            Err(error) => tracing::debug!(%error, "an entry of history is not told"),
        }
    }

    /// What is there already is told, and what came of attempts that ended late is not.
    async fn tell_last(mut self, feed: &mut EventFeed) {
        for _ in 0..LAST_ENTRIES_MAX {
            let Ok(Some(entry)) = feed.find_next().await else { break };
            self.take(entry).await;
            if self.batch.len() >= BATCH_LEN_MAX && self.send().await.is_err() {
                return;
            }
        }
        let _ = self.send().await;
    }

    async fn send(&mut self) -> Result<(), String> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() { Ok(()) } else { self.collector.send(batch).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_is_that_of_a_collector_and_one_with_credentials_is_refused() {
        assert_eq!(traces_url("http://127.0.0.1:4318").unwrap(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(traces_url("http://127.0.0.1:4318/").unwrap(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(traces_url("https://a.example/otlp/traces").unwrap(), "https://a.example/otlp/traces");
        for wrong in ["", "/v1/traces", "http://user:hidden@a.example"] {
            let refusal = traces_url(wrong).unwrap_err().to_string();
            assert!(!refusal.contains("hidden"), "{refusal}");
        }
    }
}
