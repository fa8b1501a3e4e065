//! The numbers that the README quotes. Run with `cargo xtask bench`; `--json` prints JSON instead of a table, and names
//! (`attempts`, `durable`, `cold`, `memory`, `noisy`, `walls`) measure only those.
//!
//! Figures are of the machine they were measured on, and machines are shared and noisy: compare what one run prints
//! with itself, or name the machine.

mod attempts;
mod cold;
mod durable;
mod memory;
mod noisy;
mod report;
mod walls;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::report::Report;

/// What measures one thing, and adds it to a report.
type Benchmark = fn(&Guests, &mut Report) -> anyhow::Result<()>;

/// All that can be measured, by name.
const BENCHMARKS: [(&str, Benchmark); 6] = [
    ("attempts", attempts::run),
    ("durable", durable::run),
    ("cold", cold::run),
    ("memory", memory::run),
    ("noisy", noisy::run),
    ("walls", walls::run),
];

/// The example steps as components.
pub(crate) struct Guests(PathBuf);

impl Guests {
    fn find() -> Self {
        Self(
            std::env::var_os("STEPCELL_GUESTS_DIR")
                .map_or_else(|| "target/wasm32-wasip2/release".into(), PathBuf::from),
        )
    }

    /// The file of a step.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.wasm"))
    }

    /// The component of a step.
    pub(crate) fn load(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).with_context(|| format!("can not read `{}`; run `cargo xtask bench`", path.display()))
    }
}

fn main() -> anyhow::Result<()> {
    stepcell_sandbox::child_main();
    let guests = Guests::find();
    let (options, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let wants_json = options.iter().any(|option| option == "--json");
    for name in &names {
        let known = BENCHMARKS.map(|(known, _)| known);
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "there is no benchmark `{name}`; there are {}",
            known.join(", ")
        );
    }
    let mut report = Report::new();
    for (name, run) in BENCHMARKS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            run(&guests, &mut report)?;
        }
    }
    println!("{}", if wants_json { report.to_json() } else { report.to_table() });
    Ok(())
}
