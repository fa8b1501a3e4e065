//! Isolated attempts a second on one core: a fresh cell for each, with can-execute, execute and on-success.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepcell::model::attempt::{AttemptOutcome, CellLimits, ExecutionInfo, StepCall};
use stepcell::model::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId};
use stepcell::model::json::Json;
use stepcell::model::name::{StepName, WorkflowName};
use stepcell::model::time::Timestamp;
use stepcell_sandbox::{Sandbox, SandboxConfig};

use crate::Guests;
use crate::report::Report;

/// How long to measure.
const MEASURED: Duration = Duration::from_secs(3);

/// How many attempts warm things up before.
const WARM_UP: usize = 1_000;

pub(crate) fn run(guests: &Guests, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bytes = guests.load("noop")?;
    let digest = ComponentDigest::of(&bytes);
    runtime.block_on(async {
        let sandbox = Sandbox::new(&SandboxConfig { cells: 4, ..SandboxConfig::default() })?;
        sandbox.prepare(None, digest, bytes).await?;
        let call = call_of(digest);
        for _ in 0..WARM_UP {
            let outcome = sandbox.run(call.clone()).await.outcome;
            anyhow::ensure!(matches!(outcome, AttemptOutcome::Succeeded(_)), "the no-op failed: {outcome:?}");
        }
        let (began, mut attempts) = (Instant::now(), 0_u32);
        while began.elapsed() < MEASURED {
            sandbox.run(call.clone()).await;
            attempts += 1;
        }
        let rate = f64::from(attempts) / began.elapsed().as_secs_f64();
        report.add(
            "isolated attempts",
            rate,
            "per second and core",
            "fresh cell, three calls, no-op in Rust".to_owned(),
        );
        Ok(())
    })
}

/// A call without anything in it.
pub(crate) fn call_of(component: ComponentDigest) -> StepCall {
    let instance = InstanceId::from_uuid(uuid::Uuid::now_v7());
    let now = Timestamp::from(chrono::Utc::now());
    StepCall {
        component,
        info: ExecutionInfo {
            workflow_name: WorkflowName::new("bench").expect("letters are a name"),
            workflow_version: semver::Version::new(1, 0, 0),
            definition: DefinitionId::from_uuid(uuid::Uuid::now_v7()),
            instance,
            step: StepName::new("noop").expect("letters are a name"),
            execution: ExecutionNumber(1).id(instance),
            attempt: 1,
            attempts_max: 1,
            tenant: None,
            user: None,
            instance_started_at: now,
            execution_started_at: now,
            deadline: None,
        },
        input: Json::null(),
        context: Arc::default(),
        metadata: Arc::default(),
        config: Arc::default(),
        history: Arc::default(),
        previous: None,
        limits: CellLimits::default(),
        grants: Default::default(),
        secrets: Arc::default(),
    }
}
