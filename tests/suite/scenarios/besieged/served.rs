//! The binary's server in a folder of its own, with one tenant's key, and what the system says of its process.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;
use tempfile::TempDir;

use super::client::{Answer, Client};

/// How long a client may take nothing of what it is sent: short, as some of these never take anything.
const WRITE_TIMEOUT: &str = "2s";

/// How long the server may take to let go of what clients have left, before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the process of a server has of its machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Memory that is there, in bytes.
    pub(super) resident_bytes: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
    /// Threads.
    pub(super) threads: u64,
}

/// A server that runs until this is dropped.
pub(super) struct Served {
    child: Child,
    /// Sends with the key of a tenant's administrator.
    pub(super) client: Client,
    _folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = ["key", "create", "--db", "x.db", "--scope", "admin", "--name", "first"];
        let made = command(&folder, &key).output().unwrap();
        let platform = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let serve = ["serve", "--db", "x.db", "--listen", "127.0.0.1:0", "--rate-limit", "0", "--log", "error"];
        let bounds = ["--connections-max", "15000", "--head-timeout", "10m", "--write-timeout", WRITE_TIMEOUT];
        let serve = [&serve[..], &bounds].concat();
        let mut child = command(&folder, &serve).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = said.find_map(|line| Some(line.strip_prefix("listening on http://")?.parse().unwrap()));
        let address: SocketAddr = address.expect("the server says where it listens");
        said.find(|line| line.starts_with("driving ")).expect("the server says that it drives");
        // What it says later must find a reader, or the server would wait for one.
        std::thread::spawn(move || said.for_each(drop));
        let client = key_of_tenant(&Client::new(address, &platform)).await;
        Self { child, client, _folder: folder }
    }

    /// What the process has now.
    pub(super) fn usage(&self) -> Usage {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let number = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the system tells");
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        Usage { resident_bytes: number("VmRSS:") << 10, descriptors: self.descriptors(), threads: number("Threads:") }
    }

    pub(super) fn descriptors(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the server runs").count() as u64
    }

    /// Waits until the server has that many descriptors, asking something harmless meanwhile.
    pub(super) async fn until(&self, what: &str, fits: impl Fn(u64) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !fits(self.descriptors()) {
                self.still_answers().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{what}: it has {} descriptors", self.descriptors()));
    }

    /// A good request is answered.
    pub(super) async fn still_answers(&self) {
        let answer = self.client.get("/instances?limit=1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Starts an instance, and answers with its id.
    pub(super) async fn start(&self, workflow: &str) -> String {
        let answer = self.client.post("/instances", &json!({ "definition_name": workflow })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Asks until the answer is as it shall be.
    pub(super) async fn ask_until(&self, path: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
        let asked = tokio::time::timeout(PATIENCE, async {
            loop {
                let answer = self.client.get(path).await;
                if fits(&answer) {
                    return answer;
                }
            }
        });
        asked.await.unwrap_or_else(|_| panic!("{path} is not answered as it shall be"))
    }
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(stepcell_bin());
    command.args(arguments).current_dir(folder.path()).env("STEPCELL_CACHE", cache_dir()).stdin(Stdio::null());
    command
}

/// Makes a tenant with workflows; answers with the client of its administrator.
async fn key_of_tenant(platform: &Client) -> Client {
    let made = platform.post("/admin/tenants", &json!({ "id": "acme" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = json!({ "name": "x", "user_id": "eve", "scopes": ["admin"], "tenant_id": "acme" });
    let made = platform.post("/keys", &key).await;
    let client = Client::new(platform.address, made.json()["key"].as_str().unwrap());
    for definition in definitions() {
        let made = client.post("/definitions", &definition).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    client
}

/// How many people are asked at once by the workflow `wide`: its start alone is that many events, and as many again.
const PEOPLE: usize = 200;

fn definitions() -> [Value; 3] {
    let people: Vec<_> = (0..PEOPLE).map(|number| format!("ask{number}")).collect();
    let mut steps: serde_json::Map<_, _> =
        people.iter().map(|name| (name.clone(), json!({ "type": "human", "title": "Approve it" }))).collect();
    steps.insert("fork".to_owned(), json!({ "type": "gateway", "mode": "parallel" }));
    let edges: Vec<_> = people.iter().map(|name| json!({ "source": "fork", "target": name })).collect();
    [
        json!({
            "schema": "stepcell/v1", "name": "approval", "version": "1.0.0", "initial_step": "review",
            "steps": { "review": { "type": "human", "title": "Approve it" } },
        }),
        json!({
            "schema": "stepcell/v1", "name": "hooked", "version": "1.0.0", "initial_step": "hook",
            "steps": { "hook": { "type": "webhook", "callback_key": "hook" } },
        }),
        json!({
            "schema": "stepcell/v1", "name": "wide", "version": "1.0.0", "initial_step": "fork",
            "steps": steps, "edges": edges,
        }),
    ]
}
