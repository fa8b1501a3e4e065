//! An event, as JSON and in words.

use serde_json::{Map, Value, json};
use stepcell::model::attempt::AttemptTrace;
use stepcell::model::history::Event;

use super::print;

/// An event's type and fields as JSON, but for what an attempt cost and said.
pub(crate) fn fields(event: &Event) -> anyhow::Result<Map<String, Value>> {
    let mut fields = object(serde_json::to_value(event)?);
    fields.shift_remove("trace");
    Ok(fields)
}

/// What an attempt or a hook cost and said, as JSON.
pub(crate) fn trace_fields(trace: &AttemptTrace) -> Map<String, Value> {
    object(json!({ "receipt": trace.receipt, "log": trace.log, "log_lines_dropped": trace.log_lines_dropped }))
}

/// The fields of an object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// An event's name, and its fields in one line.
pub(crate) fn words(event: &Event) -> anyhow::Result<(String, String)> {
    let mut fields = fields(event)?;
    let name = fields.shift_remove("type").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let step = fields.shift_remove("step").and_then(|step| step.as_str().map(|step| format!("`{step}`")));
    let told = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        Value::Object(error) if error.contains_key("code") => {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{}: {}", part("code"), part("message"))
        }
        Value::Array(edges) if name == "edges" => edges_in_words(edges),
        other => format!("{name} {other}"),
    });
    let parts: Vec<_> = step.into_iter().chain(told).filter(|part| !part.is_empty()).collect();
    Ok((name, print::shortened(&parts.join(", "))))
}

fn edges_in_words(edges: &[Value]) -> String {
    let word = |edge: &Value| {
        let taken = if edge["taken"] == true { "takes" } else { "passes by" };
        format!("{taken} the edge to `{}`", edge["target"].as_str().unwrap_or_default())
    };
    edges.iter().map(word).collect::<Vec<_>>().join(", ")
}
