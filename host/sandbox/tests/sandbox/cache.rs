//! Compiled components between runs of the host.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use stepcell_model::host_key::HostKey;
use stepcell_model::id::ComponentDigest;
use stepcell_sandbox::{Sandbox, SandboxConfig, SandboxError, Wall, Walls};

use crate::calls::{call, output};
use crate::guests;

/// The key of the hosts of these tests.
fn key() -> HostKey {
    HostKey::from_hex(&"5a".repeat(32)).unwrap()
}

fn with_cache(dir: &Path) -> SandboxConfig {
    SandboxConfig { cells: 1, cache_dir: Some(dir.to_owned()), host_key: Some(key()), ..SandboxConfig::default() }
}

async fn greet_with_cache(dir: &Path) {
    greet_with(&with_cache(dir)).await;
}

async fn greet_with(config: &SandboxConfig) {
    let sandbox = Sandbox::new(config).unwrap();
    let bytes = guests::component("greet");
    let digest = ComponentDigest::of(&bytes);
    sandbox.prepare(None, digest, bytes).await.unwrap();
    let report = sandbox.run(call(digest, json!({ "name": "Ada" }))).await;
    assert_eq!(output(&report)["greeting"], "Hello, Ada!");
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn artifact_in(dir: &Path) -> PathBuf {
    let files = files_in(dir);
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

/// Whether a host takes the file as it is, or writes another one in its place.
async fn is_taken(config: &SandboxConfig, artifact: &Path) -> bool {
    let before = fs::metadata(artifact).unwrap().ino();
    greet_with(config).await;
    fs::metadata(artifact).unwrap().ino() == before
}

#[tokio::test]
async fn a_file_that_was_changed_anywhere_is_compiled_again_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_cache(dir.path());
    greet_with(&config).await;
    let artifact = artifact_in(dir.path());
    let whole = fs::read(&artifact).unwrap();

    // The seal, the head of the artifact, and places all over it up to its last byte.
    let places =
        [0, 31, 32, 40].into_iter().chain((1..8).map(|eighth| whole.len() * eighth / 8)).chain([whole.len() - 1]);
    for at in places {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&artifact, changed).unwrap();
        assert!(!is_taken(&config, &artifact).await, "byte {at}");
        assert!(is_taken(&config, &artifact).await, "byte {at}");
    }
    for other in [&whole[..10], &whole[..whole.len() - 1], &[&whole[..], b"0"].concat()] {
        fs::write(&artifact, other).unwrap();
        assert!(!is_taken(&config, &artifact).await, "{} bytes", other.len());
    }
}

#[tokio::test]
async fn what_another_host_has_sealed_is_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    greet_with_cache(dir.path()).await;
    let artifact = artifact_in(dir.path());

    let aside = tempfile::tempdir().unwrap();
    let of_another = SandboxConfig { host_key: HostKey::from_hex(&"5b".repeat(32)).ok(), ..with_cache(aside.path()) };
    greet_with(&of_another).await;
    let theirs = artifact_in(aside.path());

    assert!(is_taken(&with_cache(dir.path()), &artifact).await);
    // Under its own name nobody looks for it; under ours its seal does not fit.
    assert_ne!(artifact.file_name(), theirs.file_name());
    fs::copy(&theirs, &artifact).unwrap();
    assert!(!is_taken(&with_cache(dir.path()), &artifact).await);
}

#[tokio::test]
async fn a_host_without_a_key_compiles_anew_in_each_run() {
    let dir = tempfile::tempdir().unwrap();
    let without_key = SandboxConfig { host_key: None, ..with_cache(dir.path()) };

    for runs in 1..=2 {
        greet_with(&without_key).await;
        assert_eq!(files_in(dir.path()).len(), runs);
    }
}

