//! Spans from history: each is made when what it stands for has ended.
//!
//! What is open is remembered for a bounded number of instances; of another one it is read from its history when something
//! happens to it. Spans have no data of tenants: names, numbers, times, and codes of failures.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Event as SpanEvent, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use stepcell::model::failure::Failure;
use stepcell::model::history::{Event, HistoryEntry};
use stepcell::model::id::{ExecutionNumber, InstanceId};
use stepcell::model::record::InstanceIdentity;
use stepcell::model::status::StepType;
use stepcell::model::time::Timestamp;
use stepcell::model::trace::TraceContext;
use stepcell::store::{StoreError, WorkflowStore};

/// Of how many instances it is remembered what is open. Bounds memory; with more it is read anew.
const INSTANCES_LEN_MAX: usize = 10_000;

/// How much of an instance's history is read to find out what is open, in rows.
const HISTORY_LEN_MAX: u32 = 1_000;

/// How many attempts of one execution are told. Bounds memory.
const EVENTS_LEN_MAX: usize = 64;

/// What is open of the instances that are moving.
#[derive(Default)]
pub(super) struct Spans {
    traces: HashMap<InstanceId, Trace>,
}

/// One instance.
struct Trace {
    root: TraceContext,
    parent: Option<TraceContext>,
    started_by: Option<SpanContext>,
    instance: InstanceId,
    attributes: Vec<KeyValue>,
    name: String,
    started_at: Timestamp,
    open: BTreeMap<ExecutionNumber, Open>,
}

/// One execution that has begun.
struct Open {
    step: String,
    kind: Option<StepType>,
    part_of: Option<ExecutionNumber>,
    since: Timestamp,
    events: SpanEvents,
}

impl Spans {
    /// The spans that an entry of history ends.
    pub(super) async fn take(
        &mut self,
        store: &dyn WorkflowStore,
        entry: &HistoryEntry,
    ) -> Result<Vec<SpanData>, StoreError> {
        if !self.traces.contains_key(&entry.instance) {
            let Some(trace) = Trace::find(store, entry).await? else { return Ok(Vec::new()) };
            if self.traces.len() >= INSTANCES_LEN_MAX {
                self.traces.clear();
            }
            self.traces.insert(entry.instance, trace);
        }
        let Some(trace) = self.traces.get_mut(&entry.instance) else { return Ok(Vec::new()) };
        let mut spans = Vec::new();
        let is_over = trace.take(entry, &mut spans);
        if !trace.root.is_sampled() {
            spans.clear();
        }
        if is_over {
            self.traces.remove(&entry.instance);
        }
        Ok(spans)
    }
}

impl Trace {
    /// What is open of an instance before an entry of its history.
    async fn find(store: &dyn WorkflowStore, entry: &HistoryEntry) -> Result<Option<Self>, StoreError> {
        let Some(summary) = store.find_instance(entry.instance).await? else { return Ok(None) };
        let mut trace = Self::of(&summary.identity);
        if let Some(link) = &summary.identity.parent
            && let Some(above) = store.find_instance(link.instance).await?
        {
            let parent = TraceContext::of_metadata(&above.identity.metadata);
            let execution = link.execution.id(link.instance);
            trace.started_by = Some(span_context(TraceContext::of_execution(link.instance, execution, parent)));
        }
        if entry.seq > 1 {
            let mut told = Vec::new();
            for before in store.list_history(entry.instance, 0, HISTORY_LEN_MAX).await? {
                if before.seq < entry.seq {
                    trace.take(&before, &mut told);
                    told.clear();
                }
            }
        }
        Ok(Some(trace))
    }

    fn of(identity: &InstanceIdentity) -> Self {
        let parent = TraceContext::of_metadata(&identity.metadata);
        let mut attributes = vec![
            KeyValue::new("stepcell.instance", identity.id.to_string()),
            KeyValue::new("stepcell.workflow", identity.workflow_name.to_string()),
            KeyValue::new("stepcell.workflow.version", identity.workflow_version.to_string()),
        ];
        attributes.extend(identity.tenant.iter().map(|tenant| KeyValue::new("stepcell.tenant", tenant.to_string())));
        Self {
            root: TraceContext::of_instance(identity.id, parent),
            parent,
            started_by: None,
            instance: identity.id,
            attributes,
            name: identity.workflow_name.to_string(),
            started_at: identity.started_at,
            open: BTreeMap::new(),
        }
    }

