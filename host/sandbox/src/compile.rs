//! Turns a checked component into one that is ready to run: compiled, linked, its exports found.
//!
//! Compiling runs in the host's own process for now. A child process with limits of its own takes this module's place
//! later: bytes go in, an artifact comes out, and [`crate::cache`] is what they pass through.

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::cell::Cell;
use crate::error::{Refusal, SandboxError, excerpt};
use crate::wit::bindings::{StepComponent, StepComponentPre};

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
pub(crate) fn link(linker: &Linker<Cell>, component: &Component) -> Result<StepComponentPre<Cell>, Refusal> {
    linker
        .instantiate_pre(component)
        .and_then(StepComponentPre::new)
        .map_err(|error| Refusal::Link { reason: excerpt(&format!("{error:#}")) })
}
