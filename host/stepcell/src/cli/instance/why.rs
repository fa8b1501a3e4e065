//! Why an instance is where it is, in words and as JSON.

use std::fmt::Write as _;

use serde_json::Value;
use stepcell::model::id::InstanceId;

use crate::cli::open::{Output, Settings};
use crate::cli::print::{self, plain};

/// Prints why an instance is where it is.
pub(super) async fn print(settings: &Settings, id: InstanceId) -> anyhow::Result<()> {
    let visit = settings.read()?;
    let explanation = visit.engine.explain(id).await?;
    let past_total = explanation.past.len();
    let mut told = serde_json::to_value(explanation)?;
    // A server tells the last of them alone.
    told["past_total"] = past_total.into();
    print_told(settings, &told)
}

/// Prints an explanation.
pub(super) fn print_told(settings: &Settings, explanation: &Value) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(explanation),
        Output::Table => print::text(&text(settings, explanation)),
    }
}

fn text(settings: &Settings, explanation: &Value) -> String {
    let (instance, status) = (word(explanation, "instance"), word(explanation, "status"));
    let points = |when: &str| explanation[when].as_array().into_iter().flatten();
    let mut text = format!("instance {instance} is {status}\n\nnow\n");
    for point in points("now") {
        let _ = writeln!(text, "  {}", word(point, "text"));
        if let ("callback", Some(step)) = (word(point, "about").as_str(), point["step"].as_str()) {
            let command = format!("stepcell webhook address --instance {instance} --step {}", plain(step));
            let _ = writeln!(text, "  Its address is told by `{command}{}`.", settings.database_flag());
        }
    }
    text.push_str("\nhow it came here\n");
    // A server tells the last points alone.
    let total = explanation["past_total"].as_u64().unwrap_or_default();
    let left_out = total.saturating_sub(points("past").count() as u64);
    if left_out > 0 {
        let _ =
            writeln!(text, "  {left_out} points before these are left out; see `stepcell instance history {instance}`");
    }
    for point in points("past") {
        let _ = writeln!(text, "  {}  {}", word(point, "at"), word(point, "text"));
    }
    text
}

fn word(of: &Value, name: &str) -> String {
    plain(of[name].as_str().unwrap_or_default())
}
