//! What may enter: a component is held against the contract before anything of it is compiled.
//!
//! Its imports and exports are decoded and compared function by function, each type written out in full, with the WIT
//! package that this host was built from. What it says about itself is not believed: the linker checks again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use stepcell_model::component::ComponentExports;
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use wasmparser::Parser;
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{InterfaceId, PackageName, Resolve, WorldId, WorldItem, WorldKey};

use crate::CONTRACT;
use crate::refusal::{Refusal, excerpt, signature_excerpt};
use crate::signature::signature;
use crate::{manifest, structure};

/// The largest component file, in bytes. A step in Rust has 0.1 MiB, one in Python 22.
const COMPONENT_BYTES_MAX: usize = 32 << 20;

/// The interfaces of WASI 0.2 that the host provides.
const WASI_INTERFACES: &[&str] = &[
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "http/outgoing-handler",
    "http/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

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
    // The decoder is hardened, and still no panic of it may reach the host.
    catch_unwind(AssertUnwindSafe(|| inspect_component(bytes)))
        .unwrap_or_else(|_| Err(Refusal::Unreadable { reason: "it confuses the reader".to_owned() }))
}

fn inspect_component(bytes: &[u8]) -> Result<ComponentFacts, Refusal> {
    let unreadable = |error: &dyn std::fmt::Display| Refusal::Unreadable { reason: excerpt(&format!("{error:#}")) };
    structure::check(bytes)?;
    let (resolve, world) = match decode(bytes).map_err(|error| unreadable(&error))? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => return Err(Refusal::WitPackage),
    };
    let contract = CONTRACT_INTERFACES.as_ref().map_err(Clone::clone)?;
    let subject = Subject { resolve: &resolve, world };
    let imports = subject.check_imports(contract)?;
    let exports = subject.check_exports(contract)?;
    let (digest, size_bytes) = (ComponentDigest::of(bytes), bytes.len());
    Ok(ComponentFacts { digest, size_bytes, exports, imports, manifest: manifest::find(bytes)? })
}

/// The contract: its version, and each interface's functions with their signatures.
struct Contract {
    version: semver::Version,
    interfaces: BTreeMap<String, BTreeMap<String, String>>,
}

static CONTRACT_INTERFACES: LazyLock<Result<Contract, Refusal>> = LazyLock::new(|| {
    let unreadable = |reason: String| Refusal::Host { reason: format!("its own contract can not be read: {reason}") };
    let mut resolve = Resolve::default();
    let package = resolve.push_source("step.wit", CONTRACT).map_err(|error| unreadable(format!("{error:#}")))?;
    let package = &resolve.packages[package];
    let version = package.name.version.clone().ok_or_else(|| unreadable("it has no version".to_owned()))?;
    let functions = |id: InterfaceId| {
        resolve.interfaces[id].functions.iter().map(|(name, function)| (name.clone(), signature(&resolve, function)))
    };
    let interfaces = package.interfaces.iter().map(|(name, id)| (name.clone(), functions(*id).collect())).collect();
    Ok(Contract { version, interfaces })
});

impl Contract {
    fn full_name(&self, interface: &str) -> String {
        format!("stepcell:step/{interface}@{}", self.version)
    }

    /// Whether a component of that version of the package can be held against this one.
    fn speaks(&self, version: Option<&semver::Version>) -> bool {
        version.is_some_and(|other| {
            (other.major, other.minor) == (self.version.major, self.version.minor) && other.pre == self.version.pre
        })
    }
}

/// The component under test.
struct Subject<'a> {
    resolve: &'a Resolve,
    world: WorldId,
}

