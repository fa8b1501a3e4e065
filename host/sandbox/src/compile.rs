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
use crate::config::{Compiler, SandboxConfig};
use crate::error::SandboxError;
use crate::turns::{Turns, WAITING_MAX, Whose};
use crate::wit::bindings::gateway::GatewayComponentPre;
use crate::wit::bindings::{StepComponent, StepComponentPre};
use crate::wit::{GATEWAY, STEP};

/// How many components are compiled at once, over all tenants. Two, so that one who keeps the compiler busy is not in
/// everybody's way; each takes up to 2 GiB.
const AT_ONCE_MAX: usize = 2;

/// Prepares components.
pub(crate) struct Preparer {
    engine: Engine,
    linker: Linker<Cell>,
    cache: Option<ArtifactCache>,
    turns: Arc<Turns>,
    outside: Option<(Outside, Arc<Nursery>)>,
}

/// A component that is ready to run.
pub(crate) struct Ready {
    /// The component as whatever it exports.
    pub(crate) linked: Linked,
    /// The size of its compiled code, in bytes.
    pub(crate) artifact_bytes: u64,
}

impl Preparer {
    /// Sets up what compiling needs.
    ///
    /// # Errors
    /// [`SandboxError`], for the operator.
    pub(crate) fn new(config: &SandboxConfig, engine: &Engine) -> Result<Self, SandboxError> {
        config.compile_limits.check()?;
        let command = match &config.compiler {
            Compiler::Any => ChildCommand::find_this_program(),
            Compiler::Child(command) => Some(command.clone()),
            Compiler::InProcess => None,
        };
        let runtime = |error: std::io::Error| SandboxError::Runtime { reason: error.to_string() };
        let nursery = command.is_some().then(Nursery::open).transpose().map_err(runtime)?.map(Arc::new);
        let outside = |command| Outside { command, limits: config.compile_limits, walls: config.walls };
        Ok(Self {
            engine: engine.clone(),
            linker: new_linker(engine)?,
            cache: config.cache_dir.as_deref().map(|dir| ArtifactCache::open(dir, config, engine)).transpose()?,
            turns: Turns::new(AT_ONCE_MAX),
            outside: command.map(outside).zip(nursery),
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
        if let Some(ready) = blocking(move || preparer.load(digest, &component)).await? {
            return Ok(ready);
        }
        let turn = self.turns.take(whose).await.map_err(|_| Refusal::Busy { waiting_max: WAITING_MAX })?;
        blocking(move || {
            // Kept until the work is done, also where nobody waits for it any more.
            let _turn = turn;
            self.compile(digest, &bytes)
        })
        .await
    }

    /// Ends what is under way in child processes.
    pub(crate) fn close(&self) {
        if let Some((_, nursery)) = &self.outside {
            nursery.close();
        }
    }

    fn load(&self, digest: ComponentDigest, bytes: &[u8]) -> Result<Option<Ready>, Refusal> {
        let found = ComponentDigest::of(bytes);
        if found != digest {
            return Err(Refusal::Digest { found, expected: digest });
        }
        let Some(artifact) = self.cache.as_ref().and_then(|cache| cache.load(digest)) else { return Ok(None) };
        match deserialize(&self.engine, &artifact) {
            Ok(component) => self.link(&component, artifact.len()).map(Some),
            Err(error) => {
                tracing::warn!(%digest, "a compiled component in the cache can not be loaded: {error:#}");
                Ok(None)
            }
        }
    }

    fn compile(&self, digest: ComponentDigest, bytes: &[u8]) -> Result<Ready, Refusal> {
        inspect(bytes)?;
        let artifact = match &self.outside {
            Some((outside, nursery)) => outside.compile(nursery, bytes)?,
            None => compile_here(&self.engine, bytes)?,
        };
        let component = deserialize(&self.engine, &artifact).map_err(|error| refused(&error))?;
        let ready = self.link(&component, artifact.len())?;
        if let Some(cache) = &self.cache {
            cache.save(digest, &artifact);
        }
        Ok(ready)
    }

    fn link(&self, component: &Component, artifact_bytes: usize) -> Result<Ready, Refusal> {
        Ok(Ready { linked: link(&self.linker, component)?, artifact_bytes: artifact_bytes as u64 })
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
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are a whole artifact that this host's own compiler made of a component under the same settings.
    unsafe { Component::deserialize(engine, artifact) }
}

/// A component that is ready to run, as whatever it exports.
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
fn new_linker(engine: &Engine) -> Result<Linker<Cell>, SandboxError> {
    let mut linker = Linker::new(engine);
    let added = wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker))
        .and_then(|()| StepComponent::add_to_linker::<_, HasSelf<_>>(&mut linker, |cell| cell));
    added.map_err(|error| SandboxError::Runtime { reason: format!("{error:#}") })?;
    Ok(linker)
}

/// Looks up everything that the component imports and exports.
fn link(linker: &Linker<Cell>, component: &Component) -> Result<Linked, Refusal> {
    let refused = |reason: &str| Refusal::Link { reason: excerpt(reason) };
    let failed = |error: wasmtime::Error| refused(&format!("{error:#}"));
    let exports = |interface: &str| component.get_export_index(None, interface).is_some();
    let linked = linker.instantiate_pre(component).map_err(failed)?;
    let step = exports(STEP).then(|| StepComponentPre::new(linked.clone())).transpose().map_err(failed)?;
    let gateway = exports(GATEWAY).then(|| GatewayComponentPre::new(linked)).transpose().map_err(failed)?;
    if step.is_none() && gateway.is_none() {
        return Err(refused(&format!("it exports neither `{STEP}` nor `{GATEWAY}`")));
    }
    Ok(Linked { step, gateway })
}
