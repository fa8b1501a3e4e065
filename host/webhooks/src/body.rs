//! What is told of an event: its type, when it was, whose it is, and its own fields. What an attempt cost and said stays in
//! the history.

use serde_json::{Map, Value, json};
use stepcell_model::history::Event;
use stepcell_model::id::WebhookId;
use stepcell_model::json::Json;
use stepcell_model::time::Timestamp;
use stepcell_store::HistoryRow;

/// The type of what is sent to see whether somebody is there.
pub(crate) const PING: &str = "ping";

/// The longest body, in bytes. Protects the store, where each waits for days if need be. What would be longer is told
/// without the event's own fields.
pub(crate) const BODY_BYTES_MAX: usize = 48 << 10;

/// What is told of one event of a row.
pub(crate) fn of_event(row: &HistoryRow, event: &Event) -> Json {
    let entry = &row.entry;
    let mut ids = object(json!({
        "instance": entry.instance,
        "workflow": row.workflow,
        "tenant": row.tenant,
        "position": entry.position,
        "seq": entry.seq,
    }));
    let mut fields = object(serde_json::to_value(event).unwrap_or_default());
    fields.shift_remove("trace");
    fields.shift_remove("type");
    let whole = ids.clone().into_iter().chain(fields).collect();
    let body = body(event.event_type().as_str(), entry.at, &whole);
    if body.text().len() <= BODY_BYTES_MAX {
        return body;
    }
    ids.insert("is_cut".to_owned(), true.into());
    self::body(event.event_type().as_str(), entry.at, &ids)
}

/// What a ping says.
pub(crate) fn of_ping(webhook: WebhookId, now: Timestamp) -> Json {
    body(PING, now, &object(json!({ "webhook": webhook })))
}

fn body(event_type: &str, at: Timestamp, data: &Map<String, Value>) -> Json {
    json!({ "type": event_type, "timestamp": at, "data": data }).into()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use stepcell_model::attempt::AttemptTrace;
    use stepcell_model::history::HistoryEntry;
    use stepcell_model::id::InstanceId;

    use super::*;

    fn row(event: Event) -> HistoryRow {
        let at = Timestamp::from_unix_ms(1_800_000_000_000);
        let instance: InstanceId = "01a20607-442f-722f-8252-1df4668eb21f".parse().unwrap();
        HistoryRow {
            entry: HistoryEntry { position: 7, instance, seq: 3, at, events: vec![event] },
            tenant: Some("acme".parse().unwrap()),
            workflow: "expense".parse().unwrap(),
        }
    }

    fn told(event: &Event) -> Value {
        of_event(&row(event.clone()), event).tree().clone()
    }

    #[test]
    fn an_event_is_told_with_its_fields_and_whose_it_is() {
        let event: Event = serde_json::from_value(json!({
            "type": "step_completed", "execution": 2, "step": "pay", "attempt": 1, "wrote": ["paid"],
            "trace": AttemptTrace::default(),
        }))
        .unwrap();

        assert_eq!(
            told(&event),
            json!({
                "type": "step_completed",
                "timestamp": "2027-01-15T08:00:00.000Z",
                "data": {
                    "instance": "01a20607-442f-722f-8252-1df4668eb21f", "workflow": "expense", "tenant": "acme",
                    "position": 7, "seq": 3, "execution": 2, "step": "pay", "attempt": 1, "wrote": ["paid"],
                },
            })
        );
    }

    #[test]
    fn what_would_be_too_long_is_told_without_its_fields() {
        let event = Event::WorkflowCanceled { reason: "x".repeat(BODY_BYTES_MAX), by: None };

        let told = told(&event);

        assert_eq!((&told["type"], &told["data"]["is_cut"]), (&json!("workflow_canceled"), &json!(true)));
        assert_eq!((&told["data"]["position"], &told["data"]["reason"]), (&json!(7), &Value::Null));
    }
}
