//! What happened to an instance, event by event and attempt by attempt.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stepcell::engine::EngineError;
use stepcell::model::attempt::AttemptTrace;
use stepcell::model::history::{Event, HistoryEntry};
use stepcell::model::id::InstanceId;
use stepcell::store::WorkflowStore;

use super::load_history;
use crate::cli::attempts::{self, Attempt};
use crate::cli::event::{self, object};
use crate::cli::open::{Output, Settings};
use crate::cli::print::{self, plain};
use crate::cli::summary::took_ms;

/// Prints an instance's history.
pub(super) async fn print(settings: &Settings, store: &dyn WorkflowStore, id: InstanceId) -> anyhow::Result<()> {
    store.find_instance(id).await?.ok_or(EngineError::InstanceNotFound { id })?;
    print_entries(settings, &load_history(store, id).await?)
}

/// Prints what happened to an instance, from its first transition on.
pub(super) fn print_entries(settings: &Settings, history: &[HistoryEntry]) -> anyhow::Result<()> {
    let attempts = attempts::of(history);
    match settings.output {
        Output::Json => print::json(&to_json(history, &attempts)?),
        Output::Table => print::text(&text(history, &attempts)?),
    }
}

/// What the steps of an instance said, for somebody who can not look it up later.
pub(crate) async fn log_of(store: &dyn WorkflowStore, id: InstanceId) -> anyhow::Result<String> {
    let history = load_history(store, id).await?;
    logs(&history, &attempts::of(&history))
}

/// One item an event, with the transition that it belongs to; the attempts beside them.
fn to_json(history: &[HistoryEntry], attempts: &[Attempt<'_>]) -> anyhow::Result<Value> {
    let mut items = Vec::new();
    for entry in history {
        for event in &entry.events {
            let mut item = object(json!({ "seq": entry.seq, "at": entry.at }));
            item.extend(event::fields(event));
            // What an attempt cost and said stands with the attempt.
            if let Event::HookEnded { trace: Some(trace), .. } = event {
                item.extend(event::trace_fields(trace));
            }
            items.push(Value::Object(item));
        }
    }
    let total = items.len();
    let attempts: Vec<_> = attempts.iter().map(Attempt::to_json).collect();
    Ok(json!({ "items": items, "total": total, "attempts": attempts }))
}

fn text(history: &[HistoryEntry], attempts: &[Attempt<'_>]) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    for entry in history {
        for event in &entry.events {
            rows.push([entry.seq.to_string(), entry.at.to_string(), event::words(event)?.0, event::words(event)?.1]);
        }
    }
    let mut text = print::table(["SEQ", "AT", "EVENT", "WHAT"], rows);
    if !attempts.is_empty() {
        text.push('\n');
        let headings = ["ATTEMPT", "STATUS", "TOOK", "CPU", "MEMORY", "HOST CALLS", "ERROR"];
        text.push_str(&print::table(headings, attempts.iter().map(row)));
    }
    text.push_str(&logs(history, attempts)?);
    Ok(text)
}

/// What the attempts and hooks said, by attempt.
fn logs(history: &[HistoryEntry], attempts: &[Attempt<'_>]) -> anyhow::Result<String> {
    let mut text = String::new();
    for attempt in attempts {
        tell_log(&mut text, &label(attempt), attempt.trace);
    }
    for event in history.iter().flat_map(|entry| &entry.events) {
        // `on-failure` runs in a cell of its own, after the last attempt.
        if let Event::HookEnded { step, hook, trace, .. } = event {
            let hook = serde_json::to_value(hook)?;
            tell_log(&mut text, &format!("{step} {}", hook.as_str().unwrap_or_default()), trace.as_ref());
        }
    }
    Ok(text)
}

fn tell_log(text: &mut String, who: &str, trace: Option<&AttemptTrace>) {
    for line in trace.map_or(&[][..], |trace| &trace.log) {
        let fields = line.fields.as_ref().map(|fields| format!(" {fields}")).unwrap_or_default();
        let level = format!("{:?}", line.level).to_lowercase();
        let _ = writeln!(text, "{who} {level}: {}", plain(&format!("{}{fields}", line.message)));
    }
}

fn label(attempt: &Attempt<'_>) -> String {
    format!("{} #{}", attempt.step, attempt.number)
}

fn row(attempt: &Attempt<'_>) -> [String; 7] {
    let cost = |told: &dyn Fn(&stepcell::model::attempt::Receipt) -> String| {
        print::or_dash(attempt.trace.map(|trace| told(&trace.receipt)).as_ref())
    };
    let error = attempt.failure.map(|failure| print::shortened(&format!("{}: {}", failure.code, failure.message)));
    [
        label(attempt),
        attempt.status.to_owned(),
        cost(&|receipt| took_ms((receipt.wall_us / 1_000).into())),
        cost(&|receipt| format!("{} µs", receipt.cpu_us)),
        cost(&|receipt| format!("{} KiB", receipt.memory_bytes_peak >> 10)),
        cost(&|receipt| receipt.host_calls.to_string()),
        error.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use stepcell::model::attempt::Receipt;

    use super::*;

    #[test]
    fn what_on_failure_said_is_told() {
        let receipt = serde_json::to_value(Receipt::default()).unwrap();
        let event = json!({
            "type": "hook_ended", "execution": 1, "step": "pay", "hook": "on-failure",
            "trace": { "receipt": receipt, "log": [{ "level": "error", "message": "gave up" }], "log_lines_dropped": 0 },
        });
        let history = [HistoryEntry {
            position: 1,
            instance: "01a20607-442f-722f-8252-1df4668eb21f".parse().unwrap(),
            seq: 1,
            at: serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap(),
            events: vec![serde_json::from_value(event).unwrap()],
        }];

        let text = text(&history, &[]).unwrap();
        let json = to_json(&history, &[]).unwrap();

        assert!(text.ends_with("\npay on-failure error: gave up\n"), "{text}");
        assert_eq!(json["items"][0]["log"][0]["message"], "gave up");
        assert_eq!(json["items"][0]["log_lines_dropped"], 0);
    }
}
