//! The check of a component: its size and form, its structure, then its imports and exports.
//!
//! The order is that of trust: nothing reads the component in full before it is known what that takes.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use wasmparser::Parser;

use crate::contract::Contract;
use crate::refusal::Refusal;
use crate::world::World;
use crate::{manifest, structure};

/// The largest component file, in bytes. A step in Rust has 0.1 MiB, one in Python 22.
const COMPONENT_BYTES_MAX: usize = 32 << 20;

/// What a component is, as far as it can be told without compiling it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ComponentFacts {
    /// Its digest.
    pub digest: ComponentDigest,
    /// The size of its file.
    pub size_bytes: usize,
    /// What it can be used as.
    pub exports: ComponentExports,
    /// What it imports, by interface.
    pub imports: Vec<ImportedInterface>,
    /// What it could want of its host, by the functions that it imports. What it gets is for grants to say.
    pub capabilities: BTreeSet<Capability>,
    /// What it says about itself, if the SDK or a tool put it in.
    pub manifest: Option<Json>,
}

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportedInterface {
    /// Its name with package and version, such as `stepcell:step/context@0.1.0`.
    pub name: String,
    /// The functions that the component may call.
    pub functions: Vec<String>,
}

impl ComponentFacts {
    /// Whether it could send requests to other hosts.
    #[must_use]
    pub fn imports_http(&self) -> bool {
        self.capabilities.contains(&Capability::Http)
    }

    /// Whether it could read secrets.
    #[must_use]
    pub fn imports_secrets(&self) -> bool {
        self.capabilities.contains(&Capability::Secrets)
    }

    /// Whether it could tell the time, or that time passes.
    #[must_use]
    pub fn imports_clock(&self) -> bool {
        self.capabilities.contains(&Capability::Clock)
    }

    /// Whether it could draw random numbers.
    #[must_use]
    pub fn imports_randomness(&self) -> bool {
        self.capabilities.contains(&Capability::Randomness)
    }
}

impl ImportedInterface {
    /// What its functions would give. Types alone give nothing.
    fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let interface = self.name.split('@').next().unwrap_or_default();
        self.functions.iter().filter_map(move |function| capability(interface, function))
    }
}

/// What a function of an interface gives a component beyond the data of its own attempt.
fn capability(interface: &str, function: &str) -> Option<Capability> {
    match (interface, function) {
        ("wasi:http/outgoing-handler", _) => Some(Capability::Http),
        ("stepcell:step/secrets", _) => Some(Capability::Secrets),
        // A clock's resolution tells no time. To be woken does.
        ("wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock", name) if name != "resolution" => {
            Some(Capability::Clock)
        }
        ("wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed", _) => {
            Some(Capability::Randomness)
        }
        _ => None,
    }
}

/// Checks a component without compiling it, and says what it is.
///
/// Takes some milliseconds for each MiB; call it where blocking is fine.
///
/// # Errors
/// [`Refusal`], for whoever pushes the component.
///
/// # Examples
/// ```
/// use stepcell_admission::{Refusal, inspect};
///
/// assert_eq!(inspect(b"#!/bin/sh"), Err(Refusal::NotWasm));
/// ```
pub fn inspect(bytes: &[u8]) -> Result<ComponentFacts, Refusal> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(Refusal::TooLarge { size_bytes: bytes.len(), max_bytes: COMPONENT_BYTES_MAX });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(Refusal::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(Refusal::NotWasm);
    }
    // The reader is hardened, and still no panic of it may reach the host.
    catch_unwind(AssertUnwindSafe(|| inspect_component(bytes)))
        .unwrap_or_else(|_| Err(Refusal::Unreadable { reason: "it confuses the reader".to_owned() }))
}

fn inspect_component(bytes: &[u8]) -> Result<ComponentFacts, Refusal> {
    structure::check(bytes)?;
    let world = World::read(bytes)?;
    if world.is_wit_package() {
        return Err(Refusal::WitPackage);
    }
    let contract = Contract::of_this_host()?;
    let imports = contract.check_imports(&world)?;
    let exports = contract.check_exports(&world)?;
    let (digest, size_bytes) = (ComponentDigest::of(bytes), bytes.len());
    let capabilities = imports.iter().flat_map(ImportedInterface::capabilities).collect();
    Ok(ComponentFacts { digest, size_bytes, exports, imports, capabilities, manifest: manifest::find(bytes)? })
}
