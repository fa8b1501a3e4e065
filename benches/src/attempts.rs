//! Isolated attempts a second on one core beside the bare runtime, turn and turn about, so that what else the machine does
//! slows down both; and it is the time on the core that counts, which others do not lengthen.
//!
//! An attempt is a fresh cell with can-execute, execute and on-success, its limits, its receipt and its report. Bare is a
//! store, an instance, two calls and the drop, with the same safety settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use stepcell::model::attempt::{AttemptOutcome, CellLimits, ExecutionInfo, StepCall};
use stepcell::model::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId};
use stepcell::model::json::Json;
use stepcell::model::name::{StepName, WorkflowName};
use stepcell::model::time::Timestamp;
use stepcell_sandbox::bare::BareStep;
use stepcell_sandbox::{Sandbox, SandboxConfig};

use crate::process;
use crate::report::Report;
use crate::setup::Setup;

/// How often each side has its turn; the medians count.
const ROUNDS: u64 = 25;

/// How long a turn is.
const TURN: Duration = Duration::from_millis(200);

/// How many calls are made at a time, before any of them is timed.
const BATCH: u32 = 500;

/// How many attempts warm each side up before.
const WARM_UP: usize = 2_000;

/// How many cells there may be.
const CELLS: u32 = 4;

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bytes = setup.guests.load("noop")?;
    let digest = ComponentDigest::of(&bytes);
    runtime.block_on(async {
        let bare = BareStep::compile(&bytes, CELLS).map_err(|error| anyhow!("bare: {error}"))?;
        let sandbox = Sandbox::new(&SandboxConfig { cells: CELLS as usize, ..SandboxConfig::default() })?;
        sandbox.prepare(None, digest, bytes).await?;
        let call = call_of(digest);
        for _ in 0..WARM_UP {
            let outcome = sandbox.run(call.clone()).await.outcome;
            anyhow::ensure!(matches!(outcome, AttemptOutcome::Succeeded(_)), "the no-op failed: {outcome:?}");
            bare.enter("null").await.map_err(|error| anyhow!("bare: {error}"))?;
        }
        let (mut attempts, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..setup.pace.count(ROUNDS) {
            let attempt = rate(|| call.clone(), async |call| drop(sandbox.run(call).await)).await;
            let floor = rate(|| (), async |()| drop(bare.enter("null").await)).await;
            attempts.push(attempt);
            bares.push(floor);
            ratios.push(attempt / floor);
        }
        let (attempts, bares) = (median(attempts), median(bares));
        let us = |rate: f64| [("us each", 1e6 / rate)];
        let detail = "fresh cell, three calls, no-op in Rust";
        report.add_with("isolated attempts", attempts, "per second and core", detail, us(attempts));
        let detail = "store, instance, two calls, drop; same component, same settings";
        report.add_with("bare wasmtime", bares, "per second and core", detail, us(bares));
        report.add("attempts by bare", median(ratios), "of 1", "median of the rounds");
        Ok(())
    })
}

/// How often something can be done in a second that a processor has for it, of what one turn shows. What it takes is made
/// before, and does not count.
async fn rate<T>(make: impl Fn() -> T, work: impl AsyncFn(T)) -> f64 {
    let (began, mut cpu, mut times) = (Instant::now(), Duration::ZERO, 0.0);
    while began.elapsed() < TURN {
        let batch: Vec<_> = (0..BATCH).map(|_| make()).collect();
        let from = process::cpu();
        for taken in batch {
            work(taken).await;
        }
        cpu += process::cpu() - from;
        times += f64::from(BATCH);
    }
    times / cpu.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
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
            trace: None,
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
