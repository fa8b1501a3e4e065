//! An instance for people: where it stands, and what its steps did.

use std::fmt::Write as _;

use serde_json::Value;
use stepcell::model::name::UserId;
use stepcell::model::status::TaskStatus;
use stepcell::{StepStatus, WorkflowStatus};
use stepcell_server::wire::{Execution, Instance, InstanceTask};

use super::exit::Exit;
use super::next;
use super::open::{Output, Settings};
use super::print::{self, note, or_dash, plain, short_json, shortened};
use super::shown::Shown;

/// Where an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the database of the settings.
    Database,
    /// In this process, and gone with it.
    Memory,
}

/// Prints an instance; for people, what they can do next goes to stderr.
pub(crate) fn print(settings: &Settings, shown: &Shown, home: Home) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(&shown.instance),
        Output::Table => {
            print::text(&text(&shown.instance))?;
            next::commands(settings, shown, home).iter().for_each(note);
            Ok(())
        }
    }
}

/// Prints an instance that was driven until it settled, and ends as it ended.
pub(crate) fn print_settled(settings: &Settings, shown: &Shown, home: Home) -> anyhow::Result<Exit> {
    print(settings, shown, home)?;
    Ok(Exit::of_status(shown.instance.status))
}

fn text(instance: &Instance) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<9} {value}");
    };
    line("instance", instance.id.to_string());
    line("workflow", format!("{} {}", instance.workflow_name, plain(&instance.workflow_version)));
    line("status", status(instance));
    if let Some(error) = &instance.error {
        let step = error.step.as_ref().map(|step| format!(" in step `{step}`")).unwrap_or_default();
        line("error", plain(&format!("{}{step}: {}", error.code, error.message)));
    }
    if let Some(result) = &instance.result {
        line("result", short_json(result));
    }
    if !instance.data.is_empty() {
        let context = instance.data.iter().map(|(key, value)| (key.to_string(), value.tree().clone()));
        line("data", shortened(&Value::Object(context.collect()).to_string()));
    }
    for (label, value) in [
        ("parent", instance.parent_id.map(|parent| parent.to_string())),
        ("tenant", instance.tenant_id.as_ref().map(ToString::to_string)),
        ("user", instance.created_by.as_ref().map(ToString::to_string)),
        ("started", Some(instance.started_at.to_string())),
        ("finished", instance.completed_at.map(|at| at.to_string())),
    ] {
        if let Some(value) = value {
            line(label, plain(&value));
        }
    }
    if !instance.history.is_empty() {
        let headings = ["STEP", "TYPE", "STATUS", "ATTEMPTS", "TOOK", "OUTPUT OR ERROR"];
        let rows = instance.history.iter().map(|record| row(instance, record));
        let _ = write!(text, "\n{}", print::table(headings, rows));
        let left_out = instance.history_total.saturating_sub(instance.history.len() as u64);
        if left_out > 0 {
            let id = instance.id;
            let _ = writeln!(
                text,
                "\n{left_out} executions before these are left out; see `stepcell instance history {id}`"
            );
        }
    }
    text
}

fn status(instance: &Instance) -> String {
    match (&instance.current_step, instance.status) {
        (Some(step), WorkflowStatus::Running | WorkflowStatus::Waiting | WorkflowStatus::Failed) => {
            format!("{} at step `{step}`", instance.status)
        }
        _ => instance.status.to_string(),
    }
}

fn row(instance: &Instance, record: &Execution) -> [String; 6] {
    let told = match (&record.error, &record.output) {
        (Some(failure), _) => shortened(&format!("{}: {}", failure.code, failure.message)),
        (None, Some(output)) => short_json(output),
        (None, None) if record.status == StepStatus::Waiting => {
            assignee(instance, record).map(|user| format!("assigned to {user}")).unwrap_or_default()
        }
        (None, None) => String::new(),
    };
    let took = record.completed_at.map(|at| took_ms(at.since(record.started_at).as_millis()));
    let item = record.item.map(|item| format!(" ({})", item + 1)).unwrap_or_default();
    [
        format!("{}{item}", record.step),
        record.kind.to_string(),
        record.status.to_string(),
        if record.attempts == 0 { "-".to_owned() } else { record.attempts.to_string() },
        or_dash(took.as_ref()),
        told,
    ]
}

/// Whom the step's task is for; where items have one each, if it is the same one for all.
fn assignee<'a>(instance: &'a Instance, record: &Execution) -> Option<&'a UserId> {
    let is_pending = |task: &&InstanceTask| task.step == record.step && task.status == TaskStatus::Pending;
    let mut users = instance.tasks.iter().filter(is_pending).map(|task| task.assignee_id.as_ref());
    let first = users.next()?;
    if users.all(|user| user == first) { first } else { None }
}

/// A length of time for people.
pub(crate) fn took_ms(ms: u128) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_in_the_unit_that_fits() {
        let told = [0, 999, 1_250, 61_000, 3_660_000].map(took_ms);

        assert_eq!(told, ["0 ms", "999 ms", "1.2 s", "1 min 1 s", "1 h 1 min"]);
    }
}
