//! The test kit: an engine on any store, with steps written as Rust closures and a clock that tests move.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part of the kit")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use stepcell_engine::{
    Clock, ComponentFacts, ComponentRefused, Driving, EngineError, EngineOptions, EventFeed, EventFilter, FeedStart,
    SimulatedClock, StartRequest, StepRunner, WorkflowEngine,
};
use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, HostFault, Receipt, StepCall,
};
use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::host_key::HostKey;
use stepcell_model::id::{ComponentDigest, InstanceId};
use stepcell_model::json::Json;
use stepcell_model::name::{ComponentName, ContextKey, StepName, TenantId, UserId, WorkflowName};
use stepcell_model::policy::Policy;
use stepcell_model::record::{ExecutionRecord, InstanceSummary, TaskRecord};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Actor;
use stepcell_store::{
    Activity, InstanceFilter, MemoryStore, Role, SqliteOptions, SqliteStore, TaskFilter, WorkflowStore, check_chain,
};
use tokio::sync::{Notify, Semaphore};

/// What a scripted step does with one call.
pub type Script = Arc<dyn Fn(StepCall) -> Answer + Send + Sync>;

/// How a scripted step answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Returns this and writes that.
    Output(Value, Vec<(&'static str, Value)>),
    /// `can-execute` says no.
    Skip,
    /// Returns null, and has used that many microseconds of CPU.
    Costs(u64),
    /// Fails.
    Fail(Failure),
    /// Returns this, and `on-success` fails.
    HookFails(Value, Failure),
    /// Runs until this is notified, then returns null.
    Hold(Arc<Notify>),
    /// Runs until this is notified, then writes one context value and returns null.
    HoldThenWrite(Arc<Notify>, &'static str, Value),
    /// Runs until this is notified, then fails for good.
    HoldThenFail(Arc<Notify>),
    /// Runs until the gate lets it through, counts itself out, then returns null.
    HoldAt(Arc<Semaphore>, Arc<AtomicUsize>),
    /// Never returns.
    Never,
    /// Panics on the host's side.
    Panic,
    /// The worker that runs it dies.
    BreaksHost,
}

/// Returns null and writes nothing.
pub fn done() -> Answer {
    Answer::Output(Value::Null, Vec::new())
}

/// Returns a value.
pub fn returns(value: impl Into<Value>) -> Answer {
    Answer::Output(value.into(), Vec::new())
}

/// Writes one context value and returns null.
pub fn writes(key: &'static str, value: impl Into<Value>) -> Answer {
    Answer::Output(Value::Null, vec![(key, value.into())])
}

/// Fails for good.
pub fn fails(code: &str, message: &str) -> Answer {
    Answer::Fail(Failure::from_guest(code, message.to_owned(), false))
}

/// Fails so that it may be tried again.
pub fn fails_for_now(code: &str) -> Answer {
    Answer::Fail(Failure::from_guest(code, "not yet".to_owned(), true))
}

/// The key of every host in these tests.
pub fn host_key() -> HostKey {
    HostKey::take(&mut [7; 32])
}

/// Runs scripts instead of components, and notes every call.
#[derive(Default)]
pub struct ScriptedRunner {
    scripts: Mutex<HashMap<ComponentDigest, (Script, Hook)>>,
    exports: Mutex<HashMap<ComponentDigest, ComponentExports>>,
    /// What components of those bytes can make use of.
    pub capabilities: Mutex<HashMap<ComponentDigest, Vec<Capability>>>,
    pub calls: Mutex<Vec<(String, StepCall)>>,
    /// What each gateway was to choose among.
    pub targets: Mutex<Vec<(String, Vec<StepName>)>>,
    pub hooks: Mutex<Vec<(String, Failure)>>,
    pub begun: Notify,
}

type Hook = Arc<dyn Fn(StepCall, Failure) -> Answer + Send + Sync>;

fn report(outcome: AttemptOutcome, writes: Vec<(&'static str, Value)>) -> AttemptReport {
    let writes: ContextWrites =
        writes.into_iter().map(|(key, value)| (ContextKey::new(key).unwrap(), Some(value.into()))).collect();
    AttemptReport { outcome, writes, hook_failure: None, trace: AttemptTrace::default() }
}

#[async_trait]
impl StepRunner for ScriptedRunner {
    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        let told = self.exports.lock().unwrap().get(&ComponentDigest::of(&bytes)).copied();
        let capabilities = self.capabilities.lock().unwrap().get(&ComponentDigest::of(&bytes)).cloned();
        let (exports, capabilities) = (told.unwrap_or(ComponentExports::Step), capabilities.unwrap_or_default());
        Ok(ComponentFacts { exports, capabilities, manifest: None })
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        Ok(())
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        true
    }

    async fn run(&self, call: StepCall) -> AttemptReport {
        let script = Arc::clone(&self.scripts.lock().unwrap()[&call.component].0);
        // Whoever waits for the call finds what the script did before it answered.
        let answer = script(call.clone());
        self.calls.lock().unwrap().push((call.info.step.to_string(), call));
        self.begun.notify_waiters();
        match answer {
            Answer::Output(output, writes) => report(AttemptOutcome::Succeeded(output.into()), writes),
            Answer::Skip => report(AttemptOutcome::Skipped, Vec::new()),
            Answer::Costs(cpu_us) => {
                let receipt = Receipt { cpu_us, ..Receipt::default() };
                let trace = AttemptTrace { receipt, ..AttemptTrace::default() };
                AttemptReport { trace, ..report(AttemptOutcome::Succeeded(Json::null()), Vec::new()) }
            }
            Answer::Fail(failure) => report(AttemptOutcome::Failed(failure), Vec::new()),
            Answer::HookFails(output, failure) => AttemptReport {
                hook_failure: Some(failure),
                ..report(AttemptOutcome::Succeeded(output.into()), Vec::new())
            },
            Answer::Hold(until) => {
                until.notified().await;
                report(AttemptOutcome::Succeeded(Json::null()), Vec::new())
            }
            Answer::HoldThenWrite(until, key, value) => {
                until.notified().await;
                report(AttemptOutcome::Succeeded(Json::null()), vec![(key, value)])
            }
            Answer::HoldThenFail(until) => {
                until.notified().await;
                let failure = Failure::from_guest("broken", "it broke".into(), false);
                report(AttemptOutcome::Failed(failure), Vec::new())
            }
            Answer::HoldAt(gate, running) => {
                gate.acquire().await.unwrap().forget();
                running.fetch_sub(1, Ordering::SeqCst);
                report(AttemptOutcome::Succeeded(Json::null()), Vec::new())
            }
            Answer::Never => std::future::pending().await,
            Answer::BreaksHost => {
                let failure = Failure::engine(EngineCode::Host, "The host could not run the step.");
                let trace = AttemptTrace { host_fault: Some(HostFault::WorkerDied), ..AttemptTrace::default() };
                AttemptReport { trace, ..report(AttemptOutcome::Failed(failure), Vec::new()) }
            }
            Answer::Panic => panic!("the host's side of a step failed"),
        }
    }

    /// What the script returns is the answer; what it writes is dropped.
    async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport {
        self.targets.lock().unwrap().push((call.info.step.to_string(), targets));
        AttemptReport { writes: ContextWrites::new(), ..self.run(call).await }
    }

    async fn run_failure_hook(&self, call: StepCall, failure: Failure) -> HookReport {
        let hook = Arc::clone(&self.scripts.lock().unwrap()[&call.component].1);
        self.hooks.lock().unwrap().push((call.info.step.to_string(), failure.clone()));
        let (writes, failure) = match hook(call, failure) {
            Answer::Output(_, writes) => (report(AttemptOutcome::Skipped, writes).writes, None),
            Answer::Fail(failure) => (ContextWrites::new(), Some(failure)),
            Answer::Never => std::future::pending().await,
            other => panic!("no answer for a hook: {other:?}"),
        };
        HookReport { writes, failure, trace: AttemptTrace::default() }
    }
}

/// Which store a test runs on.
#[derive(Clone, Copy, Debug)]
pub enum Backend {
    Memory,
    Sqlite,
}

/// An engine under test.
pub struct TestHost {
    pub engine: WorkflowEngine,
    pub runner: Arc<ScriptedRunner>,
    pub clock: Arc<SimulatedClock>,
    driving: Option<Driving>,
    store: Arc<dyn WorkflowStore>,
    fused_for: Duration,
    _folder: Option<tempfile::TempDir>,
}

/// When every test begins.
pub const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

impl TestHost {
    pub async fn on(backend: Backend) -> Self {
        Self::on_wrapped(backend, |store| store).await
    }

    /// A host on which nothing but what happens ends the wait of pure steps for what follows.
    pub async fn that_fuses(
        backend: Backend,
        wrap: impl FnOnce(Arc<dyn WorkflowStore>) -> Arc<dyn WorkflowStore>,
    ) -> Self {
        let host = Self::on_wrapped(backend, wrap).await;
        let store = Arc::clone(&host.store);
        Self { fused_for: Duration::from_secs(3_600), ..host }.crash_and_restart_on(store, |_| {}).await
    }

    /// A host whose store is what `wrap` makes of the one that it would have.
    pub async fn on_wrapped(
        backend: Backend,
        wrap: impl FnOnce(Arc<dyn WorkflowStore>) -> Arc<dyn WorkflowStore>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, folder): (Arc<dyn WorkflowStore>, _) = match backend {
            Backend::Memory => (Arc::new(MemoryStore::new()), None),
            Backend::Sqlite => {
                let path = folder.path().join("test.db");
                (Arc::new(SqliteStore::open(&path, SqliteOptions::default()).unwrap()), Some(folder))
            }
        };
        let clock = Arc::new(SimulatedClock::at(START));
        let fused_for = EngineOptions::default().fused_for;
        Self::over(wrap(store), folder, Arc::new(ScriptedRunner::default()), clock, fused_for).await
    }

    async fn over(
        store: Arc<dyn WorkflowStore>,
        folder: Option<tempfile::TempDir>,
        runner: Arc<ScriptedRunner>,
        clock: Arc<SimulatedClock>,
        fused_for: Duration,
    ) -> Self {
        let options = EngineOptions {
            concurrency: 8,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            fused_for,
            host_key: Some(host_key()),
            ..EngineOptions::default()
        };
        let engine = WorkflowEngine::new(Arc::clone(&store), Arc::clone(&runner) as Arc<dyn StepRunner>, options);
        let driving = Some(engine.drive().await.unwrap());
        Self { engine, runner, clock, driving, store, fused_for, _folder: folder }
    }

    /// The host goes down where it stands, and a new one comes up on the same store.
    pub async fn crash_and_restart(self) -> Self {
        let store = Arc::clone(&self.store);
        self.crash_and_restart_on(store, |_| {}).await
    }

    /// The same, with another way to the same store; `prepare` is what happens while the host is down.
    pub async fn crash_and_restart_on(
        mut self,
        store: Arc<dyn WorkflowStore>,
        prepare: impl FnOnce(&SimulatedClock),
    ) -> Self {
        if let Some(driving) = self.driving.take() {
            driving.abandon().await;
        }
        // What it had handed to the store before is stored once the store has done something that came after.
        let (nobody, version) = (WorkflowName::new("nobody").unwrap(), semver::Version::new(0, 0, 0));
        store.set_definition_active(None, &nobody, &version, Activity::Active).await.unwrap();
        prepare(&self.clock);
        let (runner, clock) = (Arc::clone(&self.runner), Arc::clone(&self.clock));
        Self::over(store, self._folder.take(), runner, clock, self.fused_for).await
    }

    /// The host stops in order, and a new one comes up on another way to the same store.
    pub async fn stop_and_restart_on(mut self, store: Arc<dyn WorkflowStore>) -> Self {
        self.driving.take().expect("it drives").stop().await;
        let (runner, clock) = (Arc::clone(&self.runner), Arc::clone(&self.clock));
        Self::over(store, self._folder.take(), runner, clock, self.fused_for).await
    }

    /// How many instances are being moved.
    pub fn hot_len(&self) -> usize {
        self.driving.as_ref().expect("it drives").hot_len()
    }

    /// How many instances anything is held of.
    pub fn held_len(&self) -> usize {
        self.driving.as_ref().expect("it drives").held_len()
    }

    /// Waits until no instance is being moved.
    pub async fn cools(&self) {
        let cool = async {
            while self.driving.as_ref().expect("it drives").hot_len() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), cool).await.expect("nothing moves any more");
    }

    /// The store, as the engine sees it.
    pub fn store(&self) -> Arc<dyn WorkflowStore> {
        Arc::clone(&self.store)
    }

    /// An engine of another process on the same SQLite database: it changes instances and moves none.
    pub fn visitor(&self) -> WorkflowEngine {
        let path = self._folder.as_ref().expect("only a database can be visited").path().join("test.db");
        let options = SqliteOptions { role: Role::Visitor, ..SqliteOptions::default() };
        let store = Arc::new(SqliteStore::open(path, options).unwrap());
        let options = EngineOptions {
            concurrency: 1,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ..EngineOptions::default()
        };
        WorkflowEngine::new(store, Arc::clone(&self.runner) as Arc<dyn StepRunner>, options)
    }

    /// Has every attempt on disk before it begins, pure ones too.
    pub async fn stores_each_step(&self) {
        let policy = Policy::from_text("{ schema: stepcell-policy/v1, default: { durability: each_step } }").unwrap();
        self.engine.apply_policy(&policy).await.unwrap();
    }

    /// Registers a step that does what `script` says.
    pub async fn step(&self, name: &str, script: impl Fn(StepCall) -> Answer + Send + Sync + 'static) {
        self.step_with_hook(name, script, |_, _| done()).await;
    }

    /// Registers a gateway that answers with what `script` returns.
    pub async fn gateway(&self, name: &str, script: impl Fn(StepCall) -> Answer + Send + Sync + 'static) {
        let digest = ComponentDigest::of(name.as_bytes());
        self.runner.exports.lock().unwrap().insert(digest, ComponentExports::Gateway);
        self.step(name, script).await;
    }

    /// Registers a step with an `on-failure` of its own.
    pub async fn step_with_hook(
        &self,
        name: &str,
        script: impl Fn(StepCall) -> Answer + Send + Sync + 'static,
        hook: impl Fn(StepCall, Failure) -> Answer + Send + Sync + 'static,
    ) {
        let bytes: Arc<[u8]> = name.as_bytes().into();
        let digest = ComponentDigest::of(&bytes);
        self.runner.scripts.lock().unwrap().insert(digest, (Arc::new(script), Arc::new(hook)));
        let name = ComponentName::new(name).unwrap();
        self.engine.registry().register_component(name, semver::Version::new(1, 0, 0), bytes).await.unwrap();
    }

    pub async fn register(&self, definition: WorkflowDefinition) {
        self.engine.registry().register_definition(definition).await.unwrap();
    }

    /// Registers a definition written in YAML, without its first lines.
    pub async fn register_yaml(&self, name: &str, body: &str) {
        let text = format!("schema: stepcell/v1\nname: {name}\nversion: 1.0.0\n{body}");
        self.register(WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"))).await;
    }

    /// Registers components that return the name of the step that they run as.
    pub async fn named(&self, steps: &[&str]) {
        for step in steps {
            self.step(step, |call| returns(call.info.step.as_str())).await;
        }
    }

    pub async fn start(&self, workflow: &str, data: Value) -> InstanceId {
        self.try_start(workflow, data).await.unwrap().identity.id
    }

    pub async fn try_start(&self, workflow: &str, data: Value) -> Result<InstanceSummary, EngineError> {
        let request = StartRequest::new(WorkflowName::new(workflow).unwrap()).with_data(data);
        self.engine.start_workflow(request).await
    }

    /// Starts and waits until the instance is finished or waits for somebody outside.
    pub async fn run(&self, workflow: &str, data: Value) -> InstanceSummary {
        let id = self.start(workflow, data).await;
        self.settled(id).await
    }

    pub async fn settled(&self, id: InstanceId) -> InstanceSummary {
        let settled = self.engine.wait_until_settled(id);
        let settled = tokio::time::timeout(Duration::from_secs(20), settled).await.expect("it settles").unwrap();
        let chain = check_chain(self.store.as_ref(), id, None).await.unwrap().unwrap();
        assert_eq!(chain.breaks, [], "whoever moved it went on from the last link");
        settled
    }

    /// Waits until an instance waits or is finished, whatever it waits for.
    pub async fn waits(&self, id: InstanceId) {
        let mut told = self.told().await;
        let wait = async {
            loop {
                let status = self.engine.get_instance(id).await.unwrap().status;
                if status == WorkflowStatus::Waiting || status.is_finished() {
                    return;
                }
                told.next().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it comes to wait");
    }

    /// Everything that is committed from now on.
    pub async fn told(&self) -> EventFeed {
        self.engine.events(EventFilter::default(), FeedStart::Now).await.unwrap()
    }

    /// Waits until a step was called that many times in all.
    pub async fn called(&self, step: &str, times: usize) {
        let wait = async {
            loop {
                let begun = self.runner.begun.notified();
                if self.calls(step).len() >= times {
                    return;
                }
                begun.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it is called");
    }

    pub fn calls(&self, step: &str) -> Vec<StepCall> {
        let calls = self.runner.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == step).map(|(_, call)| call.clone()).collect()
    }

    pub async fn executions(&self, id: InstanceId) -> Vec<ExecutionRecord> {
        self.store.list_executions(id).await.unwrap()
    }

    /// The executions in the order of their end, such as `a succeeded`.
    pub async fn path(&self, id: InstanceId) -> Vec<String> {
        self.executions(id).await.iter().map(|record| format!("{} {}", record.step, record.status)).collect()
    }

    pub async fn context(&self, id: InstanceId) -> Value {
        let context = self.store.load_context(id).await.unwrap();
        Value::Object(context.into_iter().map(|(key, value)| (key.to_string(), value.tree().clone())).collect())
    }

    /// Lets somebody complete the oldest pending task of a step.
    pub async fn completes(&self, id: InstanceId, step: &str, data: Value) {
        let step = StepName::new(step).unwrap();
        self.engine.complete_human_task(id, &step, user("ada"), data.into()).await.unwrap();
    }

    pub async fn tasks(&self, id: InstanceId) -> Vec<TaskRecord> {
        let filter = TaskFilter { instance: Some(id), ..TaskFilter::default() };
        self.store.list_tasks(&filter).await.unwrap().items
    }

    pub async fn instances(&self, filter: InstanceFilter) -> Vec<InstanceSummary> {
        self.store.list_instances(&filter).await.unwrap().items
    }

    /// The types of all events of an instance, in order.
    pub async fn events(&self, id: InstanceId) -> Vec<String> {
        let history = self.store.list_history(id, 0, 1_000).await.unwrap();
        let type_of = |event: &stepcell_model::history::Event| {
            serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned()
        };
        history.iter().flat_map(|entry| entry.events.iter().map(type_of)).collect()
    }
}

pub fn user(name: &str) -> Actor {
    Actor::user(UserId::new(name).unwrap())
}

/// Makes each async function a test of its own on every store, on the host that `$on` makes, or on [`TestHost::on`].
#[macro_export]
macro_rules! on_every_store {
    (on $on:expr; $($(#[$attribute:meta])* async fn $name:ident($host:ident: TestHost) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                $(#[$attribute])*
                async fn scenario($host: TestHost) $body

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn in_memory() {
                    scenario($on($crate::kit::Backend::Memory).await).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    scenario($on($crate::kit::Backend::Sqlite).await).await;
                }
            }
        )+
    };
    ($($tests:tt)+) => { $crate::on_every_store! { on TestHost::on; $($tests)+ } };
}
