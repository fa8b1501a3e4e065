//! The host's binary, optimised.

use crate::workspace::Workspace;

/// Builds the `stepcell` binary with optimisations.
///
/// # Errors
/// If it does not build.
pub(crate) fn build_optimised(workspace: &Workspace) -> anyhow::Result<()> {
    let why = "building the host, optimised; the first time this compiles wasmtime and its compiler, which takes many minutes";
    workspace.cargo("host", why, ["build", "--release", "-p", "stepcell"]).run()
}
