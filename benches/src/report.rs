//! What was measured, and on which machine.

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde::Serialize;

/// All measurements of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: String,
    measurements: Vec<Measurement>,
}

#[derive(Debug, Serialize)]
struct Measurement {
    name: String,
    value: f64,
    unit: &'static str,
    detail: String,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { machine: machine(), measurements: Vec::new() }
    }

    /// Adds a figure, and says it at once to whoever waits for the rest.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, detail: String) {
        let name = name.into();
        eprintln!("{name}: {} {unit}", rounded(value));
        self.measurements.push(Measurement { name, value, unit, detail });
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is text and numbers")
    }

    pub(crate) fn to_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(["what", "figure", "unit", "how"]);
        for measurement in &self.measurements {
            let Measurement { name, value, unit, detail } = measurement;
            table.add_row([name, &rounded(*value), *unit, detail]);
        }
        format!("{}\n{table}", self.machine)
    }
}

fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The machine, as far as it says what it is.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))
}
