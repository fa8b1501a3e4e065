//! Formatting and clippy.

use crate::workspace::Workspace;

/// Checks formatting, then lints. A tool that is not installed is skipped with a note on how to get it.
///
/// # Errors
/// If one of the two finds something; it is named.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    if is_installed(workspace, "fmt", "rustfmt") {
        workspace.cargo("fmt", "checking the formatting; `cargo fmt` mends it", ["fmt", "--all", "--check"]).run()?;
    }
    if is_installed(workspace, "clippy", "clippy") {
        let args = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        let why = "linting every crate; the first time this type-checks wasmtime too, which takes minutes";
        workspace.cargo("clippy", why, args).run()?;
    }
    Ok(())
}

fn is_installed(workspace: &Workspace, subcommand: &str, component: &str) -> bool {
    let installed = workspace.has_subcommand(subcommand);
    if !installed {
        eprintln!("xtask: {subcommand}: SKIPPED, it is not installed; `rustup component add {component}` gets it");
    }
    installed
}
