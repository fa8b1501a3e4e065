//! The numbers that the README quotes. Run with `cargo xtask bench`; each prints a line of a table, and all of them
//! together JSON on request.
//!
//! Figures are of the machine they were measured on, and machines are shared and noisy: compare what one run prints
//! with itself, or name the machine.

mod attempts;
mod cold;
mod durable;
mod memory;
mod report;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::report::Report;

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
    let guests = Guests::find();
    let wants_json = std::env::args().any(|argument| argument == "--json");
    let mut report = Report::new();
    attempts::run(&guests, &mut report)?;
    durable::run(&guests, &mut report)?;
    cold::run(&guests, &mut report)?;
    memory::run(&guests, &mut report)?;
    println!("{}", if wants_json { report.to_json() } else { report.to_table() });
    Ok(())
}
