//! The sandbox: what the rest of the host calls.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use stepcell_admission::{ComponentFacts, Refusal, inspect};
use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, HostFault, StepCall,
};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{StepName, TenantId};
use stepcell_outbound::{HttpOutbound, Outbound};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::Engine;

use crate::cell::CellHost;
use crate::compile::{Preparer, Ready};
use crate::config::{CELLS_MAX, EngineUse, SandboxConfig, engine_config};
use crate::epoch::{Running, Ticker};
use crate::error::SandboxError;
use crate::prepared::Prepared;
use crate::{attempt, runtime_version};

/// Checks, compiles and runs components.
///
/// One per host: it owns a pool of cells, a thread that ticks, and the compiled components.
pub struct Sandbox {
    host: CellHost,
    preparer: Arc<Preparer>,
    prepared: Arc<Prepared>,
    cells: Semaphore,
    ticker: Ticker,
}

impl Sandbox {
    /// Sets up the runtime.
    ///
    /// # Errors
    /// [`SandboxError`], for the operator: the setting or the machine that is in the way.
    ///
    /// # Examples
    /// ```
    /// use stepcell_sandbox::{Sandbox, SandboxConfig};
    ///
    /// let sandbox = Sandbox::new(&SandboxConfig { cells: 2, ..SandboxConfig::default() })?;
    /// assert!(sandbox.inspect(b"no component").is_err());
    /// # Ok::<(), stepcell_sandbox::SandboxError>(())
    /// ```
    pub fn new(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let cells = config.cells;
        if !(1..=CELLS_MAX).contains(&cells) {
            return Err(SandboxError::CellCount { cells, cells_max: CELLS_MAX });
        }
        runtime_version::check()?;
        let runtime = |reason: String| SandboxError::Runtime { reason };
        let cells_max = EngineUse::Cells(u32::try_from(cells).unwrap_or(u32::MAX));
        let engine =
            Engine::new(&engine_config(cells_max, &config.walls)).map_err(|error| runtime(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| runtime(error.to_string()))?;
        let outbound = HttpOutbound::new("").map_err(|error| runtime(error.to_string()))?;
        Ok(Self {
            preparer: Arc::new(Preparer::new(config, &engine)?),
            prepared: Arc::new(Prepared::new(config)),
            cells: Semaphore::new(cells),
            ticker,
            host: CellHost { engine, outbound: Arc::new(outbound) },
        })
    }

    /// Has the requests of steps sent by `outbound`, in place of one with the system's resolver and Mozilla's roots.
    #[must_use]
    pub fn with_outbound(mut self, outbound: Arc<dyn Outbound>) -> Self {
        self.host.outbound = outbound;
        self
    }

    /// Checks a component against the contract without compiling it, and says what it is.
    ///
    /// Takes some milliseconds for each MiB; call it where blocking is fine.
    ///
    /// # Errors
    /// [`Refusal`], for whoever pushes the component.
    pub fn inspect(&self, bytes: &[u8]) -> Result<ComponentFacts, Refusal> {
        inspect(bytes)
    }

    /// Makes a component of a tenant ready to run: from the cache, or by compiling it after a check. Does nothing when
    /// it is ready. Several calls for one component compile it once, also where the first of them is dropped.
    ///
    /// A tenant has one component compiled at a time, and tenants take turns.
    ///
    /// # Errors
    /// [`Refusal`]; [`Refusal::Digest`] if the bytes are others than the digest names.
    pub async fn prepare(
        &self,
        tenant: Option<&TenantId>,
        digest: ComponentDigest,
        bytes: impl Into<Arc<[u8]>> + Send,
    ) -> Result<(), Refusal> {
        let (bytes, tenant) = (bytes.into(), tenant.cloned());
        let (preparer, prepared) = (Arc::clone(&self.preparer), Arc::clone(&self.prepared));
        let slot = prepared.slot(digest);
        // A task of its own goes on where nobody waits for it any more.
        let work = tokio::spawn(async move {
            let outcome =
                slot.get_or_init(|| async { preparer.prepare(tenant, digest, bytes).await.map(Arc::new) }).await;
            let outcome = outcome.as_ref().map(drop).map_err(Clone::clone);
            prepared.tidy_after(&digest, &slot);
            outcome
        });
        work.await.unwrap_or_else(|_| Err(Refusal::Host { reason: "preparing it was broken off".to_owned() }))
    }

    /// Whether a component is ready to run.
    #[must_use]
    pub fn is_prepared(&self, digest: &ComponentDigest) -> bool {
        self.prepared.find(digest).is_some()
    }

    /// Runs one attempt in a fresh cell, as soon as one is free.
    ///
    /// Never fails and never panics: whatever happens is in the report. Dropping the future stops the attempt.
    pub async fn run(&self, call: StepCall) -> AttemptReport {
        let ready = match self.find(&call.component) {
            Ok(ready) => ready,
            Err(failure) => return failed_attempt(failure),
        };
        let step = match ready.linked.step() {
            Ok(step) => step,
            Err(failure) => return failed_attempt(failure),
        };
        let _admission = self.enter().await;
        let attempt = attempt::run(&self.host, step, call);
        caught(attempt).await.unwrap_or_else(broken_attempt)
    }

    /// Asks a gateway which of `targets` to follow, in a fresh cell, as soon as one is free.
    ///
    /// It succeeds with a JSON array of the names that the gateway gave, exactly as they came: whether they are
    /// targets is for the caller to say. The context can only be read, so there are no writes.
    ///
    /// Never fails and never panics, as [`Sandbox::run`].
    pub async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport {
        let ready = match self.find(&call.component) {
            Ok(ready) => ready,
            Err(failure) => return failed_attempt(failure),
        };
        let gateway = match ready.linked.gateway() {
            Ok(gateway) => gateway,
            Err(failure) => return failed_attempt(failure),
        };
        let _admission = self.enter().await;
        let attempt = attempt::run_gateway(&self.host, gateway, call, &targets);
        caught(attempt).await.unwrap_or_else(broken_attempt)
    }

    /// Calls `on-failure` of a step that has failed for good, in a fresh cell, as soon as one is free.
    ///
    /// Never fails and never panics, as [`Sandbox::run`].
    pub async fn run_failure_hook(&self, call: StepCall, failure: &Failure) -> HookReport {
        let ready = match self.find(&call.component) {
            Ok(ready) => ready,
            Err(failure) => return failed_hook(failure),
        };
        let step = match ready.linked.step() {
            Ok(step) => step,
            Err(failure) => return failed_hook(failure),
        };
        let _admission = self.enter().await;
        let hook = attempt::run_failure_hook(&self.host, step, call, failure);
        caught(hook).await.unwrap_or_else(broken_hook)
    }

    /// The component, or the failure of an attempt that comes before it is ready.
    fn find(&self, digest: &ComponentDigest) -> Result<Arc<Ready>, Failure> {
        let unprepared = || format!("The component {digest} is not ready on this host.");
        self.prepared.find(digest).ok_or_else(|| Failure::engine(EngineCode::Host, unprepared()))
    }

    /// Waits for a free cell. The pool's own limit is a hard failure, so nobody gets past this one.
    async fn enter(&self) -> (Option<SemaphorePermit<'_>>, Running<'_>) {
        // The semaphore is never closed, so there always is a permit.
        (self.cells.acquire().await.ok(), self.ticker.keep_ticking())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.preparer.close();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("cells_free", &self.cells.available_permits()).finish_non_exhaustive()
    }
}

/// Runs a future and turns a panic of the host into a value. The future is not polled again after one.
async fn caught<F: Future>(future: F) -> Result<F::Output, HostFault> {
    let mut future = pin!(future);
    poll_fn(|waker| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(waker))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Err(HostFault::Panicked)),
    })
    .await
}

fn failed_attempt(failure: Failure) -> AttemptReport {
    AttemptReport {
        outcome: AttemptOutcome::Failed(failure),
        writes: ContextWrites::new(),
        hook_failure: None,
        trace: AttemptTrace::default(),
    }
}

/// The report of an attempt that broke the host's side.
fn broken_attempt(fault: HostFault) -> AttemptReport {
    let failure = Failure::engine(EngineCode::Host, "The host could not run the step.");
    AttemptReport { trace: broken_trace(fault), ..failed_attempt(failure) }
}

fn broken_hook(fault: HostFault) -> HookReport {
    let failure = Failure::engine(EngineCode::Host, "The host could not run the step's hook.");
    HookReport { trace: broken_trace(fault), ..failed_hook(failure) }
}

fn broken_trace(fault: HostFault) -> AttemptTrace {
    AttemptTrace { host_fault: Some(fault), ..AttemptTrace::default() }
}

fn failed_hook(failure: Failure) -> HookReport {
    HookReport { writes: ContextWrites::new(), failure: Some(failure), trace: AttemptTrace::default() }
}