#[tokio::test]
async fn code_of_one_component_does_not_pass_for_that_of_another_or_of_another_version_of_the_engine() {
    let (dir, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = with_cache(dir.path());
    greet_with(&config).await;
    let artifact = artifact_in(dir.path());
    let other = prepare("probe", &with_cache(aside.path())).await;
    drop(other);

    fs::copy(artifact_in(aside.path()), &artifact).unwrap();
    assert!(!is_taken(&config, &artifact).await);
    // Settings and version are a part of the name; a file that is only renamed to fit does not.
    let epochless = Walls { epoch: Wall::Down, ..Walls::default() };
    greet_with(&SandboxConfig { walls: epochless, ..with_cache(aside.path()) }).await;
    let greet = ComponentDigest::of(&guests::component("greet")).hex();
    let compiled_otherwise = files_in(aside.path()).into_iter().find(|file| file.to_string_lossy().contains(&greet));
    fs::copy(compiled_otherwise.unwrap(), &artifact).unwrap();
    assert!(!is_taken(&config, &artifact).await);
}

async fn prepare(example: &str, config: &SandboxConfig) -> Sandbox {
    let sandbox = Sandbox::new(config).unwrap();
    let bytes = guests::component(example);
    sandbox.prepare(None, ComponentDigest::of(&bytes), bytes).await.unwrap();
    sandbox
}

#[tokio::test]
async fn a_full_cache_forgets_what_was_not_used_for_the_longest_time() {
    let dir = tempfile::tempdir().unwrap();
    greet_with_cache(dir.path()).await;
    let greet = artifact_in(dir.path());
    let long_ago = FileTimes::new().set_accessed(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    fs::File::open(&greet).unwrap().set_times(long_ago).unwrap();

    let probe = prepare("probe", &SandboxConfig { cache_bytes_max: 1, ..with_cache(dir.path()) }).await;

    assert!(!greet.exists());
    assert_eq!(files_in(dir.path()).len(), 1);
    drop(probe);
}

#[tokio::test]
async fn what_somebody_began_to_write_long_ago_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join(".1-0-old"), dir.path().join(".1-0-new"));
    fs::write(&old, "x").unwrap();
    fs::write(&new, "x").unwrap();
    let long_ago = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    fs::OpenOptions::new().write(true).open(&old).unwrap().set_times(long_ago).unwrap();

    Sandbox::new(&with_cache(dir.path())).unwrap();

    assert!(!old.exists() && new.exists());
}

#[tokio::test]
async fn no_more_components_are_kept_ready_than_are_wanted_and_the_others_are_prepared_again() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(&SandboxConfig { prepared_max: 1, ..with_cache(dir.path()) }).unwrap();
    let [greet, probe] = ["greet", "probe"].map(|example| {
        let bytes = guests::component(example);
        (ComponentDigest::of(&bytes), bytes)
    });

    for (digest, bytes) in [&greet, &probe, &greet] {
        sandbox.prepare(None, *digest, bytes.clone()).await.unwrap();
        let ready: Vec<_> = [greet.0, probe.0].into_iter().filter(|digest| sandbox.is_prepared(digest)).collect();
        assert_eq!(ready, [*digest]);
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();

    let error = Sandbox::new(&with_cache(dir.path())).unwrap_err();

    assert!(matches!(error, SandboxError::CacheDirShared { .. }), "{error}");
}

#[tokio::test]
async fn several_calls_for_one_component_wait_for_the_same_compilation() {
    let sandbox = Sandbox::new(&SandboxConfig { cells: 1, ..SandboxConfig::default() }).unwrap();
    let bytes = guests::component("greet");
    let digest = ComponentDigest::of(&bytes);

    let prepared = futures::future::join_all((0..8).map(|_| sandbox.prepare(None, digest, bytes.clone()))).await;

    assert!(prepared.iter().all(Result::is_ok));
    assert!(sandbox.is_prepared(&digest));
}

#[test]
fn a_sandbox_needs_at_least_one_cell_and_at_most_a_thousand() {
    for cells in [0, 1_001] {
        let error = Sandbox::new(&SandboxConfig { cells, ..SandboxConfig::default() }).unwrap_err();
        assert_eq!(error.to_string(), format!("a sandbox has 1 to 1000 cells, not {cells}"));
    }
}

#[test]
fn many_sandboxes_and_a_large_one_fit_into_one_process() {
    let small: Vec<_> = (0..8).map(|_| Sandbox::new(&SandboxConfig::default()).unwrap()).collect();
    let large = Sandbox::new(&SandboxConfig { cells: 1_000, ..SandboxConfig::default() });

    assert_eq!(small.len(), 8);
    assert!(large.is_ok(), "{large:?}");
}
