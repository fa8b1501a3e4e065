//! The sandbox: what the rest of the host calls.

use std::fmt;
use std::sync::Arc;

use stepcell_admission::{ComponentFacts, Refusal, inspect};
use stepcell_model::attempt::{AttemptReport, HookReport, StepCall};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{StepName, TenantId};
use stepcell_outbound::{HttpOutbound, Outbound};
use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::cell::CellHost;
use crate::child::nursery::Nursery;
use crate::compile::{Code, Preparer};
use crate::config::{CELLS_MAX, EngineUse, Isolation, SandboxConfig, Wall, Walls, engine_config};
use crate::entry::{Entry, Report, enter};
use crate::epoch::Ticker;
use crate::error::SandboxError;
use crate::lanes::Lanes;
use crate::prepared::Prepared;
use crate::runtime_version;
use crate::worker::pool::Workers;

/// Checks, compiles and runs components.
///
/// One per host: it owns a pool of cells, a thread that ticks, and the compiled components.
pub struct Sandbox {
    runs: Runs,
    outbound: Arc<dyn Outbound>,
    preparer: Arc<Preparer>,
    prepared: Arc<Prepared>,
    cells: Arc<Semaphore>,
    nursery: Option<Arc<Nursery>>,
    walls: Walls,
}

/// Where attempts run.
enum Runs {
    // The lanes before the ticker, which is what ends the turns that are under way.
    Here { engine: Engine, lanes: Lanes, ticker: Ticker },
    Workers(Arc<Workers>),
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
        let engine_use = match config.isolation {
            Isolation::Thread => EngineUse::Cells(u32::try_from(cells).unwrap_or(u32::MAX)),
            Isolation::Process(_) => EngineUse::Compile,
        };
        let engine =
            Engine::new(&engine_config(engine_use, &config.walls)).map_err(|error| runtime(format!("{error:#}")))?;
        let compiler = config.compiler_command();
        let needs_children = compiler.is_some() || config.isolation != Isolation::Thread;
        let nursery = needs_children.then(Nursery::open).transpose().map_err(|error| runtime(error.to_string()))?;
        let nursery = nursery.map(Arc::new);
        let workers = match (&config.isolation, &nursery) {
            (Isolation::Process(command), Some(nursery)) => {
                Some(Workers::new(Arc::clone(nursery), command.clone(), config.walls, cells))
            }
            (Isolation::Process(_) | Isolation::Thread, _) => None,
        };
        let outbound = HttpOutbound::new("").map_err(|error| runtime(error.to_string()))?;
        Ok(Self {
            preparer: Arc::new(Preparer::new(config, &engine, compiler.zip(nursery.clone()), workers.clone())?),
            prepared: Arc::new(Prepared::new(config)),
            cells: Arc::new(Semaphore::new(cells)),
            outbound: Arc::new(outbound),
            nursery,
            walls: config.walls,
            runs: match workers {
                Some(workers) => Runs::Workers(workers),
                None => {
                    let ticker = Ticker::start(engine.clone()).map_err(|error| runtime(error.to_string()))?;
                    let lanes = Lanes::start().map_err(|error| runtime(error.to_string()))?;
                    Runs::Here { engine, lanes, ticker }
                }
            },
        })
    }

    /// Has the requests of steps sent by `outbound`, in place of one with the system's resolver and Mozilla's roots.
    #[must_use]
    pub fn with_outbound(mut self, outbound: Arc<dyn Outbound>) -> Self {
        self.outbound = outbound;
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
        self.enter(Box::new(call), Entry::Step).await.into_attempt()
    }

    /// Asks a gateway which of `targets` to follow, in a fresh cell, as soon as one is free.
    ///
    /// It succeeds with a JSON array of the names that the gateway gave, exactly as they came: whether they are
    /// targets is for the caller to say. The context can only be read, so there are no writes.
    ///
    /// Never fails and never panics, as [`Sandbox::run`].
    pub async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport {
        self.enter(Box::new(call), Entry::Gateway(targets)).await.into_attempt()
    }

    /// Calls `on-failure` of a step that has failed for good, in a fresh cell, as soon as one is free.
    ///
    /// Never fails and never panics, as [`Sandbox::run`].
    pub async fn run_failure_hook(&self, call: StepCall, failure: &Failure) -> HookReport {
        self.enter(Box::new(call), Entry::FailureHook(failure.clone())).await.into_hook()
    }

    /// Enters a fresh cell, as soon as one is free.
    async fn enter(&self, call: Box<StepCall>, entry: Entry) -> Report {
        let Some(ready) = self.prepared.find(&call.component) else {
            let unprepared = format!("The component {} is not ready on this host.", call.component);
            return entry.failed(Failure::engine(EngineCode::Host, unprepared));
        };
        // The pool's own limit is a hard failure, so nobody gets past this one. It is never closed.
        let free = Arc::clone(&self.cells).acquire_owned().await.ok();
        match (&self.runs, &ready.code) {
            (Runs::Here { engine, lanes, ticker }, Code::Here(linked)) => {
                let (ticking, linked) = (ticker.keep_ticking(), linked.clone());
                let host = CellHost { engine: engine.clone(), outbound: Arc::clone(&self.outbound), walls: self.walls };
                let (tenant, component) = (call.info.tenant.clone(), call.component);
                let attempt = async move {
                    // Go with the attempt: a stopped one has its cell until its thread has dropped it.
                    let _held = (free, ticking);
                    enter(&host, &linked, call, &entry).await
                };
                match self.walls.lanes {
                    Wall::Up => lanes.run(tenant, component, attempt).await,
                    Wall::Down => attempt.await,
                }
            }
            (Runs::Workers(workers), Code::Workers(artifact)) => {
                workers.enter(artifact, &call, &entry, &self.outbound).await
            }
            (Runs::Here { .. }, Code::Workers(_)) | (Runs::Workers(_), Code::Here(_)) => {
                unreachable!("components are prepared for the place where they are run")
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Runs::Workers(workers) = &self.runs {
            workers.close();
        }
        if let Some(nursery) = &self.nursery {
            nursery.close();
        }
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("cells_free", &self.cells.available_permits()).finish_non_exhaustive()
    }
}
