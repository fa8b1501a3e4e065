//! Calls of steps, and what came of them, in few words.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepcell_model::attempt::{AttemptOutcome, AttemptReport, CellLimits, ContextData, ExecutionInfo, StepCall};
use stepcell_model::failure::Failure;
use stepcell_model::id::{ComponentDigest, DefinitionId, ExecutionId, InstanceId};
use stepcell_model::json::Json;
use stepcell_model::name::{ContextKey, StepName, WorkflowName};
use stepcell_model::time::Timestamp;
use stepcell_sandbox::{Isolation, Sandbox, SandboxConfig};
use uuid::Uuid;

use crate::children::child;
use crate::guests;

/// A sandbox with one example step ready to run.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) component: ComponentDigest,
}

impl Bench {
    pub(crate) async fn with(example: &str) -> Self {
        Self::with_bytes(guests::component(example)).await
    }

    pub(crate) async fn with_bytes(bytes: Vec<u8>) -> Self {
        Self::with_config(&SandboxConfig { cells: 4, isolation: isolation(), ..SandboxConfig::default() }, bytes).await
    }

    pub(crate) async fn with_config(config: &SandboxConfig, bytes: Vec<u8>) -> Self {
        let sandbox = Sandbox::new(config).unwrap();
        let component = ComponentDigest::of(&bytes);
        sandbox.prepare(None, component, bytes).await.unwrap();
        Self { sandbox, component }
    }

    /// Runs the step on an input.
    pub(crate) async fn run(&self, input: serde_json::Value) -> AttemptReport {
        self.run_with(input, |_| {}).await
    }

    /// Runs the step on an input, with changes to the call.
    pub(crate) async fn run_with(&self, input: serde_json::Value, change: impl FnOnce(&mut StepCall)) -> AttemptReport {
        let mut call = call(self.component, input);
        change(&mut call);
        self.sandbox.run(call).await
    }

    /// Asks the gateway on an input, with changes to the call.
    pub(crate) async fn ask_with(
        &self,
        input: serde_json::Value,
        targets: &[&str],
        change: impl FnOnce(&mut StepCall),
    ) -> AttemptReport {
        let mut call = call(self.component, input);
        change(&mut call);
        let targets = targets.iter().map(|&name| StepName::new(name).unwrap()).collect();
        self.sandbox.run_gateway(call, targets).await
    }

    /// Asks the gateway on an input whether to follow `a` or `b`.
    pub(crate) async fn ask(&self, input: serde_json::Value) -> AttemptReport {
        self.ask_with(input, &["a", "b"], |_| {}).await
    }
}

/// Set in the environment of this test program where its cells are to be in worker processes.
pub(crate) const IN_WORKERS: &str = "STEPCELL_TEST_IN_WORKERS";

/// Where the cells of tests are: most tests hold wherever that is.
fn isolation() -> Isolation {
    if std::env::var_os(IN_WORKERS).is_some() { Isolation::Process(child()) } else { Isolation::Thread }
}

/// The first attempt of the first execution of an instance without any data.
pub(crate) fn call(component: ComponentDigest, input: serde_json::Value) -> StepCall {
    StepCall {
        component,
        info: ExecutionInfo {
            workflow_name: WorkflowName::new("acme/test").unwrap(),
            workflow_version: semver::Version::new(1, 2, 3),
            definition: DefinitionId::from_uuid(Uuid::from_u128(1)),
            instance: InstanceId::from_uuid(Uuid::from_u128(2)),
            step: StepName::new("probe").unwrap(),
            execution: ExecutionId::from_uuid(Uuid::from_u128(3)),
            attempt: 1,
            attempts_max: 3,
            tenant: None,
            user: None,
            instance_started_at: Timestamp::from_unix_ms(1_769_851_800_000),
            execution_started_at: Timestamp::from_unix_ms(1_769_851_801_000),
            deadline: None,
            trace: None,
        },
        input: input.into(),
        context: Arc::default(),
        metadata: Arc::default(),
        config: Arc::new(BTreeMap::new()),
        history: Arc::default(),
        previous: None,
        limits: CellLimits::default(),
        grants: Default::default(),
        secrets: Arc::default(),
    }
}

/// Settings as a definition gives them.
pub(crate) fn config(settings: &[(&str, &str)]) -> Arc<BTreeMap<String, Json>> {
    Arc::new(settings.iter().map(|(key, value)| ((*key).to_owned(), Json::from(serde_json::json!(value)))).collect())
}

/// Data of an instance.
pub(crate) fn data(values: &[(&str, serde_json::Value)]) -> Arc<ContextData> {
    Arc::new(values.iter().map(|(key, value)| (ContextKey::new(key).unwrap(), value.clone().into())).collect())
}

/// What a step returned.
pub(crate) fn output(report: &AttemptReport) -> &serde_json::Value {
    match &report.outcome {
        AttemptOutcome::Succeeded(output) => output.tree(),
        other => panic!("{other:?}, log: {:?}", report.trace.log),
    }
}

/// Why a step failed.
pub(crate) fn failure(report: &AttemptReport) -> &Failure {
    match &report.outcome {
        AttemptOutcome::Failed(failure) => failure,
        other => panic!("{other:?}, log: {:?}", report.trace.log),
    }
}

/// The keys that a step wrote.
pub(crate) fn written(report: &AttemptReport) -> Vec<&str> {
    report.writes.keys().map(ContextKey::as_str).collect()
}
