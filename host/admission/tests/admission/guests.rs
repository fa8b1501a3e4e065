//! The example steps as components, built once for whoever asks first.
//!
//! Knows nothing of admission, so that the tests of other crates can take it in with `#[path]`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The component of an example step, by the name of its crate.
///
/// # Panics
/// If the examples do not build; what cargo says is on standard error.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let file = release_dir().join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Where the example steps are: where whoever runs all tests has built them, or where they are built now.
fn release_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        if let Some(dir) = std::env::var_os("STEPCELL_GUESTS_DIR") {
            return dir.into();
        }
        let root = workspace_root();
        let target = root.join("target/guests");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(&root)
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2", "--target-dir"])
            .arg(&target)
            .args(example_names(&root).iter().flat_map(|name| ["--package", name]))
            // The flags of the tests' own build, such as those for coverage, are not for WebAssembly.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo can be run");
        assert!(status.success(), "the example steps do not build");
        target.join("wasm32-wasip2/release")
    })
}

fn workspace_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest_dir.ancestors().find(|dir| dir.join("wit/step.wit").exists());
    root.expect("the contract lies at the root of the workspace").to_owned()
}

fn example_names(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root.join("example-steps")).expect("the examples are there");
    let dirs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let crates = dirs.filter(|dir| dir.join("Cargo.toml").exists());
    crates.filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())).collect()
}
