//! A host on a database of its own, with the probe step registered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stepcell::engine::{Clock, RegisteredComponent, StartRequest, SystemClock, Tracing};
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::history::Event;
use stepcell::model::host_key::HostKey;
use stepcell::model::id::InstanceId;
use stepcell::model::name::{ComponentName, GroupId, StepName, UserId, WorkflowName};
use stepcell::model::record::{ExecutionRecord, InstanceSummary};
use stepcell::model::transition::Actor;
use stepcell::{EngineError, Host, HostBuilder};
use tempfile::TempDir;

use crate::built::component;

/// How long a scenario may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// The key of every host under test, so that what one has compiled the next one takes from the cache.
pub const HOST_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// A host under test.
pub struct Scenario {
    /// The host.
    pub host: Host,
    folder: TempDir,
}

impl Scenario {
    /// Opens a host on a new database.
    ///
    /// # Panics
    /// If it can not be opened.
    pub async fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock)).await
    }

    /// Opens a host on a new database, of whose executions somebody tells traces.
    ///
    /// # Panics
    /// If it can not be opened.
    pub async fn traced() -> Self {
        Self::opened(|builder| builder.tracing(Tracing::Told)).await
    }

    /// Opens a host on a new database, for which it is as late as `clock` says.
    ///
    /// # Panics
    /// If it can not be opened.
    pub async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::opened(|builder| builder.clock(clock)).await
    }

    async fn opened(change: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let builder = Host::on_sqlite(folder.path().join("stepcell.db")).cache(cache_dir()).concurrency(8);
        let builder = builder.host_key(HostKey::from_hex(HOST_KEY).expect("it has its length"));
        Self { host: change(builder).open().await.expect("the host opens"), folder }
    }

    /// Opens a host on a new database, with the probe registered as `probe`.
    pub async fn with_probe() -> Self {
        let scenario = Self::new().await;
        scenario.push("probe", component("probe")).await.expect("the probe fits the contract");
        scenario
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("stepcell.db")
    }

    /// Registers a component as version 1.0.0.
    ///
    /// # Errors
    /// As the registry.
    ///
    /// # Panics
    /// If the name is none.
    pub async fn push(&self, name: &str, bytes: Vec<u8>) -> Result<RegisteredComponent, EngineError> {
        let name = ComponentName::new(name).expect("the test names it well");
        let version = stepcell::Version::new(1, 0, 0);
        self.host.engine().registry().register_component(name, version, Arc::from(bytes)).await
    }

    /// Registers a definition written in YAML, without its first lines.
    ///
    /// # Panics
    /// If it is not valid.
    pub async fn register(&self, name: &str, body: &str) {
        let text = format!("schema: stepcell/v1\nname: {name}\nversion: 1.0.0\n{body}");
        let definition = WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
        self.host.engine().registry().register_definition(definition).await.expect("the definition is registered");
    }

    /// Starts an instance.
    ///
    /// # Panics
    /// If it can not be started.
    pub async fn start(&self, workflow: &str, data: Value) -> InstanceId {
        let workflow = WorkflowName::new(workflow).expect("the test names it well");
        let request = StartRequest::new(workflow).with_data(data);
        self.host.engine().start_workflow(request).await.expect("it starts").identity.id
    }

    /// Waits until an instance is finished or waits for somebody outside.
    ///
    /// # Panics
    /// If that takes longer than any scenario should.
    pub async fn settled(&self, id: InstanceId) -> InstanceSummary {
        let settled = tokio::time::timeout(PATIENCE, self.host.engine().wait_until_settled(id)).await;
        settled.expect("it settles").expect("the store works")
    }

    /// Starts an instance and waits until it settles.
    pub async fn run(&self, workflow: &str, data: Value) -> InstanceSummary {
        let id = self.start(workflow, data).await;
        self.settled(id).await
    }

    /// Completes the pending task of a step, as a user who is in a group of that name, too.
    ///
    /// # Errors
    /// As the engine.
    ///
    /// # Panics
    /// If the names are none.
    pub async fn complete(&self, id: InstanceId, step: &str, who: &str, data: Value) -> Result<(), EngineError> {
        let user = UserId::new(who).expect("the test names them well");
        let group = GroupId::new(who).expect("the test names them well");
        let actor = Actor { groups: vec![group], ..Actor::user(user) };
        let step = StepName::new(step).expect("the test names it well");
        self.host.engine().complete_human_task(id, &step, actor, data.into()).await
    }

    /// The executions of an instance in the order of their end.
    ///
    /// # Panics
    /// If the store can not be read.
    pub async fn executions(&self, id: InstanceId) -> Vec<ExecutionRecord> {
        self.host.store().list_executions(id).await.expect("the store works")
    }

    /// The executions in the order of their end, such as `a succeeded`.
    pub async fn path(&self, id: InstanceId) -> Vec<String> {
        self.executions(id).await.iter().map(|record| format!("{} {}", record.step, record.status)).collect()
    }

    /// The context of an instance.
    ///
    /// # Panics
    /// If the store can not be read.
    pub async fn context(&self, id: InstanceId) -> Value {
        let context = self.host.store().load_context(id).await.expect("the store works");
        Value::Object(context.into_iter().map(|(key, value)| (key.to_string(), value.tree().clone())).collect())
    }

    /// All events of an instance, in order.
    ///
    /// # Panics
    /// If the store can not be read.
    pub async fn events(&self, id: InstanceId) -> Vec<Event> {
        let history = self.host.store().list_history(id, 0, 1_000).await.expect("the store works");
        history.into_iter().flat_map(|entry| entry.events).collect()
    }
}

/// Compiled components, shared by all scenarios of a build.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::built::root().join("target"), PathBuf::from);
    target.join("test-cache")
}
