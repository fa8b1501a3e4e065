//! What host and worker say to one another, as JSON.
//!
//! Documents travel as text inside text: so each comes out to the letter as it went in, and what a worker sends is
//! parsed with the bounds of any document of a tenant's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stepcell_model::attempt::{AttemptOutcome, AttemptTrace, CellLimits, ExecutionInfo, StepCall};
use stepcell_model::failure::Failure;
use stepcell_model::grants::StepGrants;
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{ContextKey, SecretName};
use stepcell_model::record::ExecutionRecord;
use stepcell_model::secret::SecretText;
use stepcell_outbound::{OutboundError, OutboundRequest, OutboundResponse};

use crate::config::Walls;
use crate::entry::{Entry, Report};

/// What a worker is held to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkOrder {
    /// The walls of its cells.
    pub(crate) walls: Walls,
}

/// To a worker: enter a cell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntryOrder<'a> {
    entry: Cow<'a, Entry>,
    component: ComponentDigest,
    info: Cow<'a, ExecutionInfo>,
    input: Cow<'a, str>,
    context: BTreeMap<ContextKey, Cow<'a, str>>,
    metadata: BTreeMap<ContextKey, Cow<'a, str>>,
    config: BTreeMap<String, Cow<'a, str>>,
    history: Cow<'a, [ExecutionRecord]>,
    previous: Option<Cow<'a, str>>,
    limits: CellLimits,
    grants: Cow<'a, StepGrants>,
    secrets: BTreeMap<SecretName, Option<Cow<'a, str>>>,
}

impl<'a> EntryOrder<'a> {
    pub(crate) fn new(call: &'a StepCall, entry: &'a Entry) -> Self {
        let texts = |data: &'a BTreeMap<ContextKey, Json>| {
            data.iter().map(|(key, value)| (key.clone(), Cow::Borrowed(value.text()))).collect()
        };
        let config = call.config.iter().map(|(key, value)| (key.clone(), Cow::Borrowed(value.text())));
        let secrets = call.secrets.iter();
        Self {
            entry: Cow::Borrowed(entry),
            component: call.component,
            info: Cow::Borrowed(&call.info),
            input: Cow::Borrowed(call.input.text()),
            context: texts(&call.context),
            metadata: texts(&call.metadata),
            config: config.collect(),
            history: Cow::Borrowed(&call.history),
            previous: call.previous.as_ref().map(|previous| Cow::Borrowed(previous.text())),
            limits: call.limits,
            grants: Cow::Borrowed(&call.grants),
            secrets: secrets
                .map(|(name, secret)| (name.clone(), secret.as_ref().map(|secret| Cow::Borrowed(secret.expose()))))
                .collect(),
        }
    }

    /// The call and what the cell is entered for. The host's texts were checked when they came to it.
    pub(crate) fn into_call(self) -> (StepCall, Entry) {
        let json = |text: Cow<'_, str>| Json::trusted(text.into_owned());
        let data = |texts: BTreeMap<ContextKey, Cow<'_, str>>| {
            Arc::new(texts.into_iter().map(|(key, text)| (key, json(text))).collect())
        };
        let secret = |text: Cow<'_, str>| SecretText::new(text.into_owned());
        let call = StepCall {
            component: self.component,
            info: self.info.into_owned(),
            input: json(self.input),
            context: data(self.context),
            metadata: data(self.metadata),
            config: Arc::new(self.config.into_iter().map(|(key, text)| (key, json(text))).collect()),
            history: Arc::new(self.history.into_owned()),
            previous: self.previous.map(json),
            limits: self.limits,
            grants: self.grants.into_owned(),
            secrets: Arc::new(self.secrets.into_iter().map(|(name, text)| (name, text.map(secret))).collect()),
        };
        (call, self.entry.into_owned())
    }
}

/// From a worker: what came of code that was to be loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Loaded {
    /// It is ready.
    Ready,
    /// It is no code of this runtime.
    Damaged(String),
    /// It does not fit what the host provides.
    Refused(String),
}

/// From a worker: what came of entering a cell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) writes: Vec<(String, Option<String>)>,
    pub(crate) trace: AttemptTrace,
}

/// How it ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// With an output; and why the hook after it failed, if it did.
    Succeeded(String, Option<Failure>),
    /// The guard said no.
    Skipped,
    /// It failed.
    Failed(Failure),
    /// The hook ended; why it failed, if it did.
    Hook(Option<Failure>),
}

impl From<Report> for Answer {
    fn from(report: Report) -> Self {
        let (outcome, writes, trace) = match report {
            Report::Attempt(report) => {
                let outcome = match report.outcome {
                    AttemptOutcome::Succeeded(output) => {
                        Outcome::Succeeded(output.text().to_owned(), report.hook_failure)
                    }
                    AttemptOutcome::Skipped => Outcome::Skipped,
                    AttemptOutcome::Failed(failure) => Outcome::Failed(failure),
                };
                (outcome, report.writes, report.trace)
            }
            Report::Hook(report) => (Outcome::Hook(report.failure), report.writes, report.trace),
        };
        let text = |value: Option<Json>| value.map(|value| value.text().to_owned());
        let writes = writes.into_iter().map(|(key, value)| (key.to_string(), text(value))).collect();
        Self { outcome, writes, trace }
    }
}

/// From a worker: send this for the cell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HttpAsked {
    pub(crate) number: u64,
    pub(crate) request: OutboundRequest,
}

/// To a worker: what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HttpAnswered {
    pub(crate) number: u64,
    pub(crate) answer: Result<OutboundResponse, OutboundError>,
}
