//! Turns a checked component into one that is ready to run: compiled, linked, its exports found.
//!
//! Compiling runs in the host's own process for now. A child process with limits of its own takes this module's place
//! later: bytes go in, an artifact comes out, and [`crate::cache`] is what they pass through.

use stepcell_admission::{Refusal, excerpt};
use stepcell_model::failure::{EngineCode, Failure};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::cell::Cell;
use crate::error::SandboxError;
use crate::wit::bindings::gateway::GatewayComponentPre;
use crate::wit::bindings::{StepComponent, StepComponentPre};
use crate::wit::{GATEWAY, STEP};

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
    pub(crate) fn into_step(self) -> Result<StepComponentPre<Cell>, Failure> {
        let message = "The component exports no `step`, so no machine step can run it.";
        self.step.ok_or_else(|| Failure::engine(EngineCode::Contract, message))
    }

    /// The component as a gateway.
    ///
    /// # Errors
    /// As [`Self::into_step`].
    pub(crate) fn into_gateway(self) -> Result<GatewayComponentPre<Cell>, Failure> {
        let message = "The component exports no `gateway`, so no gateway can ask it.";
        self.gateway.ok_or_else(|| Failure::engine(EngineCode::Contract, message))
    }
}

/// A linker with the whole contract and all of WASI 0.2, over contexts with nothing behind them.
///
/// Toolchains leave imports in that no code calls, so a capability is refused inside its functions, never by a missing
/// import.
pub(crate) fn new_linker(engine: &Engine) -> Result<Linker<Cell>, SandboxError> {
    let mut linker = Linker::new(engine);
    let added = wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| StepComponent::add_to_linker::<_, HasSelf<_>>(&mut linker, |cell| cell));
    added.map_err(|error| SandboxError::Runtime { reason: format!("{error:#}") })?;
    Ok(linker)
}

/// Compiles a component.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, Refusal> {
    Component::from_binary(engine, bytes).map_err(|error| Refusal::Compile { reason: excerpt(&format!("{error:#}")) })
}

/// Looks up everything that the component imports and exports.
pub(crate) fn link(linker: &Linker<Cell>, component: &Component) -> Result<Linked, Refusal> {
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
