//! The numbers that the README quotes.

use crate::guests;
use crate::workspace::Workspace;

/// Builds the guests and runs the benchmarks with `args`.
///
/// # Errors
/// If a stage fails; it is named.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    guests::build(workspace)?;
    let why = "measuring, optimised; the first time this compiles wasmtime and its compiler, which takes many minutes";
    workspace
        .cargo("bench", why, ["run", "--release", "-p", "stepcell-benches", "--"])
        .args(args)
        .env("STEPCELL_GUESTS_DIR", workspace.guests_dir())
        .run()
}
