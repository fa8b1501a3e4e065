//! A step that tells its secret in every way: it is found only where it was returned.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use stepcell_tests::built::guests_dir;

use crate::binary::{json_of, stepcell};

/// Nothing else in a database looks like it.
const SECRET: &str = "tomato-4711-velvet-canoe";

/// Everything that a run printed, and every file of its folder.
struct Traces {
    printed: Vec<u8>,
    folder: std::path::PathBuf,
}

impl Traces {
    /// Where the secret stands, as `file` or `output`.
    fn found(&self) -> Vec<String> {
        let has_it = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        let files = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|file| has_it(&std::fs::read(file).unwrap()));
        let mut found: Vec<_> = files.map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
        found.extend(has_it(&self.printed).then(|| "output".to_owned()));
        found
    }
}

fn printed(output: &Output) -> Vec<u8> {
    [output.stdout.as_slice(), &output.stderr].concat()
}

/// Runs a workflow of one step that is granted the secret, with every log on, and shows all there is to see of it.
fn run(folder: &Path, order: &str) -> Traces {
    let database = folder.join("secrets.db");
    let policy = folder.join("policy.yaml");
    std::fs::write(&policy, "schema: stepcell-policy/v1\ndefault: { grants: { secrets: ['*'] } }\n").unwrap();
    assert!(stepcell(&database).args(["policy", "apply"]).arg(&policy).status().unwrap().success());
    let mut set = stepcell(&database).args(["secret", "set", "TOKEN"]).stdin(Stdio::piped()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(format!("{SECRET}\n").as_bytes()).unwrap();
    assert!(set.wait().unwrap().success());
    let definition = folder.join("teller.yaml");
    let text = format!(
        "schema: stepcell/v1
name: teller
version: 1.0.0
initial_step: tell
steps:
  tell: {{ type: machine, component: probe@1, config: {{ do: {order} }}, grants: {{ secrets: [TOKEN] }}, retry: {{ max_attempts: 1 }} }}
"
    );
    std::fs::write(&definition, text).unwrap();
    let probe = guests_dir().join("probe.wasm");
    let push = ["component", "push", "--name", "probe", "--version", "1.0.0"];
    assert!(stepcell(&database).args(push).arg(probe).status().unwrap().success());
    let mut run = stepcell(&database);
    run.args(["run", "--log", "trace", "--db"]).arg(&database).arg(&definition);
    let ran = run.output().unwrap();
    let instance = serde_json::from_slice::<serde_json::Value>(&ran.stdout).unwrap()["id"].as_str().unwrap().to_owned();
    let mut all = printed(&ran);
    for verb in
        [&["instance", "show", &instance][..], &["instance", "history", &instance], &["events"], &["secret", "list"]]
    {
        all.extend(printed(&stepcell(&database).args(verb).output().unwrap()));
    }
    Traces { printed: all, folder: folder.to_owned() }
}

#[test]
fn a_secret_that_is_printed_logged_and_failed_with_is_found_nowhere() {
    for (end, ends_with) in [("fail", "step.invalid-code"), ("trap", "engine.trap"), ("succeed", "")] {
        let folder = tempfile::tempdir().unwrap();

        let traces = run(folder.path(), &format!("{{ do: tell_secret, name: TOKEN, end: {end} }}"));

        assert_eq!(traces.found(), Vec::<String>::new(), "{end}");
        let printed = String::from_utf8_lossy(&traces.printed);
        for told in
            ["printed [secret TOKEN]", "printed without an end [secret TOKEN]", "logged [secret TOKEN]", ends_with]
        {
            assert!(printed.contains(told), "{end}: `{told}` is not in {printed}");
        }
    }
}

#[test]
fn a_secret_that_a_step_returns_is_data_from_then_on() {
    let folder = tempfile::tempdir().unwrap();

    let traces = run(folder.path(), "{ do: secret, name: TOKEN }");

    let found = traces.found();
    assert!(
        found.contains(&"output".to_owned()) && found.iter().any(|file| file.starts_with("secrets.db")),
        "{found:?}"
    );
    let database = folder.path().join("secrets.db");
    let instances = json_of(stepcell(&database).args(["instance", "list"]));
    let id = instances["items"][0]["id"].as_str().unwrap();
    let shown = json_of(stepcell(&database).args(["instance", "show", id]));
    assert_eq!((&shown["result"], &shown["history"][0]["output"]), (&SECRET.into(), &SECRET.into()));
    let history = json_of(stepcell(&database).args(["instance", "history", id]));
    assert!(!history.to_string().contains(SECRET), "events and attempts do not tell it: {history}");
}
