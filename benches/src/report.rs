//! What was measured, when, on which machine, and how busy that was.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde::{Deserialize, Serialize};

use crate::goals;
use crate::setup::Pace;

/// The measurements of one benchmark while it runs.
pub(crate) struct Report(Run);

/// The measurements of one benchmark, and what stood around it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    bench: String,
    pace: String,
    machine: String,
    commit: String,
    date: String,
    /// What ran or wanted to run on the machine in the minute before, on average.
    load_before: f64,
    load_after: f64,
    measurements: Vec<Measurement>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Measurement {
    name: String,
    value: f64,
    unit: String,
    detail: String,
    /// What else one measurement told, by name and unit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    also: BTreeMap<String, f64>,
}

/// What a file of results holds.
#[derive(Serialize, Deserialize)]
struct Runs {
    runs: Vec<Run>,
}

impl Report {
    pub(crate) fn begin(bench: &str, pace: Pace) -> Self {
        let pace = if pace == Pace::Quick { "quick" } else { "full" };
        Self(Run {
            bench: bench.to_owned(),
            pace: pace.to_owned(),
            machine: machine(),
            commit: commit(),
            date: chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            load_before: load(),
            load_after: f64::NAN,
            measurements: Vec::new(),
        })
    }

    /// Adds a figure, and says it at once to whoever waits for the rest.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.add_with(name, value, unit, detail, []);
    }

    /// Adds a figure, and what else the same measurement told.
    pub(crate) fn add_with<'a>(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: impl Into<String>,
        detail: impl Into<String>,
        also: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let (name, unit, detail) = (name.into(), unit.into(), detail.into());
        let also: BTreeMap<_, _> = also.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        eprintln!("{name}: {} {unit} {}", rounded(value), list(&also));
        self.0.measurements.push(Measurement { name, value, unit, detail, also });
    }

    pub(crate) fn end(mut self) -> Run {
        self.0.load_after = load();
        self.0
    }
}

impl Run {
    pub(crate) fn to_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header([self.bench.as_str(), "figure", "unit", "with it", "how"]);
        for measurement in &self.measurements {
            let Measurement { name, value, unit, detail, also } = measurement;
            table.add_row([name, &rounded(*value), unit, &list(also), detail]);
        }
        format!("{}\n{table}", self.around())
    }

    pub(crate) fn is(&self, bench: &str) -> bool {
        self.bench == bench
    }

    /// A figure by its name; one of those that came with it, if `also` names one.
    pub(crate) fn find(&self, name: &str, also: &str) -> Option<f64> {
        let measurement = self.measurements.iter().find(|measurement| measurement.name == name)?;
        if also.is_empty() { Some(measurement.value) } else { measurement.also.get(also).copied() }
    }

    /// Where and when it was measured.
    fn around(&self) -> String {
        let Self { machine, commit, date, pace, load_before, load_after, .. } = self;
        format!("{machine}; commit {commit}; {date}; {pace}; load {load_before:.1} before, {load_after:.1} after")
    }

    fn to_markdown(&self) -> String {
        let mut text = format!(
            "### {}\n\n{}\n\n| what | figure | with it | how |\n|---|---|---|---|\n",
            self.bench,
            self.around()
        );
        for Measurement { name, value, unit, detail, also } in &self.measurements {
            text.push_str(&format!("| {name} | {} {unit} | {} | {detail} |\n", rounded(*value), list(also)));
        }
        text
    }
}

pub(crate) fn to_json(runs: &[Run]) -> String {
    serde_json::to_string_pretty(&serde_json::json!({ "runs": runs })).expect("a report is text and numbers")
}

/// What a file of results holds, as tables in Markdown.
pub(crate) fn tables(file: &Path) -> anyhow::Result<String> {
    let runs = read(file)?;
    let tables = runs.iter().map(Run::to_markdown);
    Ok(std::iter::once(goals::table(&runs)).chain(tables).collect::<Vec<_>>().join("\n"))
}

fn read(file: &Path) -> anyhow::Result<Vec<Run>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can not read `{}`", file.display()))?;
    let held: Runs = serde_json::from_str(&text)
        .with_context(|| format!("`{}` holds no results; name another file", file.display()))?;
    Ok(held.runs)
}

/// Writes runs to a file, in place of those of the same name that it holds.
pub(crate) fn write(runs: Vec<Run>, file: &Path) -> anyhow::Result<()> {
    let mut kept = if file.exists() { read(file)? } else { Vec::new() };
    kept.retain(|run| runs.iter().all(|new| new.bench != run.bench));
    kept.extend(runs);
    std::fs::write(file, to_json(&kept) + "\n").with_context(|| format!("can not write `{}`", file.display()))
}

fn list(also: &BTreeMap<String, f64>) -> String {
    also.iter().map(|(name, value)| format!("{} {name}", rounded(*value))).collect::<Vec<_>>().join(", ")
}

pub(crate) fn rounded(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The machine, as far as it says what it is.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))
}

/// What was measured, as far as the sources say what they are.
fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = described.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.and_then(|text| String::from_utf8(text).ok()).map_or_else(|| "unknown".to_owned(), |t| t.trim().to_owned())
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(-1.0)
}
