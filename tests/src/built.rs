//! What the tests need built: the example steps as components, and the binary.
//!
//! `cargo xtask test` builds both first and says where they are; a test that is run alone has cargo build them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of an example step, by the name of its crate.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn component(name: &str) -> Vec<u8> {
    let file = guests_dir().join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The folder with the example steps as components.
///
/// # Panics
/// If they do not build.
#[must_use]
pub fn guests_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| match std::env::var_os("STEPCELL_GUESTS_DIR") {
        Some(dir) => dir.into(),
        None => built(&["xtask", "guests"], "wasm32-wasip2/release"),
    })
}

/// The `stepcell` binary.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn stepcell_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| match std::env::var_os("STEPCELL_BIN") {
        Some(bin) => bin.into(),
        None => built(&["build", "--quiet", "--package", "stepcell"], "debug/stepcell"),
    })
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace").to_owned()
}

fn built(cargo: &[&str], below_target: &str) -> PathBuf {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program).current_dir(root()).args(cargo).status().expect("cargo can be run");
    assert!(status.success(), "`cargo {}` failed", cargo.join(" "));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(below_target)
}
