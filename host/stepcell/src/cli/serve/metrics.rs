//! What is told to Prometheus. Labels are bounded by what there is in the code: no tenant, workflow, step or id is one.
//!
//! Requests are counted where they are answered, by the recorder; everything else is read where it is kept anyhow, when
//! somebody asks.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use stepcell::Host;
use stepcell::engine::{COMMIT_CLASSES_US, EngineCounts, WorkflowEngine};
use stepcell_server::{AUDIT_LEFT_OUT_TOTAL, AUDIT_LOST_TOTAL, REQUEST_DURATION, Traffic, TrafficCounts};
use stepcell_webhooks::{DispatchCounts, DispatchWatch};

/// The upper ends of the classes that requests are put into by how long they took, in seconds.
const REQUEST_CLASSES_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often what was recorded is summed up where nobody asks for it. Bounds what is kept until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The media type of the text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there is to tell.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Sources>);

struct Sources {
    recorded: PrometheusHandle,
    traffic: Arc<Traffic>,
    host: OnceLock<Watched>,
}

/// What is told of a host.
struct Watched {
    engine: WorkflowEngine,
    webhooks: Option<DispatchWatch>,
}

impl Metrics {
    /// Begins to record.
    pub(super) fn record(traffic: Arc<Traffic>) -> anyhow::Result<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(REQUEST_DURATION.to_owned()), REQUEST_CLASSES_S)
            .context("the classes of requests are in order")?;
        let recorder = builder.build_recorder();
        let recorded = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| anyhow::anyhow!("something else records metrics"))?;
        for counter in [AUDIT_LOST_TOTAL, AUDIT_LEFT_OUT_TOTAL] {
            // Shown from the beginning, so that an alert on them has something to look at.
            metrics::counter!(counter).absolute(0);
        }
        let upkeep = recorded.clone();
        tokio::spawn(async move {
            let mut times = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                times.tick().await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(Arc::new(Sources { recorded, traffic, host: OnceLock::new() })))
    }

    /// Tells of this host too.
    pub(super) fn tell_of(&self, host: &Host) {
        let _ = self.0.host.set(Watched { engine: host.engine().clone(), webhooks: host.watch_webhooks() });
    }

    /// Answers `GET /metrics`.
    pub(super) fn router(&self) -> Router {
        let metrics = self.clone();
        Router::new().route("/metrics", get(move || std::future::ready(([(CONTENT_TYPE, TEXT)], metrics.text()))))
    }

    fn text(&self) -> String {
        let sources = &self.0;
        let mut text = Text(sources.recorded.render());
        text.gauge("stepcell_build_info", "What runs.", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
        traffic(&mut text, &sources.traffic.counts());
        if let Some(host) = sources.host.get() {
            counts(&mut text, &host.engine.counts());
            webhooks(&mut text, host.webhooks.as_ref().map(DispatchWatch::counts).unwrap_or_default());
        }
        process(&mut text);
        text.0
    }
}

fn traffic(text: &mut Text, counts: &TrafficCounts) {
    let TrafficCounts { accepted, refused, open, in_flight, streams, slow_bodies, failed_handshakes } = counts;
    text.counter("stepcell_connections_accepted_total", "Connections that were let in.", *accepted);
    text.counter("stepcell_connections_refused_total", "Connections that there was no room for.", *refused);
    text.gauge("stepcell_connections", "Connections that are open.", "", *open);
    text.gauge("stepcell_http_requests_in_flight", "Requests that are being answered.", "", *in_flight);
    text.gauge("stepcell_live_streams", "Streams of events that are open.", "", *streams);
    text.counter("stepcell_http_slow_bodies_total", "Requests whose body came too slowly.", *slow_bodies);
    text.counter("stepcell_tls_handshakes_failed_total", "TLS handshakes that failed.", *failed_handshakes);
}

fn counts(text: &mut Text, counts: &EngineCounts) {
    text.head("stepcell_events_total", "counter", "Events of history that were committed, by type.");
    for (event, count) in &counts.events {
        text.value("stepcell_events_total", &format!("{{type=\"{event}\"}}"), *count);
    }
    text.head("stepcell_attempts_total", "counter", "Attempts that ended, by how.");
    for (class, count) in &counts.attempts {
        text.value("stepcell_attempts_total", &format!("{{outcome=\"{}\"}}", class.as_str()), *count);
    }
    let name = "stepcell_commit_duration_seconds";
    text.head(name, "histogram", "How long commits took.");
    for (end_us, count) in COMMIT_CLASSES_US.iter().zip(&counts.commits_by_class) {
        let end = Duration::from_micros(*end_us).as_secs_f64();
        text.value(&format!("{name}_bucket"), &format!("{{le=\"{end}\"}}"), *count);
    }
    text.value(&format!("{name}_bucket"), "{le=\"+Inf\"}", counts.commits);
    text.value(&format!("{name}_sum"), "", counts.commits_took.as_secs_f64());
    text.value(&format!("{name}_count"), "", counts.commits);
    text.counter("stepcell_commits_refused_total", "Commits that the store did not take.", counts.commits_refused);
    text.gauge("stepcell_room", "Attempts that may run at once.", "", counts.room);
    text.gauge("stepcell_room_in_use", "Attempts that run.", "", counts.room_in_use);
    text.gauge("stepcell_room_waiting", "Attempts that wait for room.", "", counts.room_waiting);
    text.gauge("stepcell_instances_moving", "Instances that are being moved.", "", counts.drivers);
    let help = "For how long the first instance waits to be woken whose time has come.";
    text.gauge("stepcell_due_lag_seconds", help, "", counts.due_lag.as_secs_f64());
}

fn webhooks(text: &mut Text, counts: DispatchCounts) {
    text.counter("stepcell_webhook_attempts_total", "Attempts to deliver webhooks.", counts.attempts);
    text.counter("stepcell_webhook_deliveries_total", "Webhooks that were delivered.", counts.taken);
    text.gauge("stepcell_webhooks_under_way", "Webhooks that are being delivered.", "", counts.under_way);
}

/// What the system says of this process, where it says it as Linux does.
fn process(text: &mut Text) {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|pages| pages.split_whitespace().nth(1)?.parse::<u64>().ok());
    if let Some(resident) = resident {
        let bytes = resident.saturating_mul(rustix::param::page_size() as u64);
        text.gauge("process_resident_memory_bytes", "Memory of this process that is in use.", "", bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Descriptors that are open.", "", open.count());
    }
    if let Some(max) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        text.gauge("process_max_fds", "Descriptors that may be open.", "", max);
    }
}

/// A text in the format of Prometheus.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.value(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &str, value: impl std::fmt::Display) {
        self.head(name, "gauge", help);
        self.value(name, labels, value);
    }
}
