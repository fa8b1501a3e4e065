//! Everything that has to pass before a change goes in.

use anyhow::Context;

use crate::stage::Stage;
use crate::workspace::Workspace;
use crate::{check, guests};

/// Builds the guests, checks and lints, builds the host's binary and runs every test; `args` go to the test runner.
///
/// The runner's closing line is the last thing printed: documentation tests, which cargo-nextest does not run, go first.
///
/// # Errors
/// If a stage fails; it is named, and no later one runs.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> anyhow::Result<()> {
    guests::build(workspace)?;
    check::run(workspace)?;
    build_host(workspace)?;
    if !workspace.has_subcommand("nextest") {
        eprintln!("xtask: cargo-nextest is not installed, so `cargo test` runs the tests");
        return tests(workspace, "test", ["test", "--workspace"], args)?.run();
    }
    tests(workspace, "doc", ["test", "--workspace", "--doc"], &[])?.run()?;
    tests(workspace, "nextest", ["nextest", "run", "--workspace"], args)?.run()
}

fn build_host(workspace: &Workspace) -> anyhow::Result<()> {
    let why = "building the binary that the whole-host tests start; the first time this compiles wasmtime, which takes minutes";
    workspace.cargo("host", why, ["build", "-p", "stepcell"]).run()
}

/// A stage that runs tests and tells them where the binary and the guests are.
fn tests<const N: usize>(
    workspace: &Workspace,
    name: &'static str,
    command: [&str; N],
    args: &[String],
) -> anyhow::Result<Stage> {
    let bin = workspace.stepcell_bin("debug");
    bin.metadata()
        .with_context(|| format!("{} was not built; does host/stepcell still have its binary?", bin.display()))?;
    let why = "running the tests of every crate";
    let stage = workspace.cargo(name, why, command).args(args);
    Ok(stage.env("STEPCELL_BIN", bin).env("STEPCELL_GUESTS_DIR", workspace.guests_dir()))
}
