//! The real binary, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use stepcell_tests::scenario::{HOST_KEY, cache_dir};
use stepcell_tests::stepcell_bin;

/// The binary on a database.
pub(crate) fn stepcell(database: &Path) -> Command {
    let mut command = Command::new(stepcell_bin());
    command.env("STEPCELL_DB", database).env("STEPCELL_CACHE", cache_dir()).env("STEPCELL_OUTPUT", "json");
    command.env("STEPCELL_HOST_KEY", HOST_KEY);
    command
}

/// A server that ends with the test.
pub(crate) struct Server(Child);

impl Server {
    /// The ids of its child processes.
    pub(crate) fn children(&self) -> Vec<String> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("it runs");
        let of_threads =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
        of_threads.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Tells it to drain, and waits for its end. Returns its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let told = Command::new("kill").arg(self.0.id().to_string()).status().expect("`kill` can be run");
        assert!(told.success(), "it runs");
        self.0.wait().expect("it ends").code()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
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

/// What a verb prints, as JSON.
pub(crate) fn json_of(command: &mut Command) -> Value {
    let output = command.output().expect("the binary can be run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

/// Starts a server and waits until it says that it drives.
pub(crate) fn serve(database: &Path) -> Server {
    start(stepcell(database).arg("serve"))
}

/// Starts a server whose cells are in worker processes, and waits until it says that it drives.
pub(crate) fn serve_with_workers(database: &Path) -> Server {
    start(stepcell(database).args(["serve", "--isolation", "process"]))
}

fn start(command: &mut Command) -> Server {
    let mut server = command.stderr(Stdio::piped()).spawn().expect("the binary can be run");
    let mut ready = String::new();
    BufReader::new(server.stderr.take().expect("it is piped")).read_line(&mut ready).expect("it says something");
    assert!(ready.contains("driving"), "{ready}");
    Server(server)
}

/// Waits until the history of an instance has an event of this type for this step, as often as asked.
pub(crate) fn wait_for(database: &Path, id: &str, event_type: &str, step: &str, times: usize) -> Value {
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
