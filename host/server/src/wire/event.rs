//! Events, as histories, feeds and streams tell them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stepcell_model::attempt::AttemptTrace;
use stepcell_model::history::{Event, HistoryEntry};
use stepcell_model::id::InstanceId;
use stepcell_model::time::Timestamp;
use utoipa::ToSchema;

/// One thing that happened to an instance.
///
/// Events of one transition share their position and their number, and came about together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventRow {
    /// The place of its transition among all of the database; grows with time.
    pub position: u64,
    /// The number of its transition among those of the instance, from 1.
    pub seq: u64,
    /// The instance.
    #[schema(value_type = String, format = "uuid")]
    pub instance: InstanceId,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What happened, such as `step_completed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the type has to say; what an attempt cost and said stands in `receipt` and `log`.
    #[serde(flatten)]
    #[schema(value_type = Object, additional_properties)]
    pub fields: Map<String, Value>,
}

impl EventRow {
    /// One event of a transition.
    #[must_use]
    pub fn new(entry: &HistoryEntry, event: &Event) -> Self {
        let mut fields = event_fields(event);
        let kind = fields.shift_remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
        fields.extend(event.trace().map(trace_fields).unwrap_or_default());
        Self { position: entry.position, seq: entry.seq, instance: entry.instance, at: entry.at, kind, fields }
    }

    /// The events of transitions, in order.
    #[must_use]
    pub fn of(entries: &[HistoryEntry]) -> Vec<Self> {
        entries.iter().flat_map(|entry| entry.events.iter().map(move |event| Self::new(entry, event))).collect()
    }
}

/// An event's type and fields as JSON, but for what an attempt cost and said.
///
/// # Panics
/// Never: the keys of an event are names.
#[must_use]
pub fn event_fields(event: &Event) -> Map<String, Value> {
    let mut fields = object(serde_json::to_value(event).expect("the keys of an event are names"));
    fields.shift_remove("trace");
    fields
}

/// What an attempt or a hook cost and said, as JSON.
#[must_use]
pub fn trace_fields(trace: &AttemptTrace) -> Map<String, Value> {
    object(json!({
        "receipt": trace.receipt,
        "log": trace.log,
        "log_lines_dropped": trace.log_lines_dropped,
        "denials": trace.denials,
        "secrets_read": trace.secrets_read,
        "signed_by": trace.signed_by,
        "host_fault": trace.host_fault,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
