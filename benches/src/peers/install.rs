//! Installing peers by the ordinary clients of their registries, once for each list of versions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// What lists what was installed, in the folder of a registry.
const MARK: &str = "installed.txt";

/// The folder of the scripts and lists, from the top of the workspace.
pub(super) fn scripts() -> PathBuf {
    std::path::absolute("benches/peers").unwrap_or_else(|_| "benches/peers".into())
}

/// The Python of an environment that has the peers from PyPI.
///
/// # Errors
/// What failed, with what the client said.
pub(super) fn python() -> anyhow::Result<PathBuf> {
    let folder = folder("python")?;
    let list = scripts().join("requirements.txt");
    let python = folder.join("bin/python");
    if is_installed(&folder, &list) {
        return Ok(python);
    }
    call(&folder, "python3", [OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()])?;
    let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"].map(OsStr::new);
    call(&folder, &python, args.into_iter().chain([list.as_os_str()]))?;
    mark(&folder, &list)?;
    Ok(python)
}

/// The folder with the peers from npm, and the service beside them, where Node looks for what it imports.
///
/// # Errors
/// As [`python`].
pub(super) fn node() -> anyhow::Result<PathBuf> {
    let folder = folder("node")?;
    let list = scripts().join("package.json");
    std::fs::copy(scripts().join("restate_service.mjs"), folder.join("restate_service.mjs"))?;
    if !is_installed(&folder, &list) {
        std::fs::copy(&list, folder.join("package.json"))?;
        // No package of the list needs a script to be installed.
        call(&folder, "npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])?;
        mark(&folder, &list)?;
    }
    Ok(folder)
}

/// A folder under the target folder, made if there is none.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let peers = std::env::var_os("STEPCELL_PEERS_DIR").map_or_else(|| "target/bench-peers".into(), PathBuf::from);
    let folder = std::path::absolute(peers)?.join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("can not make `{}`", folder.display()))?;
    Ok(folder)
}

fn is_installed(folder: &Path, list: &Path) -> bool {
    let mark = std::fs::read(folder.join(MARK));
    mark.is_ok_and(|mark| std::fs::read(list).is_ok_and(|list| list == mark))
}

fn mark(folder: &Path, list: &Path) -> anyhow::Result<()> {
    std::fs::copy(list, folder.join(MARK))?;
    Ok(())
}

fn call<A: AsRef<OsStr>>(
    folder: &Path,
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = A>,
) -> anyhow::Result<()> {
    let program = program.as_ref();
    let name = program.to_string_lossy().into_owned();
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.with_context(|| format!("`{name}` can not be started; install it to measure this peer"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{name}` could not install the peer: {}", said.trim());
    Ok(())
}
