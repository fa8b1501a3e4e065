//! An instance for people: where it stands, and what its steps did.

use std::fmt::Write as _;

use serde_json::Value;
use stepcell::model::record::ExecutionRecord;
use stepcell::{StepStatus, WorkflowStatus};

use super::exit::Exit;
use super::next;
use super::open::{Output, Settings};
use super::print::{self, note, or_dash, plain, short_json, shortened};
use super::view::InstanceView;

/// Where an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the database of the settings.
    Database,
    /// In this process, and gone with it.
    Memory,
}

/// Prints an instance; for people, what they can do next goes to stderr.
pub(crate) fn print(settings: &Settings, view: &InstanceView, home: Home) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(&view.to_json()),
        Output::Table => {
            print::text(&text(view))?;
            next::commands(settings, view, home).iter().for_each(note);
            Ok(())
        }
    }
}

/// Prints an instance that was driven until it settled, and ends as it ended.
pub(crate) fn print_settled(settings: &Settings, view: &InstanceView, home: Home) -> anyhow::Result<Exit> {
    print(settings, view, home)?;
    Ok(Exit::of_status(view.summary.status))
}

fn text(view: &InstanceView) -> String {
    let summary = &view.summary;
    let identity = &summary.identity;
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<9} {value}");
    };
    line("instance", identity.id.to_string());
    line("workflow", format!("{} {}", identity.workflow_name, identity.workflow_version));
    line("status", status(view));
    if let Some(error) = &summary.error {
        let step = error.step.as_ref().map(|step| format!(" in step `{step}`")).unwrap_or_default();
        line("error", plain(&format!("{}{step}: {}", error.code, error.message)));
    }
    if let Some(result) = &summary.result {
        line("result", short_json(result));
    }
    if !view.context.is_empty() {
        let context = view.context.iter().map(|(key, value)| (key.to_string(), value.tree().clone()));
        line("data", shortened(&Value::Object(context.collect()).to_string()));
    }
    for (label, value) in [
        ("parent", identity.parent.map(|parent| parent.instance.to_string())),
        ("tenant", identity.tenant.as_ref().map(ToString::to_string)),
        ("user", identity.created_by.as_ref().map(ToString::to_string)),
        ("started", Some(identity.started_at.to_string())),
        ("finished", summary.completed_at.map(|at| at.to_string())),
    ] {
        if let Some(value) = value {
            line(label, plain(&value));
        }
    }
    if !view.executions.is_empty() {
        let headings = ["STEP", "TYPE", "STATUS", "ATTEMPTS", "TOOK", "OUTPUT OR ERROR"];
        let _ = write!(text, "\n{}", print::table(headings, view.executions.iter().map(row)));
    }
    text
}

fn status(view: &InstanceView) -> String {
    let summary = &view.summary;
    match (&summary.current_step, summary.status) {
        (Some(step), WorkflowStatus::Running | WorkflowStatus::Waiting | WorkflowStatus::Failed) => {
            format!("{} at step `{step}`", summary.status)
        }
        _ => summary.status.to_string(),
    }
}

fn row(record: &ExecutionRecord) -> [String; 6] {
    let told = match (&record.failure, &record.output) {
        (Some(failure), _) => shortened(&format!("{}: {}", failure.code, failure.message)),
        (None, Some(output)) => short_json(output),
        (None, None) => match &record.assigned_to {
            Some(user) if record.status == StepStatus::Waiting => format!("assigned to {user}"),
            _ => String::new(),
        },
    };
    let took = record.completed_at.map(|at| took_ms(at.since(record.started_at).as_millis()));
    let item = record.item.map(|item| format!(" ({})", item + 1)).unwrap_or_default();
    [
        format!("{}{item}", record.step),
        record.step_type.to_string(),
        record.status.to_string(),
        if record.attempts == 0 { "-".to_owned() } else { record.attempts.to_string() },
        or_dash(took.as_ref()),
        told,
    ]
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
