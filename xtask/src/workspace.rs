//! Where things are: folders, cargo, and the crates under `example-steps/`, all as cargo itself sees them.

use std::env::consts::EXE_SUFFIX;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::stage::{Stage, output_of};

/// The target that guests are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// The workspace that this `xtask` belongs to.
pub(crate) struct Workspace {
    cargo: OsString,
    metadata: Metadata,
}

/// A crate under `example-steps/`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Guest {
    /// The package's name.
    pub(crate) package: String,
    /// The file name of what it is built into.
    pub(crate) artifact: String,
}

/// The part of `cargo metadata` that tasks need.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// If cargo does not answer, or answers in a form unknown here.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let text = output_of(&cargo, &["metadata", "--no-deps", "--format-version", "1"])
            .context("run the task with `cargo xtask` inside the workspace")?;
        Ok(Self { cargo, metadata: parse(&text)? })
    }

    /// The folder of the top `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.metadata.workspace_root
    }

    /// Where cargo builds into, absolute; `CARGO_TARGET_DIR` decides if it is set.
    pub(crate) fn target_dir(&self) -> &Path {
        &self.metadata.target_directory
    }

    /// Where built guests are.
    pub(crate) fn guests_dir(&self) -> PathBuf {
        self.target_dir().join(GUEST_TARGET).join("release")
    }

    /// The `stepcell` binary of a profile's folder, such as `debug`.
    pub(crate) fn stepcell_bin(&self, profile_dir: &str) -> PathBuf {
        self.target_dir().join(profile_dir).join(format!("stepcell{EXE_SUFFIX}"))
    }

    /// The crates under `example-steps/`, by name.
    pub(crate) fn guests(&self) -> Vec<Guest> {
        guests_in(&self.metadata)
    }

    /// A stage that runs cargo at the top of the workspace, building where this task looks for it.
    pub(crate) fn cargo<A: AsRef<OsStr>>(
        &self,
        name: &'static str,
        why: &'static str,
        args: impl IntoIterator<Item = A>,
    ) -> Stage {
        Stage::new(name, why, &self.cargo, self.root()).args(args).env("CARGO_TARGET_DIR", self.target_dir())
    }

    /// Whether cargo has that subcommand, such as `clippy`.
    pub(crate) fn has_subcommand(&self, subcommand: &str) -> bool {
        crate::stage::answers(&self.cargo, &[subcommand, "--version"])
    }
}

fn parse(text: &str) -> anyhow::Result<Metadata> {
    serde_json::from_str(text)
        .context("`cargo metadata` answered in an unknown form; use the toolchain of rust-toolchain.toml")
}

fn guests_in(metadata: &Metadata) -> Vec<Guest> {
    let folder = metadata.workspace_root.join("example-steps");
    let mut guests: Vec<_> = metadata.packages.iter().filter(|p| p.is_in(&folder)).filter_map(Package::guest).collect();
    guests.sort_by(|a, b| a.package.cmp(&b.package));
    guests
}

impl Package {
    fn is_in(&self, folder: &Path) -> bool {
        self.manifest_path.parent().and_then(Path::parent) == Some(folder)
    }

    /// What the package is as a guest; none if it builds no component.
    fn guest(&self) -> Option<Guest> {
        let component = self.targets.iter().find(|t| t.crate_types.iter().any(|kind| kind == "cdylib"))?;
        let artifact = format!("{}.wasm", component.name.replace('-', "_"));
        Some(Guest { package: self.name.clone(), artifact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "workspace_root": "/w", "target_directory": "/t",
        "packages": [
            {"name": "traps", "manifest_path": "/w/example-steps/traps/Cargo.toml",
             "targets": [{"name": "traps", "crate_types": ["cdylib", "rlib"]}]},
            {"name": "call-out", "manifest_path": "/w/example-steps/call-out/Cargo.toml",
             "targets": [{"name": "call_out", "crate_types": ["cdylib"]}]},
            {"name": "plain", "manifest_path": "/w/example-steps/plain/Cargo.toml",
             "targets": [{"name": "plain", "crate_types": ["lib"]}]},
            {"name": "host", "manifest_path": "/w/host/host/Cargo.toml",
             "targets": [{"name": "host", "crate_types": ["cdylib"]}]}
        ]
    }"#;

    #[test]
    fn guests_are_the_components_under_example_steps_by_name() {
        let guests = guests_in(&parse(METADATA).unwrap());
        let named = |package: &str, artifact: &str| Guest { package: package.into(), artifact: artifact.into() };
        assert_eq!(guests, [named("call-out", "call_out.wasm"), named("traps", "traps.wasm")]);
    }
}
