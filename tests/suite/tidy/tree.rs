//! The text files of the workspace, as a source archive would hold them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the workspace.
pub(crate) struct SourceFile {
    /// Its path from the top, with `/`.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// Folders and files that are not source: versions, builds, and what editors keep.
const SKIPPED: [&str; 4] = [".git", "target", ".idea", ".vscode"];

/// Every text file of the workspace, by path.
///
/// Folders that a `CACHEDIR.TAG` marks are skipped: cargo puts one wherever it builds.
pub(crate) fn files() -> Vec<SourceFile> {
    let top = top();
    let mut paths = Vec::new();
    collect(&top, &mut paths);
    let mut files: Vec<_> = paths.iter().filter_map(|path| read(&top, path)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The folder of the top `Cargo.toml`. The runner says where this package lies, which need not be where it was built.
fn top() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).parent().expect("the package lies in the workspace").to_owned()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{} can not be read: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a folder that opens can be listed");
        let kind = entry.file_type().expect("a listed entry has a type");
        let path = entry.path();
        match kind {
            _ if SKIPPED.iter().any(|name| entry.file_name() == *name) => {}
            kind if kind.is_file() => paths.push(path),
            kind if kind.is_dir() && !path.join("CACHEDIR.TAG").exists() => collect(&path, paths),
            _ => {}
        }
    }
}

/// The file as text; none if it is not text.
fn read(top: &Path, path: &Path) -> Option<SourceFile> {
    let text = String::from_utf8(fs::read(path).ok()?).ok()?;
    let path = path.strip_prefix(top).expect("it was found below the top").to_str()?.replace('\\', "/");
    Some(SourceFile { path, text })
}
