//! What to do next with an instance, as commands that can be pasted.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use stepcell::model::status::TaskStatus;
use stepcell::{StepStatus, StepType, WorkflowStatus};
use stepcell_server::wire::{ChildInstance, Execution, InstanceTask};

use super::open::Settings;
use super::print::{plain, shell_word};
use super::shown::Shown;
use super::summary::Home;

/// The exact commands that take an instance on from where it stands, with what it waits for.
pub(crate) fn commands(settings: &Settings, shown: &Shown, home: Home) -> Vec<String> {
    let steps = match shown.instance.status {
        WorkflowStatus::Completed | WorkflowStatus::Canceled => Vec::new(),
        WorkflowStatus::Failed if home == Home::Memory => Vec::new(),
        WorkflowStatus::Failed => vec![of_failed(shown)],
        WorkflowStatus::Pending | WorkflowStatus::Running | WorkflowStatus::Waiting | WorkflowStatus::Paused => {
            of_waiting(settings, shown)
        }
    };
    if steps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    for Step { waits_for, commands } in steps {
        lines.push(waits_for);
        if home == Home::Database {
            lines.extend(commands.iter().map(|command| format!("  {command}{}", settings.database_flag())));
        }
    }
    if home == Home::Memory {
        lines.push("This instance was kept in memory and is gone; `run … --db FILE` keeps one.".to_owned());
    }
    lines
}

/// Something that an instance waits for, and the commands that give it; they lack the name of the database.
struct Step {
    waits_for: String,
    commands: Vec<String>,
}

fn of_failed(shown: &Shown) -> Step {
    let id = shown.instance.id;
    let why = format!("stepcell instance why {id}");
    let is_undone = shown.instance.history.iter().any(|record| record.step.as_str().ends_with("/compensate"));
    if is_undone {
        return Step { waits_for: "What it did was undone. To see why:".to_owned(), commands: vec![why] };
    }
    let commands = vec![why, format!("stepcell instance retry {id}")];
    Step { waits_for: "To see why, and to let it go on where it failed:".to_owned(), commands }
}

fn of_waiting(settings: &Settings, shown: &Shown) -> Vec<Step> {
    let id = shown.instance.id;
    let mut steps = Vec::new();
    if shown.instance.status == WorkflowStatus::Paused {
        let commands = vec![format!("stepcell instance resume {id}")];
        steps.push(Step { waits_for: "is held until somebody resumes it:".to_owned(), commands });
    }
    let pending = shown.instance.tasks.iter().filter(|task| task.status == TaskStatus::Pending);
    steps.extend(pending.map(|task| Step {
        waits_for: format!("waits for {}: {}", whom(task), plain(&task.title)),
        commands: vec![completing(settings, task)],
    }));
    let mut seen = BTreeSet::new();
    let waiting = shown.instance.history.iter().filter(|record| record.status == StepStatus::Waiting);
    steps.extend(waiting.filter(|record| seen.insert(&record.step)).filter_map(|record| of_message(shown, record)));
    steps.extend(shown.instance.children.iter().filter(|child| !child.status.is_finished()).map(of_child));
    steps
}

fn of_message(shown: &Shown, record: &Execution) -> Option<Step> {
    let (id, step) = (shown.instance.id, &record.step);
    match record.kind {
        StepType::Webhook => Some(Step {
            waits_for: format!("waits for a callback at `{step}`, whose address the second command prints:"),
            commands: vec![
                format!("stepcell webhook deliver --instance {id} --step {step} --data '{{}}'"),
                format!("stepcell webhook address --instance {id} --step {step}"),
            ],
        }),
        StepType::Signal => {
            let signal = shown.signals.get(step)?;
            Some(Step {
                waits_for: format!("waits for the signal `{signal}` at `{step}`:"),
                commands: vec![format!("stepcell instance signal {id} {signal} --data '{{}}'")],
            })
        }
        _ => None,
    }
}

fn of_child(child: &ChildInstance) -> Step {
    let id = child.id;
    Step {
        waits_for: format!("waits for an instance of `{}`, which is {}:", child.workflow_name, child.status),
        commands: vec![format!("stepcell instance show {id}")],
    }
}

fn whom(task: &InstanceTask) -> String {
    match (&task.assignee_id, &task.assignee_group) {
        (Some(user), _) => plain(user.as_str()),
        (None, Some(group)) => format!("a member of {}", plain(group.as_str())),
        (None, None) => "anybody".to_owned(),
    }
}

/// The command that completes a task, with an answer to fill in.
pub(crate) fn complete_command(settings: &Settings, task: &InstanceTask) -> String {
    format!("{}{}", completing(settings, task), settings.database_flag())
}

fn completing(settings: &Settings, task: &InstanceTask) -> String {
    let data = task.form_schema.as_ref().map_or_else(|| Value::Object(Map::new()), |schema| answer_to(schema.tree()));
    let data = shell_word(&data.to_string());
    let who = if settings.asks_server() { String::new() } else { who(task) };
    format!("stepcell task complete {}{who} --data {data}", task.id)
}

/// Who completes a task, as flags; a server knows that by the key.
fn who(task: &InstanceTask) -> String {
    let user = task.assignee_id.as_ref().map_or_else(|| "YOU".to_owned(), |user| shell_word(user.as_str()));
    match (&task.assignee_id, &task.assignee_group) {
        (None, Some(group)) => format!(" --user {user} --group {}", shell_word(group.as_str())),
        _ => format!(" --user {user}"),
    }
}

/// An answer of the form that a schema asks for, to be filled in.
fn answer_to(schema: &Value) -> Value {
    let properties = schema["properties"].as_object();
    let required: Option<Vec<&str>> =
        schema["required"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect());
    let is_asked = |name: &String| required.as_ref().is_none_or(|required| required.contains(&name.as_str()));
    let fields = properties.into_iter().flatten().filter(|(name, _)| is_asked(name));
    Value::Object(fields.map(|(name, property)| (name.clone(), value_for(property))).collect())
}

fn value_for(property: &Value) -> Value {
    if let Some(first) = property["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match property["type"].as_str() {
        Some("boolean") => Value::Bool(true),
        Some("integer" | "number") => property.get("minimum").cloned().unwrap_or_else(|| Value::from(0)),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => answer_to(property),
        Some("string") => Value::from("…"),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_answer_has_every_required_field_of_the_form() {
        let schema = serde_json::json!({
            "required": ["approved", "level"],
            "properties": {
                "approved": { "type": "boolean" }, "level": { "enum": ["low", "high"] }, "note": { "type": "string" },
            },
        });

        assert_eq!(answer_to(&schema).to_string(), r#"{"approved":true,"level":"low"}"#);
    }
}