    /// Takes what happened, and answers whether the instance is over.
    fn take(&mut self, entry: &HistoryEntry, spans: &mut Vec<SpanData>) -> bool {
        let at = entry.at;
        let mut is_over = false;
        for event in &entry.events {
            match event {
                Event::StepActivated { execution, step, step_type, part_of, .. } => {
                    let (kind, part_of) = (Some(*step_type), *part_of);
                    let events = SpanEvents::default();
                    self.open.insert(*execution, Open { step: step.to_string(), kind, part_of, since: at, events });
                }
                Event::StepStarted { execution, attempt, .. } => self.note(*execution, at, "attempt", *attempt, None),
                Event::StepRetryScheduled { execution, attempt, failure, .. } => {
                    self.note(*execution, at, "attempt failed", *attempt, Some(failure));
                }
                Event::StepCompleted { execution, .. } => spans.extend(self.end(*execution, at, "completed", None)),
                Event::StepSkipped { execution, .. } => spans.extend(self.end(*execution, at, "skipped", None)),
                Event::StepCanceled { execution, .. } => spans.extend(self.end(*execution, at, "canceled", None)),
                Event::StepFailed { execution, failure, .. } => {
                    spans.extend(self.end(*execution, at, "failed", Some(failure.code.as_str())));
                }
                Event::WorkflowCompleted => is_over |= self.end_all(at, "completed", None, spans),
                Event::WorkflowCanceled { .. } => is_over |= self.end_all(at, "canceled", None, spans),
                Event::WorkflowFailed { error } => {
                    is_over |= self.end_all(at, "failed", Some(error.code.as_str()), spans);
                }
                _ => {}
            }
        }
        is_over
    }

    fn note(
        &mut self,
        number: ExecutionNumber,
        at: Timestamp,
        what: &'static str,
        attempt: u32,
        why: Option<&Failure>,
    ) {
        let Some(open) = self.open.get_mut(&number) else { return };
        if open.events.events.len() >= EVENTS_LEN_MAX {
            open.events.dropped_count += 1;
            return;
        }
        let mut attributes = vec![KeyValue::new("stepcell.attempt", i64::from(attempt))];
        attributes.extend(why.map(|failure| KeyValue::new("error.type", failure.code.to_string())));
        open.events.events.push(SpanEvent::new(what, time(at), attributes, 0));
    }

    fn end(
        &mut self,
        number: ExecutionNumber,
        at: Timestamp,
        how: &'static str,
        code: Option<&str>,
    ) -> Option<SpanData> {
        let open = self.open.remove(&number)?;
        let context = TraceContext::of_execution(self.instance, number.id(self.instance), self.parent);
        let above = open
            .part_of
            .map_or(self.root, |above| TraceContext::of_execution(self.instance, above.id(self.instance), self.parent));
        let mut attributes = self.attributes.clone();
        attributes.push(KeyValue::new("stepcell.step", open.step.clone()));
        attributes.extend(open.kind.map(|kind| KeyValue::new("stepcell.step.type", kind.to_string())));
        attributes.push(KeyValue::new("stepcell.status", how));
        let mut span = span(context, open.step, (open.since, at), attributes, code);
        span.parent_span_id = SpanId::from_bytes(above.span_id);
        span.events = open.events;
        Some(span)
    }

    /// Ends the instance itself. Whatever of it is still open ended with it.
    fn end_all(&mut self, at: Timestamp, how: &'static str, code: Option<&str>, spans: &mut Vec<SpanData>) -> bool {
        let open: Vec<_> = self.open.keys().copied().collect();
        spans.extend(open.into_iter().filter_map(|number| self.end(number, at, "canceled", None)));
        let mut attributes = self.attributes.clone();
        attributes.push(KeyValue::new("stepcell.status", how));
        let mut span = span(self.root, self.name.clone(), (self.started_at, at), attributes, code);
        if let Some(parent) = self.parent {
            span.parent_span_id = SpanId::from_bytes(parent.span_id);
            span.parent_span_is_remote = true;
        }
        let mut links = SpanLinks::default();
        links.links.extend(self.started_by.clone().map(Link::with_context));
        span.links = links;
        spans.push(span);
        true
    }
}

fn span(
    context: TraceContext,
    name: String,
    (since, until): (Timestamp, Timestamp),
    mut attributes: Vec<KeyValue>,
    code: Option<&str>,
) -> SpanData {
    attributes.extend(code.map(|code| KeyValue::new("error.type", code.to_owned())));
    SpanData {
        span_context: span_context(context),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: time(since),
        // A clock that was set back makes no span of a negative length.
        end_time: time(until.max(since)),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: code.map_or(Status::Unset, |code| Status::error(code.to_owned())),
        instrumentation_scope: InstrumentationScope::builder("stepcell")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn span_context(context: TraceContext) -> SpanContext {
    let (trace, span) = (TraceId::from_bytes(context.trace_id), SpanId::from_bytes(context.span_id));
    SpanContext::new(trace, span, TraceFlags::new(context.flags), false, TraceState::default())
}

fn time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.unix_ms()).unwrap_or_default())
}
