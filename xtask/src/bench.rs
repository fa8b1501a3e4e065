//! The numbers that the README quotes.

use crate::workspace::Workspace;
use crate::{guests, host};

/// Builds the guests and the binary, and runs the benchmarks with `args`.
///
/// # Errors
/// If a stage fails; it is named.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    guests::build(workspace)?;
    host::build_optimised(workspace)?;
    workspace
        .cargo("bench", "measuring", ["run", "--release", "-p", "stepcell-benches", "--"])
        .args(args)
        .env("STEPCELL_GUESTS_DIR", workspace.guests_dir())
        .env("STEPCELL_BIN", workspace.stepcell_bin("release"))
        .env("STEPCELL_PEERS_DIR", workspace.target_dir().join("bench-peers"))
        .run()
}
