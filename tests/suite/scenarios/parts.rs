//! Components that a definition names by path in members, callbacks and compensations, from registration to undoing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use stepcell_tests::built::guests_dir;
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;
use tempfile::TempDir;

const PARTS: &str = "\
schema: stepcell/v1
name: parts
version: 1.0.0
initial_step: both
steps:
  both:
    type: parallel
    steps:
      a: { type: machine, component: ./noop.wasm, compensate: ./undo.wasm }
      b: { type: sequential, steps: { c: { type: machine, component: ./noop.wasm } } }
    callback: { type: machine, component: ./noop.wasm }
  word: { type: signal }
  late: { type: timer, duration_key: nothing }
edges:
  - { source: both, target: word }
  - { source: word, target: late }
";

fn stepcell(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(stepcell_bin());
    command.current_dir(folder).env("STEPCELL_CACHE", cache_dir()).env_remove("STEPCELL_DB");
    command.args(arguments).output().expect("the binary can be run")
}

fn json_of(folder: &Path, arguments: &[&str], exit: i32) -> Value {
    let output = stepcell(folder, &[arguments, &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

/// A folder with the definition and its components, and an instance that waits for its signal.
fn started() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for file in ["noop.wasm", "undo.wasm"] {
        std::fs::copy(guests_dir().join("noop.wasm"), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("parts.yaml"), PARTS).unwrap();
    let applied = stepcell(folder.path(), &["definition", "apply", "parts.yaml"]);
    assert!(applied.status.success(), "{applied:?}");
    let started = json_of(folder.path(), &["start", "parts", "--wait", "--data", r#"{"n": 1}"#], 0);
    assert_eq!((&started["status"], &started["current_step"]), (&"waiting".into(), &"word".into()));
    let id = started["id"].as_str().unwrap().to_owned();
    (folder, id)
}

fn ended(instance: &Value) -> Vec<String> {
    let row = |row: &Value| format!("{} {}", row["step"].as_str().unwrap(), row["status"].as_str().unwrap());
    instance["history"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn each_part_that_names_a_file_is_registered_with_its_digest() {
    let (folder, _) = started();

    let shown = json_of(folder.path(), &["definition", "show", "parts"], 0);

    let mut steps: Vec<_> = shown["components"].as_object().unwrap().keys().collect();
    steps.sort();
    assert_eq!(steps, ["both/a", "both/a/compensate", "both/b/c", "both/callback"]);
    let told = String::from_utf8(stepcell(folder.path(), &["definition", "show", "parts"]).stdout).unwrap();
    let row = told.lines().find(|line| line.starts_with("both/a/compensate ")).unwrap();
    assert!(row.contains("machine") && row.contains("sha256:"), "{told}");
}

#[test]
fn an_instance_that_fails_is_undone_told_so_and_not_retried() {
    let (folder, id) = started();

    let failed = json_of(folder.path(), &["instance", "signal", &id, "word"], 2);

    let path = ended(&failed);
    assert_eq!(path[path.len() - 3..], ["word succeeded", "late failed", "both/a/compensate succeeded"]);
    let why = String::from_utf8(stepcell(folder.path(), &["instance", "why", &id]).stdout).unwrap();
    assert!(why.contains("  It can not be retried, as what it did was undone.\n"), "{why}");
    assert!(why.contains("What it did began to be undone, latest first: `both/a`.\n"), "{why}");
    let retried = stepcell(folder.path(), &["instance", "retry", &id]);
    assert_eq!(retried.status.code(), Some(3), "{retried:?}");
    assert!(String::from_utf8_lossy(&retried.stderr).contains("was undone"), "{retried:?}");
}

#[test]
fn a_cancel_undoes_what_was_done_only_when_asked_to_and_ends_with_0_either_way() {
    let (folder, id) = started();
    let again = json_of(folder.path(), &["start", "parts", "--wait"], 0);
    let again = again["id"].as_str().unwrap();

    let plain = json_of(folder.path(), &["instance", "cancel", &id, "--reason", "x"], 0);
    let undone = json_of(folder.path(), &["instance", "cancel", again, "--reason", "x", "--compensate"], 0);

    assert_eq!(ended(&plain).last().unwrap(), "word canceled");
    assert_eq!(ended(&undone).last().unwrap(), "both/a/compensate succeeded");
    assert_eq!((&plain["status"], &undone["status"]), (&"canceled".into(), &"canceled".into()));
    assert!(stepcell(folder.path(), &["check"]).status.success());
}
