//! Turns a component into one that is ready to run: checked, compiled, linked, its exports found.
//!
//! Compiling is the dangerous part, as nobody bounds what it costs: it happens in a child process with limits of its own
//! (`outside.rs`), unless the program that embeds the host says otherwise.

mod outside;

use std::sync::Arc;

use stepcell_admission::{Refusal, excerpt, inspect};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use self::outside::Outside;
use crate::cache::ArtifactCache;
use crate::cell::Cell;
use crate::child::ChildCommand;
use crate::child::nursery::Nursery;
use crate::config::SandboxConfig;
use crate::error::SandboxError;
use crate::http;
use crate::turns::{Turns, WAITING_MAX, Whose};
use crate::wit::bindings::gateway::GatewayComponentPre;
use crate::wit::bindings::{StepComponent, StepComponentPre};
use crate::wit::{GATEWAY, STEP};
use crate::worker::pool::Workers;

/// How many components are compiled at once, over all tenants. Two, so that one who keeps the compiler busy is not in
/// everybody's way; each takes up to 2 GiB.
const AT_ONCE_MAX: usize = 2;

/// Prepares components.
pub(crate) struct Preparer {
    engine: Engine,
    cache: Option<ArtifactCache>,
    turns: Arc<Turns>,
    outside: Option<(Outside, Arc<Nursery>)>,
    place: Place,
}

/// Where components are run.
pub(crate) enum Place {
    /// In this process.
    Here(Box<Linker<Cell>>),
    /// In worker processes.
    Workers(Arc<Workers>),
}

/// A component that is ready to run.
pub(crate) struct Ready {
    /// Its code.
    pub(crate) code: Code,
    /// The size of its code, in bytes.
    pub(crate) artifact_bytes: u64,
}

/// The code of a component, in a form for the place where it is run.
pub(crate) enum Code {
    /// In this process.
    Here(Linked),
    /// For workers, who load it themselves.
    Workers(Arc<[u8]>),
}

/// Why code can not be run.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// It is no code of this runtime.
    Damaged(String),
    /// The component does not fit.
    Refused(Refusal),
    /// The worker that tried it is gone.
    Died(String),
}

impl Preparer {
    /// Sets up what compiling needs. `workers` run what is prepared; without them this process does.
    ///
    /// # Errors
    /// [`SandboxError`], for the operator.
    pub(crate) fn new(
        config: &SandboxConfig,
        engine: &Engine,
        outside: Option<(ChildCommand, Arc<Nursery>)>,
        workers: Option<Arc<Workers>>,
    ) -> Result<Self, SandboxError> {
        config.compile_limits.check()?;
        let outside = outside.map(|(command, nursery)| {
            (Outside { command, limits: config.compile_limits, walls: config.walls }, nursery)
        });
        let place = match workers {
            Some(workers) => Place::Workers(workers),
            None => {
                let linker =
                    new_linker(engine).map_err(|error| SandboxError::Runtime { reason: format!("{error:#}") })?;
                Place::Here(Box::new(linker))
            }
        };
        Ok(Self {
            engine: engine.clone(),
            cache: config.cache_dir.as_deref().map(|dir| ArtifactCache::open(dir, config, engine)).transpose()?,
            turns: Turns::new(AT_ONCE_MAX),
            outside,
            place,
        })
    }

