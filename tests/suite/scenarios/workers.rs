//! The real binary with its cells in worker processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use stepcell_tests::built::guests_dir;

use crate::binary::{json_of, serve_with_workers, stepcell, wait_for};

const WORKFLOW: &str = "schema: stepcell/v1
name: slow
version: 1.0.0
initial_step: first
steps:
  first: { type: machine, component: probe@1, config: { do: { do: sleep, ms: 1500 } }, retry: { initial_delay: 3s } }
";

/// Registers the probe and the workflow on a database, and starts an instance.
fn start(database: &Path, folder: &Path) -> String {
    let definition = folder.join("slow.yaml");
    std::fs::write(&definition, WORKFLOW).unwrap();
    let probe = guests_dir().join("probe.wasm");
    let push = ["--isolation", "process", "component", "push", "--name", "probe", "--version", "1.0.0"];
    assert!(stepcell(database).args(push).arg(probe).status().unwrap().success());
    assert!(stepcell(database).args(["definition", "apply"]).arg(definition).status().unwrap().success());
    json_of(stepcell(database).args(["start", "slow", "--data", "{}"]))["id"].as_str().unwrap().to_owned()
}

fn count(database: &Path, id: &str, event_type: &str) -> usize {
    let history = json_of(stepcell(database).args(["instance", "history", id]));
    history["items"].as_array().unwrap().iter().filter(|event| event["type"] == event_type).count()
}

fn instance(database: &Path, id: &str) -> Value {
    json_of(stepcell(database).args(["instance", "show", id]))
}

#[test]
fn a_worker_that_is_killed_in_the_middle_of_a_step_costs_one_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("workers.db");
    let id = start(&database, folder.path());

    let server = serve_with_workers(&database);
    // A worker is there before its attempt is, and the next attempt is far off once this one has failed.
    while count(&database, &id, "step_retry_scheduled") == 0 {
        let _ = Command::new("kill").arg("-9").args(server.children()).stderr(Stdio::null()).status().unwrap();
    }
    wait_for(&database, &id, "step_completed", "first", 1);

    let instance = instance(&database, &id);
    assert_eq!(instance["status"], "completed", "{instance}");
    assert_eq!(instance["history"][0]["attempts"], 2, "{instance}");
}

#[test]
fn a_workflow_runs_in_workers_as_it_does_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("echo.yaml");
    let text = "schema: stepcell/v1
name: echo
version: 1.0.0
initial_step: write
steps:
  write: { type: machine, component: probe@1, config: { do: { do: write, key: total, value: 1.5 } } }
  read: { type: machine, component: probe@1, config: { do: { do: read, key: total } } }
edges: [{ source: write, target: read }]
";
    std::fs::write(&definition, text).unwrap();

    let [here, there] = ["thread", "process"].map(|isolation| {
        let database = folder.path().join(format!("{isolation}.db"));
        let probe = guests_dir().join("probe.wasm");
        let push = ["component", "push", "--name", "probe", "--version", "1.0.0"];
        assert!(stepcell(&database).args(push).arg(probe).status().unwrap().success());
        let database_flag = database.to_str().unwrap();
        let ran = json_of(
            stepcell(&database).args(["--isolation", isolation, "--db", database_flag, "run"]).arg(&definition),
        );
        let id = ran["id"].as_str().unwrap();
        let instance = instance(&database, id);
        (instance["status"].clone(), instance["context"].clone(), instance["history"][1]["output"].clone())
    });

    assert_eq!(here, there);
    assert_eq!(here.0, json!("completed"));
}
