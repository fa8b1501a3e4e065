//! Builds the example steps for WebAssembly.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::stage::{Stage, answers, output_of};
use crate::workspace::{GUEST_TARGET, Workspace};

/// Builds every crate under `example-steps/` and prints what came of it, one path and size a line.
///
/// # Errors
/// If the target can not be had, a step does not build, or there is none.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    for path in build(workspace)? {
        println!("{:>9}  {}", kib(&path)?, path.display());
    }
    Ok(())
}

/// Builds every crate under `example-steps/` and returns the components' paths.
///
/// # Errors
/// As [`run`].
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<Vec<PathBuf>> {
    add_target(workspace.root())?;
    let guests = workspace.guests();
    if guests.is_empty() {
        bail!(
            "no crate under example-steps/ builds a component; give its library `crate-type = [\"cdylib\", \"rlib\"]`"
        );
    }
    let packages = guests.iter().flat_map(|guest| ["-p", &guest.package]);
    let args = ["build", "--target", GUEST_TARGET, "--release"].into_iter().chain(packages);
    workspace.cargo("guests", "building the example steps as WebAssembly components", args).run()?;
    Ok(guests.iter().map(|guest| workspace.guests_dir().join(&guest.artifact)).collect())
}

/// Makes sure that rustc can build for the guests' target.
fn add_target(root: &Path) -> anyhow::Result<()> {
    if has_target()? {
        return Ok(());
    }
    if !answers("rustup", &["--version"]) {
        bail!(
            "rustc has no standard library for {GUEST_TARGET}, and there is no rustup to add it with; install rustup, or the \
             package of your system that holds Rust's {GUEST_TARGET} target"
        );
    }
    let why = "adding the target that steps are built for, once a toolchain";
    Stage::new("target", why, "rustup", root).args(["target", "add", GUEST_TARGET]).run()
}

/// Whether the target's standard library lies in the toolchain.
fn has_target() -> anyhow::Result<bool> {
    let sysroot = output_of("rustc", &["--print", "sysroot"])?;
    let libs = Path::new(sysroot.trim()).join("lib/rustlib").join(GUEST_TARGET).join("lib");
    Ok(libs.is_dir())
}

fn kib(path: &Path) -> anyhow::Result<String> {
    let file = std::fs::metadata(path).with_context(|| {
        format!("{} was not built; does its library have `crate-type = [\"cdylib\", …]`?", path.display())
    })?;
    Ok(format!("{} KiB", file.len().div_ceil(1024)))
}
