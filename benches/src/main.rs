//! The numbers that the README and `docs/performance.md` quote. `cargo xtask bench` runs all of it; names run only those.
//!
//! Figures are of the machine they were measured on, and machines are shared and noisy: compare what one run prints with
//! itself, or name the machine. Whatever tells the processor's time is measured in a process of its own.

mod api;
mod attempts;
mod bare;
mod child;
mod closed;
mod cold;
mod durable;
mod goals;
mod growth;
mod in_memory;
mod latency;
mod load;
mod memory;
mod multiply;
mod noisy;
mod open;
mod peers;
mod process;
mod quantiles;
mod recovery;
mod report;
mod setup;
mod sqlite;
mod streams;
mod walls;
mod workload;

use std::path::PathBuf;

use clap::Parser;

use crate::report::Report;
use crate::setup::{Guests, Pace, Setup};

/// What measures one thing, and adds it to a report.
type Benchmark = fn(&Setup, &mut Report) -> anyhow::Result<()>;

/// All that can be measured, by name.
const BENCHMARKS: [(&str, Benchmark); 15] = [
    ("attempts", attempts::run),
    ("durable", durable::run),
    ("sqlite", sqlite::run),
    ("in-memory", in_memory::run),
    ("latency", latency::run),
    ("cold", cold::run),
    ("load", load::run),
    ("memory", memory::run),
    ("recovery", recovery::run),
    ("growth", growth::run),
    ("peers", peers::run),
    ("noisy", noisy::run),
    ("walls", walls::run),
    ("api", api::run),
    ("streams", streams::run),
];

/// Measures.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// What to measure; without a name, everything.
    names: Vec<String>,
    /// A fifth of the time, for seeing that it works: its figures are rough.
    #[arg(long)]
    quick: bool,
    /// Writes what was measured to a file, in place of what it holds of the same name; `-` prints it in place of tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures nothing, and prints what a file holds as tables in Markdown.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "quick", "json"])]
    tables: Option<PathBuf>,
}

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    stepcell_sandbox::child_main();
    if let Some(outcome) = child::measure_if_told(&Guests::find()) {
        return outcome;
    }
    let Cli { names, quick, json, tables } = Cli::parse();
    if let Some(file) = tables {
        println!("{}", report::tables(&file)?);
        return Ok(());
    }
    let known = BENCHMARKS.map(|(name, _)| name);
    for name in &names {
        let is_known = known.contains(&name.as_str());
        anyhow::ensure!(is_known, "there is no benchmark `{name}`; there are {}", known.join(", "));
    }
    let pace = if quick { Pace::Quick } else { Pace::Full };
    let setup = Setup { guests: Guests::find(), pace };
    let to_stdout = json.as_ref().is_some_and(|file| file.as_os_str() == "-");
    let (mut runs, mut failed) = (Vec::new(), Vec::new());
    for (name, run) in BENCHMARKS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            let mut report = Report::begin(name, pace);
            if let Err(error) = run(&setup, &mut report) {
                report.add("failed", -1.0, "-", format!("{error:#}"));
                failed.push(name);
            }
            let run = report.end();
            if !to_stdout {
                println!("{}", run.to_table());
            }
            runs.push(run);
        }
    }
    match json {
        Some(_) if to_stdout => println!("{}", report::to_json(&runs)),
        Some(file) => report::write(runs, &file)?,
        None => {}
    }
    anyhow::ensure!(failed.is_empty(), "not all could be measured: {}; the tables say why", failed.join(", "));
    Ok(())
}
