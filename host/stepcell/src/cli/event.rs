//! An event, as JSON and in words.

use serde_json::{Map, Value};
use stepcell::model::history::Event;
pub(crate) use stepcell_server::wire::{event_fields as fields, trace_fields};

use super::print;

/// The fields of an object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// An event's name, and its fields in one line.
pub(crate) fn words(event: &Event) -> anyhow::Result<(String, String)> {
    let mut fields = fields(event);
    let name = fields.shift_remove("type").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let step = fields.shift_remove("step").and_then(|step| step.as_str().map(|step| format!("`{step}`")));
    let told = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{} {text}", name.replace('_', " ")),
        Value::Object(error) if error.contains_key("code") => {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            format!("{}: {}", part("code"), part("message"))
        }
        Value::Array(edges) if name == "edges" => edges_in_words(edges),
        Value::Array(values) => format!("{name} {}", listed(values)),
        // Items are counted from 1 for people.
        Value::Number(item) if name == "item" => format!("item {}", item.as_u64().unwrap_or_default() + 1),
        other => format!("{} {other}", name.replace('_', " ")),
    });
    let parts: Vec<_> = step.into_iter().chain(told).filter(|part| !part.is_empty()).collect();
    Ok((name, print::shortened(&parts.join(", "))))
}

fn edges_in_words(edges: &[Value]) -> String {
    let word = |edge: &Value| {
        let taken = if edge["taken"] == true { "takes" } else { "passes by" };
        let read = edge["read"].as_array().map(|read| values_in_words(read)).unwrap_or_default();
        format!("{taken} the edge to `{}`{read}", edge["target"].as_str().unwrap_or_default())
    };
    edges.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The values that a condition read.
fn values_in_words(read: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read: Vec<_> =
        read.iter().map(|value| format!("{} = {}", text(&value["path"]), text(&value["value"]))).collect();
    if read.is_empty() { String::new() } else { format!(" ({})", read.join(", ")) }
}

fn listed(values: &[Value]) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(event: Value) -> (String, String) {
        words(&serde_json::from_value(event).unwrap()).unwrap()
    }

    #[test]
    fn lists_items_and_what_conditions_read_are_told_in_words() {
        let edges =
            json!([{ "edge": 0, "target": "a", "taken": true, "read": [{ "path": "context.n", "value": "5" }] }]);
        for (event, words) in [
            (json!({ "type": "workflow_retried", "steps": ["a", "b"], "by": "eve" }), "steps a b, by eve"),
            (json!({ "type": "compensation_started", "executions": [2, 1] }), "executions 2 1"),
            (
                json!({ "type": "step_activated", "execution": 3, "step": "s/item", "step_type": "machine", "part_of": 1, "item": 0 }),
                "`s/item`, execution 3, step type machine, part of 1, item 1",
            ),
            (
                json!({ "type": "edges_decided", "execution": 1, "step": "s", "edges": edges }),
                "`s`, execution 1, takes the edge to `a` (context.n = 5)",
            ),
        ] {
            assert_eq!(told(event).1, words);
        }
    }
}
