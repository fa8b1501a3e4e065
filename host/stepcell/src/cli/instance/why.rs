//! Why an instance is where it is, in words and as JSON.

use std::fmt::Write as _;

use stepcell::model::id::InstanceId;
use stepcell::model::why::{Explanation, Now};

use crate::cli::open::{Output, Settings};
use crate::cli::print::{self, plain};

/// Prints why an instance is where it is.
pub(super) async fn print(settings: &Settings, id: InstanceId) -> anyhow::Result<()> {
    let visit = settings.read()?;
    let explanation = visit.engine.explain(id).await?;
    match settings.output {
        Output::Json => print::json(&explanation),
        Output::Table => print::text(&text(settings, &explanation)),
    }
}

fn text(settings: &Settings, explanation: &Explanation) -> String {
    let mut text = format!("instance {} is {}\n\nnow\n", explanation.instance, explanation.status);
    for point in &explanation.now {
        let _ = writeln!(text, "  {}", plain(&point.text));
        if let (Now::Callback { .. }, Some(step)) = (&point.what, &point.step) {
            let command = format!("stepcell webhook address --instance {} --step {step}", explanation.instance);
            let _ = writeln!(text, "  Its address is told by `{command}{}`.", settings.database_flag());
        }
    }
    text.push_str("\nhow it came here\n");
    for point in &explanation.past {
        let _ = writeln!(text, "  {}  {}", point.at, plain(&point.text));
    }
    text
}
