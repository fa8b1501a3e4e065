//! Events as they came from a server, as the transitions that they belong to.

use serde_json::{Map, Value};
use stepcell::model::history::{Event, HistoryEntry};
use stepcell_server::wire::EventRow;

use crate::cli::exit::Refused;

/// What stands beside the fields of an event's type where an attempt or a hook ended.
const TRACE_FIELDS: [&str; 7] =
    ["receipt", "log", "log_lines_dropped", "denials", "secrets_read", "signed_by", "host_fault"];

/// The transitions that rows tell of, in their order; the rows of one stand together.
///
/// # Errors
/// If a row tells of something that only a later version of this program knows.
pub(crate) fn entries_of(rows: Vec<EventRow>) -> anyhow::Result<Vec<HistoryEntry>> {
    let mut entries: Vec<HistoryEntry> = Vec::new();
    for row in rows {
        let EventRow { position, seq, instance, at, kind, fields } = row;
        let event = event_of(kind, fields)?;
        match entries.last_mut().filter(|last| (last.instance, last.seq) == (instance, seq)) {
            Some(last) => last.events.push(event),
            None => entries.push(HistoryEntry { position, instance, seq, at, events: vec![event] }),
        }
    }
    Ok(entries)
}

fn event_of(kind: String, mut fields: Map<String, Value>) -> anyhow::Result<Event> {
    if fields.get("receipt").is_some_and(|receipt| !receipt.is_null()) {
        let taken = TRACE_FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), fields.shift_remove(*name)?)));
        let trace = taken.filter(|(_, value)| !value.is_null()).collect();
        fields.insert("trace".to_owned(), Value::Object(trace));
    }
    let told = kind.clone();
    fields.insert("type".to_owned(), Value::String(kind));
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let why = format!("the server tells of an event `{told}` that is not understood here: {error}");
        Refused::unusable(why).hint("use the version of `stepcell` that the server has").into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_tells_of_a_transition_is_what_its_database_holds() {
        let receipt = serde_json::to_value(stepcell::model::attempt::Receipt::default()).unwrap();
        let log = json!([{ "level": "info", "message": "hello" }]);
        let completed = json!({
            "type": "step_completed", "execution": 1, "step": "pay", "attempt": 1, "output": { "paid": true },
            "trace": { "receipt": receipt, "log": log, "log_lines_dropped": 2 },
        });
        let entries = vec![HistoryEntry {
            position: 7,
            instance: "01a20607-442f-722f-8252-1df4668eb21f".parse().unwrap(),
            seq: 3,
            at: serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap(),
            events: vec![
                serde_json::from_value(completed).unwrap(),
                serde_json::from_value(json!({ "type": "workflow_paused", "by": "ada" })).unwrap(),
            ],
        }];
        let sent = serde_json::to_string(&EventRow::of(&entries)).unwrap();

        let read = entries_of(serde_json::from_str(&sent).unwrap()).unwrap();

        assert_eq!(read, entries);
    }
}
