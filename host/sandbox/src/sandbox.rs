//! The sandbox: what the rest of the host calls.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use stepcell_admission::{ComponentFacts, Refusal, inspect};
use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, HostFault, StepCall,
};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::StepName;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::cache::ArtifactCache;
use crate::cell::Cell;
use crate::compile::Linked;
use crate::config::{CELLS_MAX, SandboxConfig, engine_config};
use crate::epoch::{Running, Ticker};
use crate::error::SandboxError;
use crate::{attempt, compile};

/// How many components are compiled at once. Compiling takes all processors by itself; more would only hold memory.
const COMPILES_AT_ONCE_MAX: usize = 1;

/// Checks, compiles and runs components.
///
/// One per host: it owns a pool of cells, a thread that ticks, and the compiled components.
pub struct Sandbox {
    compiler: Arc<Compiler>,
    cells: Semaphore,
    ticker: Ticker,
    prepared: Mutex<HashMap<ComponentDigest, Slot>>,
}

/// A component that is ready or being prepared; whoever comes second waits for the first.
type Slot = Arc<OnceCell<Linked>>;

/// What compiling needs, on whatever thread it happens.
struct Compiler {
    engine: Engine,
    linker: Linker<Cell>,
    cache: Option<ArtifactCache>,
    turns: Arc<Semaphore>,
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
        let runtime = |reason: String| SandboxError::Runtime { reason };
        let engine = Engine::new(&engine_config(u32::try_from(cells).unwrap_or(u32::MAX)))
            .map_err(|error| runtime(format!("{error:#}")))?;
        let linker = compile::new_linker(&engine)?;
        let cache = config.cache_dir.as_deref().map(|dir| ArtifactCache::open(dir, &engine)).transpose()?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| runtime(error.to_string()))?;
        Ok(Self {
            compiler: Arc::new(Compiler {
                engine,
                linker,
                cache,
                turns: Arc::new(Semaphore::new(COMPILES_AT_ONCE_MAX)),
            }),
            cells: Semaphore::new(cells),
            ticker,
            prepared: Mutex::default(),
        })
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

    /// Makes a component ready to run: from the cache, or by compiling it after a check. Does nothing when it is
    /// ready. Several calls for one component compile it once.
    ///
    /// # Errors
    /// [`Refusal`]; [`Refusal::Digest`] if the bytes are others than the digest names.
    pub async fn prepare(&self, digest: ComponentDigest, bytes: impl Into<Arc<[u8]>> + Send) -> Result<(), Refusal> {
        let bytes = bytes.into();
        let slot = Arc::clone(self.slots().entry(digest).or_default());
        let prepared = slot.get_or_try_init(|| Arc::clone(&self.compiler).prepare(digest, bytes)).await.map(|_| ());
        let mut slots = self.slots();
        if prepared.is_ok() {
            // Whoever failed on the same slot before may have removed it.
            slots.insert(digest, Arc::clone(&slot));
        } else if slots.get(&digest).is_some_and(|slot| !slot.initialized()) {
            slots.remove(&digest);
        }
        prepared
    }

    /// Whether a component is ready to run.
    #[must_use]
    pub fn is_prepared(&self, digest: &ComponentDigest) -> bool {
        self.find(digest).is_ok()
    }

    /// Runs one attempt in a fresh cell, as soon as one is free.
    ///
    /// Never fails and never panics: whatever happens is in the report. Dropping the future stops the attempt.
    pub async fn run(&self, call: StepCall) -> AttemptReport {
        let step = match self.find(&call.component).and_then(Linked::into_step) {
            Ok(step) => step,
            Err(failure) => return failed_attempt(failure),
        };
        let _admission = self.enter().await;
        let attempt = attempt::run(&self.compiler.engine, &step, call);
        caught(attempt).await.unwrap_or_else(broken_attempt)
    }

    /// Asks a gateway which of `targets` to follow, in a fresh cell, as soon as one is free.
    ///
    /// It succeeds with a JSON array of the names that the gateway gave, exactly as they came: whether they are
    /// targets is for the caller to say. The context can only be read, so there are no writes.
    ///
    /// Never fails and never panics, as [`Sandbox::run`].
    pub async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport {
        let gateway = match self.find(&call.component).and_then(Linked::into_gateway) {
            Ok(gateway) => gateway,
            Err(failure) => return failed_attempt(failure),
        };
        let _admission = self.enter().await;
        let attempt = attempt::run_gateway(&self.compiler.engine, &gateway, call, &targets);
        caught(attempt).await.unwrap_or_else(broken_attempt)
    }

    /// Calls `on-failure` of a step that has failed for good, in a fresh cell, as soon as one is free.
    ///
    /// Never fails and never panics, as [`Sandbox::run`].
    pub async fn run_failure_hook(&self, call: StepCall, failure: &Failure) -> HookReport {
        let step = match self.find(&call.component).and_then(Linked::into_step) {
            Ok(step) => step,
            Err(failure) => return failed_hook(failure),
        };
        let _admission = self.enter().await;
        let hook = attempt::run_failure_hook(&self.compiler.engine, &step, call, failure);
        caught(hook).await.unwrap_or_else(broken_hook)
    }

    /// The component, or the failure of an attempt that comes before it is ready.
    fn find(&self, digest: &ComponentDigest) -> Result<Linked, Failure> {
        let unprepared = || format!("The component {digest} is not ready on this host.");
        let linked = self.slots().get(digest).and_then(|slot| slot.get()).cloned();
        linked.ok_or_else(|| Failure::engine(EngineCode::Host, unprepared()))
    }

    /// Waits for a free cell. The pool's own limit is a hard failure, so nobody gets past this one.
    async fn enter(&self) -> (Option<SemaphorePermit<'_>>, Running<'_>) {
        // The semaphore is never closed, so there always is a permit.
        (self.cells.acquire().await.ok(), self.ticker.keep_ticking())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<ComponentDigest, Slot>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("cells_free", &self.cells.available_permits()).finish_non_exhaustive()
    }
}

impl Compiler {
    async fn prepare(self: Arc<Self>, digest: ComponentDigest, bytes: Arc<[u8]>) -> Result<Linked, Refusal> {
        let compiler = Arc::clone(&self);
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let work = tokio::task::spawn_blocking(move || {
            // Kept until the work is done, also where nobody waits for it any more.
            let _turn = turn;
            compiler.load_or_compile(digest, &bytes)
        });
        work.await.unwrap_or_else(|_| Err(Refusal::Host { reason: "compiling it was broken off".to_owned() }))
    }

    fn load_or_compile(&self, digest: ComponentDigest, bytes: &[u8]) -> Result<Linked, Refusal> {
        let found = ComponentDigest::of(bytes);
        if found != digest {
            return Err(Refusal::Digest { found, expected: digest });
        }
        if let Some(cached) = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, digest)) {
            return compile::link(&self.linker, &cached);
        }
        inspect(bytes)?;
        let component = compile::compile(&self.engine, bytes)?;
        let linked = compile::link(&self.linker, &component)?;
        if let Some(cache) = &self.cache {
            cache.save(digest, &component);
        }
        Ok(linked)
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
