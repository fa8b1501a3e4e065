//! Compiled components between runs of the host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use stepcell_model::id::ComponentDigest;
use stepcell_sandbox::{Sandbox, SandboxConfig, SandboxError};

use crate::calls::{call, output};
use crate::guests;

async fn greet_with_cache(dir: &Path) {
    let sandbox = Sandbox::new(&SandboxConfig { cells: 1, cache_dir: Some(dir.to_owned()) }).unwrap();
    let bytes = guests::component("greet");
    let digest = ComponentDigest::of(&bytes);
    sandbox.prepare(digest, bytes).await.unwrap();
    let report = sandbox.run(call(digest, json!({ "name": "Ada" }))).await;
    assert_eq!(output(&report)["greeting"], "Hello, Ada!");
}

fn artifact_in(dir: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[tokio::test]
async fn what_is_compiled_is_kept_for_the_host_alone_and_taken_up_by_the_next_run() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cache");

    greet_with_cache(&dir).await;
    let artifact = artifact_in(&dir);
    let written = fs::metadata(&artifact).unwrap();
    greet_with_cache(&dir).await;

    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(written.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(artifact_in(&dir)).unwrap().modified().unwrap(), written.modified().unwrap());
}

#[tokio::test]
async fn a_damaged_file_is_compiled_again_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    greet_with_cache(dir.path()).await;
    let artifact = artifact_in(dir.path());
    let whole = fs::read(&artifact).unwrap();

    for at in [0, 40, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&artifact, damaged).unwrap();
        greet_with_cache(dir.path()).await;
        assert_eq!(fs::read(&artifact).unwrap().len(), whole.len());
        assert_eq!(fs::read(&artifact).unwrap()[at], whole[at]);
    }
    fs::write(&artifact, b"short").unwrap();
    greet_with_cache(dir.path()).await;
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();

    let error = Sandbox::new(&SandboxConfig { cells: 1, cache_dir: Some(dir.path().to_owned()) }).unwrap_err();

    assert!(matches!(error, SandboxError::CacheDirShared { .. }), "{error}");
}

#[tokio::test]
async fn several_calls_for_one_component_wait_for_the_same_compilation() {
    let sandbox = Sandbox::new(&SandboxConfig { cells: 1, cache_dir: None }).unwrap();
    let bytes = guests::component("greet");
    let digest = ComponentDigest::of(&bytes);

    let prepared = futures::future::join_all((0..8).map(|_| sandbox.prepare(digest, bytes.clone()))).await;

    assert!(prepared.iter().all(Result::is_ok));
    assert!(sandbox.is_prepared(&digest));
}

#[test]
fn a_sandbox_needs_at_least_one_cell_and_at_most_a_thousand() {
    for cells in [0, 1_001] {
        let error = Sandbox::new(&SandboxConfig { cells, cache_dir: None }).unwrap_err();
        assert_eq!(error.to_string(), format!("a sandbox has 1 to 1000 cells, not {cells}"));
    }
}

#[test]
fn many_sandboxes_and_a_large_one_fit_into_one_process() {
    let small: Vec<_> = (0..8).map(|_| Sandbox::new(&SandboxConfig::default()).unwrap()).collect();
    let large = Sandbox::new(&SandboxConfig { cells: 1_000, cache_dir: None });

    assert_eq!(small.len(), 8);
    assert!(large.is_ok(), "{large:?}");
}
