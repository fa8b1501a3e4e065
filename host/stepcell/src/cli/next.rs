//! What to do next with an instance, as commands that can be pasted.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use stepcell::model::record::{ExecutionRecord, InstanceSummary, TaskRecord};
use stepcell::model::status::TaskStatus;
use stepcell::{StepStatus, StepType, WorkflowStatus};

use super::open::Settings;
use super::print::{plain, shell_word};
use super::summary::Home;
use super::view::InstanceView;

/// The exact commands that take an instance on from where it stands, with what it waits for.
pub(crate) fn commands(settings: &Settings, view: &InstanceView, home: Home) -> Vec<String> {
    let steps = match view.summary.status {
        WorkflowStatus::Completed | WorkflowStatus::Canceled => Vec::new(),
        WorkflowStatus::Failed if home == Home::Memory => Vec::new(),
        WorkflowStatus::Failed => vec![of_failed(view)],
        WorkflowStatus::Pending | WorkflowStatus::Running | WorkflowStatus::Waiting | WorkflowStatus::Paused => {
            of_waiting(view)
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

fn of_failed(view: &InstanceView) -> Step {
    let id = view.summary.identity.id;
    let why = format!("stepcell instance why {id}");
    let is_undone = view.executions.iter().any(|record| record.step.as_str().ends_with("/compensate"));
    if is_undone {
        return Step { waits_for: "What it did was undone. To see why:".to_owned(), commands: vec![why] };
    }
    let commands = vec![why, format!("stepcell instance retry {id}")];
    Step { waits_for: "To see why, and to let it go on where it failed:".to_owned(), commands }
}

fn of_waiting(view: &InstanceView) -> Vec<Step> {
    let id = view.summary.identity.id;
    let mut steps = Vec::new();
    if view.summary.status == WorkflowStatus::Paused {
        let commands = vec![format!("stepcell instance resume {id}")];
        steps.push(Step { waits_for: "is held until somebody resumes it:".to_owned(), commands });
    }
    let pending = view.tasks.iter().filter(|task| task.status == TaskStatus::Pending);
    steps.extend(pending.map(|task| Step {
        waits_for: format!("waits for {}: {}", whom(task), plain(&task.title)),
        commands: vec![completing(task)],
    }));
    let mut seen = BTreeSet::new();
    let waiting = view.executions.iter().filter(|record| record.status == StepStatus::Waiting);
    steps.extend(waiting.filter(|record| seen.insert(&record.step)).filter_map(|record| of_message(view, record)));
    steps.extend(view.children.iter().filter(|child| !child.status.is_finished()).map(of_child));
    steps
}

fn of_message(view: &InstanceView, record: &ExecutionRecord) -> Option<Step> {
    let (id, step) = (view.summary.identity.id, &record.step);
    match record.step_type {
        StepType::Webhook => Some(Step {
            waits_for: format!("waits for a callback at `{step}`, whose address the second command prints:"),
            commands: vec![
                format!("stepcell webhook deliver --instance {id} --step {step} --data '{{}}'"),
                format!("stepcell webhook address --instance {id} --step {step}"),
            ],
        }),
        StepType::Signal => {
            let signal = view.signals.get(step)?;
            Some(Step {
                waits_for: format!("waits for the signal `{signal}` at `{step}`:"),
                commands: vec![format!("stepcell instance signal {id} {signal} --data '{{}}'")],
            })
        }
        _ => None,
    }
}

fn of_child(child: &InstanceSummary) -> Step {
    let id = child.identity.id;
    Step {
        waits_for: format!("waits for an instance of `{}`, which is {}:", child.identity.workflow_name, child.status),
        commands: vec![format!("stepcell instance show {id}")],
    }
}

fn whom(task: &TaskRecord) -> String {
    match (&task.assignee, &task.group) {
        (Some(user), _) => plain(user.as_str()),
        (None, Some(group)) => format!("a member of {}", plain(group.as_str())),
        (None, None) => "anybody".to_owned(),
    }
}

/// The command that completes a task, with an answer to fill in.
pub(crate) fn complete_command(settings: &Settings, task: &TaskRecord) -> String {
    format!("{}{}", completing(task), settings.database_flag())
}

fn completing(task: &TaskRecord) -> String {
    let user = task.assignee.as_ref().map_or_else(|| "YOU".to_owned(), |user| shell_word(user.as_str()));
    let group = match (&task.assignee, &task.group) {
        (None, Some(group)) => format!(" --group {}", shell_word(group.as_str())),
        _ => String::new(),
    };
    let data = task.form_schema.as_ref().map_or_else(|| Value::Object(Map::new()), |schema| answer_to(schema.tree()));
    let data = shell_word(&data.to_string());
    format!("stepcell task complete {} --user {user}{group} --data {data}", task.id)
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