    /// Makes a component ready to run, from the cache or by compiling it after a check, in the tenant's turn.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) async fn prepare(
        self: Arc<Self>,
        whose: Whose,
        digest: ComponentDigest,
        bytes: Arc<[u8]>,
    ) -> Result<Ready, Refusal> {
        let (preparer, component) = (Arc::clone(&self), Arc::clone(&bytes));
        let cached = blocking(move || preparer.load(digest, &component)).await?;
        if let Some(artifact) = cached {
            match self.make_ready(&whose, digest, artifact).await {
                Ok(ready) => return Ok(ready),
                Err(NotReady::Refused(refusal)) => return Err(refusal),
                Err(NotReady::Damaged(reason) | NotReady::Died(reason)) => {
                    tracing::warn!(%digest, "a compiled component in the cache can not be loaded: {reason}");
                }
            }
        }
        let turn = self.turns.take(whose.clone()).await.map_err(|_| Refusal::Busy { waiting_max: WAITING_MAX })?;
        let preparer = Arc::clone(&self);
        let artifact = blocking(move || {
            // Kept until the work is done, also where nobody waits for it any more.
            let _turn = turn;
            preparer.compile(&bytes)
        })
        .await?;
        let ready = self.make_ready(&whose, digest, Arc::clone(&artifact)).await.map_err(|reason| match reason {
            NotReady::Refused(refusal) => refusal,
            NotReady::Damaged(reason) => Refusal::Compile { reason: excerpt(&reason) },
            NotReady::Died(reason) => Refusal::Host { reason: excerpt(&reason) },
        })?;
        blocking(move || {
            self.cache.iter().for_each(|cache| cache.save(digest, &artifact));
            Ok(())
        })
        .await?;
        Ok(ready)
    }

    fn load(&self, digest: ComponentDigest, bytes: &[u8]) -> Result<Option<Arc<[u8]>>, Refusal> {
        let found = ComponentDigest::of(bytes);
        if found != digest {
            return Err(Refusal::Digest { found, expected: digest });
        }
        Ok(self.cache.as_ref().and_then(|cache| cache.load(digest)).map(Into::into))
    }

    fn compile(&self, bytes: &[u8]) -> Result<Arc<[u8]>, Refusal> {
        inspect(bytes)?;
        let artifact = match &self.outside {
            Some((outside, nursery)) => outside.compile(nursery, bytes)?,
            None => compile_here(&self.engine, bytes)?,
        };
        Ok(artifact.into())
    }

    /// Loads and links the code where it will be run.
    async fn make_ready(
        self: &Arc<Self>,
        whose: &Whose,
        digest: ComponentDigest,
        artifact: Arc<[u8]>,
    ) -> Result<Ready, NotReady> {
        let artifact_bytes = artifact.len() as u64;
        let code = match &self.place {
            Place::Workers(workers) => {
                workers.try_code(whose.clone(), digest, &artifact).await?;
                Code::Workers(artifact)
            }
            Place::Here(_) => {
                let preparer = Arc::clone(self);
                let linked = tokio::task::spawn_blocking(move || preparer.link_here(&artifact)).await;
                Code::Here(linked.map_err(|error| NotReady::Died(error.to_string()))??)
            }
        };
        Ok(Ready { code, artifact_bytes })
    }

    fn link_here(&self, artifact: &[u8]) -> Result<Linked, NotReady> {
        let Place::Here(linker) = &self.place else { unreachable!("only what runs here is linked here") };
        let component = deserialize(&self.engine, artifact).map_err(|error| NotReady::Damaged(format!("{error:#}")))?;
        link(linker, &component).map_err(|reason| NotReady::Refused(Refusal::Link { reason: excerpt(&reason) }))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Refusal::Host { reason: "compiling it was broken off".to_owned() }))
}

fn compile_here(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    engine.precompile_component(bytes).map_err(|error| refused(&error))
}

fn refused(error: &wasmtime::Error) -> Refusal {
    Refusal::Compile { reason: excerpt(&format!("{error:#}")) }
}

#[expect(
    unsafe_code,
    reason = "precompiled code is native code; it comes from a compiler of this host just now, or from its cache with a \
              seal that only this host makes"
)]
pub(crate) fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are a whole artifact that this host's own compiler made of a component under the same settings.
    unsafe { Component::deserialize(engine, artifact) }
}

/// A component that is ready to run, as whatever it exports.
#[derive(Clone)]
pub(crate) struct Linked {
    step: Option<StepComponentPre<Cell>>,
    gateway: Option<GatewayComponentPre<Cell>>,
}

impl Linked {
    /// The component as a step.
    ///
    /// # Errors
    /// A failure for the attempt that wants one, if it exports none.
    pub(crate) fn step(&self) -> Result<&StepComponentPre<Cell>, Failure> {
        let message = "The component exports no `step`, so no machine step can run it.";
        self.step.as_ref().ok_or_else(|| Failure::engine(EngineCode::Contract, message))
    }

    /// The component as a gateway.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn gateway(&self) -> Result<&GatewayComponentPre<Cell>, Failure> {
        let message = "The component exports no `gateway`, so no gateway can ask it.";
        self.gateway.as_ref().ok_or_else(|| Failure::engine(EngineCode::Contract, message))
    }
}

/// A linker with the whole contract, all of WASI 0.2 and `wasi:http`, over contexts with nothing behind them.
///
/// Toolchains leave imports in that no code calls, so a capability is refused inside its functions, never by a missing
/// import.
pub(crate) fn new_linker(engine: &Engine) -> wasmtime::Result<Linker<Cell>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    StepComponent::add_to_linker::<_, HasSelf<_>>(&mut linker, |cell| cell)?;
    Ok(linker)
}

/// Looks up everything that the component imports and exports.
///
/// # Errors
/// What does not fit, in the runtime's words.
pub(crate) fn link(linker: &Linker<Cell>, component: &Component) -> Result<Linked, String> {
    let failed = |error: wasmtime::Error| format!("{error:#}");
    let exports = |interface: &str| component.get_export_index(None, interface).is_some();
    let linked = linker.instantiate_pre(component).map_err(failed)?;
    let step = exports(STEP).then(|| StepComponentPre::new(linked.clone())).transpose().map_err(failed)?;
    let gateway = exports(GATEWAY).then(|| GatewayComponentPre::new(linked)).transpose().map_err(failed)?;
    if step.is_none() && gateway.is_none() {
        return Err(format!("it exports neither `{STEP}` nor `{GATEWAY}`"));
    }
    Ok(Linked { step, gateway })
}
