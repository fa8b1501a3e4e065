//! The world outside of a server that is killed: the workflows that it runs, and whom they tell.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::policy::Policy;
use stepcell::{Access, Host};
use stepcell_tests::component;
use stepcell_tests::scenario::{HOST_KEY, cache_dir};
use tokio::io::AsyncWriteExt as _;

use crate::server::{OK, Server};

/// A timer; a person; a way that forks and joins; a child; and a step that tells somebody outside. NOOP is a pure step.
const DEFINITIONS: [(&str, &str); 5] = [
    (
        "timed",
        "
initial_step: w
steps:
  w: { type: timer, duration: 300ms }
  after: NOOP
edges: [{ source: w, target: after }]
",
    ),
    (
        "asked",
        "
initial_step: before
steps:
  before: NOOP
  ask: { type: human }
  after: NOOP
edges: [{ source: before, target: ask }, { source: ask, target: after }]
",
    ),
    (
        "forked",
        "
initial_step: s
steps:
  s: NOOP
  a: NOOP
  b: { type: timer, duration: 20ms }
  j: NOOP
edges:
  - { source: s, target: a }
  - { source: s, target: b }
  - { source: a, target: j }
  - { source: b, target: j }
",
    ),
    (
        "parent",
        "
initial_step: c
steps:
  c: { type: workflow, workflow: pure }
  after: NOOP
edges: [{ source: c, target: after }]
",
    ),
    (
        "telling",
        "
initial_step: before
steps:
  before: NOOP
  tell:
    type: machine
    component: notify@1
    config: { url: 'PLACE/told' }
    grants: { http: ['POST PLACE'] }
    retry: RETRY
  after: NOOP
edges: [{ source: before, target: tell }, { source: tell, target: after }]
",
    ),
];

/// How many pure steps stand in a row in the workflow `pure`.
pub(crate) const PURE_STEPS: usize = 10;

/// A step that does nothing.
const NOOP: &str = "{ type: machine, component: noop@1, retry: RETRY }";

/// Whoever is killed that often uses up more attempts than usual.
const RETRY: &str = "{ max_attempts: 100, initial_delay: 1ms, max_delay: 20ms }";

/// The names of all workflows.
pub(crate) const WORKFLOWS: [&str; 6] = ["pure", "timed", "asked", "forked", "parent", "telling"];

/// The longest that the server outside takes for an answer, so that kills come in between.
const ANSWER_MS_MAX: u64 = 150;

/// Whom the steps tell.
pub(crate) struct World {
    server: Server,
}

/// A row of pure steps, which run fused.
fn pure_steps() -> String {
    let steps: String = (0..PURE_STEPS).map(|number| format!("  s{number}: NOOP\n")).collect();
    let edges: String =
        (1..PURE_STEPS).map(|number| format!("  - {{ source: s{}, target: s{number} }}\n", number - 1)).collect();
    format!("initial_step: s0\nsteps:\n{steps}edges:\n{edges}")
}

/// One request that was heard.
pub(crate) struct Request {
    /// The key that its instance was started with.
    pub(crate) of: String,
    /// The idempotency key that the host has put to it.
    pub(crate) effect: String,
}

impl World {
    /// Puts everything into a new database that the servers need.
    pub(crate) async fn new(database: &Path) -> Self {
        let server = Server::doing(|mut stream, before| async move {
            tokio::time::sleep(Duration::from_millis(before as u64 * 37 % ANSWER_MS_MAX)).await;
            // Whoever was to hear it may be gone.
            let _ = stream.write_all(OK.as_bytes()).await;
        })
        .await;
        let place = format!("http://{}", server.address);
        let builder = Host::on_sqlite(database).access(Access::Visit).cache(cache_dir());
        let builder = builder.host_key(stepcell::host_key_of_text("the test", HOST_KEY).expect("it has its length"));
        let host = builder.open().await.expect("it opens");
        let engine = host.engine();
        for name in ["noop", "notify"] {
            let version = stepcell::Version::new(1, 0, 0);
            let name_in_store = name.parse().expect("the test names it well");
            let pushed = engine.registry().register_component(name_in_store, version, component(name).into()).await;
            pushed.expect("the step fits the contract");
        }
        let pure = pure_steps();
        for (name, body) in [("pure", pure.as_str())].into_iter().chain(DEFINITIONS) {
            let body = body.replace("NOOP", NOOP).replace("RETRY", RETRY).replace("PLACE", &place);
            let text = format!("schema: stepcell/v1\nname: {name}\nversion: 1.0.0\n{body}");
            let definition = WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
            engine.registry().register_definition(definition).await.expect("the definition is registered");
        }
        let policy = format!(
            "schema: stepcell-policy/v1\ndefault:\n  grants: {{ http: ['{place}'], private_networks: ['127.0.0.0/8'] }}\n"
        );
        let policy = Policy::from_text(&policy).unwrap_or_else(|problems| panic!("{problems}"));
        engine.apply_policy(&policy).await.expect("the policy is kept");
        host.close().await;
        Self { server }
    }

    /// What was heard.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let whole = |request: &String| {
            let (head, body) = request.split_once("\r\n\r\n")?;
            let effect = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "))?.to_owned();
            let body: Value = serde_json::from_str(body).ok()?;
            Some(Request { of: body["key"].as_str()?.to_owned(), effect })
        };
        self.server.requests().iter().filter_map(whole).collect()
    }
}
