//! The real binary, killed in the middle of a step: what was finished stays, what ran goes on.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use stepcell_tests::built::guests_dir;
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;

fn stepcell(database: &Path) -> Command {
    let mut command = Command::new(stepcell_bin());
    command.env("STEPCELL_DB", database).env("STEPCELL_CACHE", cache_dir()).env("STEPCELL_OUTPUT", "json");
    command
}

/// A server that ends with the test.
struct Server(Child);

impl Server {
    /// Ends it as a power cut would.
    fn kill(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn json_of(command: &mut Command) -> Value {
    let output = command.output().expect("the binary can be run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

/// Starts a server and waits until it says that it drives.
fn serve(database: &Path) -> Server {
    let mut server = stepcell(database).arg("serve").stderr(Stdio::piped()).spawn().expect("the binary can be run");
    let mut ready = String::new();
    BufReader::new(server.stderr.take().expect("it is piped")).read_line(&mut ready).expect("it says something");
    assert!(ready.contains("driving"), "{ready}");
    Server(server)
}

/// Waits until the history of an instance has an event of this type for this step, as often as asked.
fn wait_for(database: &Path, id: &str, event_type: &str, step: &str, times: usize) -> Value {
    for _ in 0..2_000 {
        let history = json_of(stepcell(database).args(["instance", "history", id]));
        let events = history["items"].as_array().expect("history has events");
        let found = events.iter().filter(|event| event["type"] == event_type && event["step"] == step).count();
        if found >= times {
            return history;
        }
    }
    panic!("`{event_type}` of `{step}` does not come");
}

#[test]
fn a_host_that_is_killed_in_the_middle_of_a_step_goes_on_with_it_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("killed.db");
    let definition = folder.path().join("slow.yaml");
    let text = "schema: stepcell/v1
name: slow
version: 1.0.0
initial_step: first
steps:
  first: { type: machine, component: probe@1 }
  second: { type: machine, component: probe@1, config: { do: { do: sleep, ms: 1500 } }, retry: { initial_delay: 10ms } }
edges: [{ source: first, target: second }]
";
    std::fs::write(&definition, text).unwrap();
    let probe = guests_dir().join("probe.wasm");
    let push =
        stepcell(&database).args(["component", "push", "--name", "probe", "--version", "1.0.0"]).arg(probe).status();
    assert!(push.unwrap().success());
    assert!(stepcell(&database).args(["definition", "apply"]).arg(&definition).status().unwrap().success());
    let started = json_of(stepcell(&database).args(["start", "slow", "--data", "{}"]));
    let id = started["id"].as_str().unwrap().to_owned();

    let mut server = serve(&database);
    wait_for(&database, &id, "step_started", "second", 1);
    server.kill();
    let killed = json_of(stepcell(&database).args(["instance", "show", &id]));
    assert_eq!(killed["status"], "running");
    let _server = serve(&database);
    wait_for(&database, &id, "step_completed", "second", 1);

    let instance = json_of(stepcell(&database).args(["instance", "show", &id]));
    assert_eq!(instance["status"], "completed");
    let executions = instance["history"].as_array().unwrap();
    assert_eq!(executions.len(), 2, "finished steps do not run again: {instance}");
    assert_eq!(executions[0]["attempts"], 1);
    assert_eq!(executions[1]["attempts"], 2, "the attempt that was killed counts: {instance}");
    assert!(stepcell(&database).arg("check").status().unwrap().success());
}