impl Subject<'_> {
    fn check_imports(&self, contract: &Contract) -> Result<Vec<ImportedInterface>, Refusal> {
        let mut imports = Vec::new();
        for (key, item) in &self.resolve.worlds[self.world].imports {
            match item {
                WorldItem::Interface { id, .. } => imports.push(self.check_import(contract, key, *id)?),
                WorldItem::Function(_) => return Err(unknown_import(contract, &self.resolve.name_world_key(key))),
                WorldItem::Type { .. } => {}
            }
        }
        Ok(imports)
    }

    fn check_import(&self, contract: &Contract, key: &WorldKey, id: InterfaceId) -> Result<ImportedInterface, Refusal> {
        let name = self.resolve.name_world_key(key);
        let Some((package, interface)) = self.package_of(id).filter(|_| matches!(key, WorldKey::Interface(_))) else {
            return Err(unknown_import(contract, &name));
        };
        match package.namespace.as_str() {
            "stepcell" if package.name == "step" => self.check_own_import(contract, package, interface, id, &name)?,
            "wasi" if is_wasi(package, interface) => {}
            _ => return Err(unknown_import(contract, &name)),
        }
        Ok(ImportedInterface { name, functions: self.resolve.interfaces[id].functions.keys().cloned().collect() })
    }

    fn check_own_import(
        &self,
        contract: &Contract,
        package: &PackageName,
        interface: &str,
        id: InterfaceId,
        name: &str,
    ) -> Result<(), Refusal> {
        if !contract.speaks(package.version.as_ref()) {
            return Err(other_version(contract, name));
        }
        let known = contract.interfaces.get(interface).ok_or_else(|| unknown_import(contract, name))?;
        for (function_name, function) in &self.resolve.interfaces[id].functions {
            let expected = known.get(function_name).ok_or_else(|| Refusal::UnknownFunction {
                interface: name.to_owned(),
                function: excerpt(function_name),
                host_version: contract.version.to_string(),
            })?;
            same_signature(name, function_name, &signature(self.resolve, function), expected)?;
        }
        Ok(())
    }

    /// Checks our interfaces among the exports, of which there must be one.
    fn check_exports(&self, contract: &Contract) -> Result<ComponentExports, Refusal> {
        match (self.check_export(contract, "step")?, self.check_export(contract, "gateway")?) {
            (true, true) => Ok(ComponentExports::Both),
            (true, false) => Ok(ComponentExports::Step),
            (false, true) => Ok(ComponentExports::Gateway),
            (false, false) => Err(self.no_step(contract)),
        }
    }

    /// Checks one of our interfaces among the exports, and says whether it is there.
    fn check_export(&self, contract: &Contract, interface: &str) -> Result<bool, Refusal> {
        let Some((version, id)) = self.find_export(interface) else { return Ok(false) };
        let name = self.resolve.id_of(id).unwrap_or_else(|| contract.full_name(interface));
        if !contract.speaks(version) {
            return Err(other_version(contract, &name));
        }
        let functions = &self.resolve.interfaces[id].functions;
        let expected = contract.interfaces.get(interface).into_iter().flatten();
        let missing: Vec<_> = expected.clone().filter(|(name, _)| !functions.contains_key(name.as_str())).collect();
        if !missing.is_empty() {
            let missing = listed(missing.into_iter().map(|(name, _)| name.as_str()));
            return Err(Refusal::MissingFunctions { interface: name, missing });
        }
        for (function, expected) in expected {
            same_signature(&name, function, &signature(self.resolve, &functions[function.as_str()]), expected)?;
        }
        Ok(true)
    }

    fn find_export(&self, interface: &str) -> Option<(Option<&semver::Version>, InterfaceId)> {
        self.resolve.worlds[self.world].exports.values().find_map(|item| {
            let WorldItem::Interface { id, .. } = item else { return None };
            let (package, name) = self.package_of(*id)?;
            let is_it = package.namespace == "stepcell" && package.name == "step" && name == interface;
            is_it.then_some((package.version.as_ref(), *id))
        })
    }

    fn package_of(&self, id: InterfaceId) -> Option<(&PackageName, &str)> {
        let interface = &self.resolve.interfaces[id];
        let package = interface.package?;
        Some((&self.resolve.packages[package].name, interface.name.as_deref()?))
    }

    fn no_step(&self, contract: &Contract) -> Refusal {
        let exports: Vec<_> =
            self.resolve.worlds[self.world].exports.keys().map(|key| self.resolve.name_world_key(key)).collect();
        let found = if exports.is_empty() { "nothing".to_owned() } else { listed(exports.iter().map(String::as_str)) };
        Refusal::NoStep { found, expected: contract.full_name("step") }
    }
}

fn is_wasi(package: &PackageName, interface: &str) -> bool {
    let is_02 = package.version.as_ref().is_some_and(|version| (version.major, version.minor) == (0, 2));
    is_02 && WASI_INTERFACES.contains(&format!("{}/{interface}", package.name).as_str())
}

fn same_signature(interface: &str, function: &str, found: &str, expected: &str) -> Result<(), Refusal> {
    if found == expected {
        return Ok(());
    }
    Err(Refusal::Signature {
        interface: interface.to_owned(),
        function: function.to_owned(),
        found: signature_excerpt(found),
        expected: expected.to_owned(),
    })
}

fn unknown_import(contract: &Contract, import: &str) -> Refusal {
    Refusal::UnknownImport { import: excerpt(import), host_version: contract.version.to_string() }
}

fn other_version(contract: &Contract, found: &str) -> Refusal {
    Refusal::OtherVersion { found: excerpt(found), host_version: contract.version.to_string() }
}

/// Names in back quotes with commas, the first ten of them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.map(|name| format!("`{}`", excerpt(name))).collect();
    match quoted.get(..10) {
        Some(first) if quoted.len() > 10 => format!("{} and {} more", first.join(", "), quoted.len() - 10),
        _ => quoted.join(", "),
    }
}
