//! Lets the engine run its steps in the sandbox. Neither knows the other.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_engine::{ComponentFacts, ComponentRefused, StepRunner};
use stepcell_model::attempt::{AttemptReport, HookReport, StepCall};
use stepcell_model::failure::Failure;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{StepName, TenantId};
use stepcell_sandbox::{Refusal, Sandbox};
use tokio::sync::Semaphore;

/// How many components are read at once; each may have 32 MiB. Protects the host's memory and time.
static INSPECTIONS: Semaphore = Semaphore::const_new(2);

/// A sandbox as the engine's runner.
pub(crate) struct SandboxRunner(pub(crate) Arc<Sandbox>);

fn refused(refusal: &Refusal) -> ComponentRefused {
    ComponentRefused { reason: refusal.to_string() }
}

#[async_trait]
impl StepRunner for SandboxRunner {
    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        let _turn = INSPECTIONS.acquire().await.ok();
        let sandbox = Arc::clone(&self.0);
        // Reading takes some milliseconds for each MiB, which no thread that moves instances has.
        let inspected = tokio::task::spawn_blocking(move || sandbox.inspect(&bytes)).await;
        let broken_off = || ComponentRefused { reason: "the host could not check the component; try again".to_owned() };
        let facts = inspected.map_err(|_| broken_off())?.map_err(|refusal| refused(&refusal))?;
        Ok(ComponentFacts {
            exports: facts.exports,
            capabilities: facts.capabilities.into_iter().collect(),
            manifest: facts.manifest,
        })
    }

    async fn prepare(
        &self,
        tenant: Option<&TenantId>,
        digest: ComponentDigest,
        bytes: Arc<[u8]>,
    ) -> Result<(), ComponentRefused> {
        self.0.prepare(tenant, digest, bytes).await.map_err(|refusal| refused(&refusal))
    }

    fn is_prepared(&self, digest: &ComponentDigest) -> bool {
        self.0.is_prepared(digest)
    }

    async fn run(&self, call: StepCall) -> AttemptReport {
        self.0.run(call).await
    }

    async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport {
        self.0.run_gateway(call, targets).await
    }

    async fn run_failure_hook(&self, call: StepCall, failure: Failure) -> HookReport {
        self.0.run_failure_hook(call, &failure).await
    }
}
