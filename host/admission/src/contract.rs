//! The contract, and what a component's imports and exports are held against.
//!
//! Imports and exports are compared function by function, each type written out in full, with the WIT package that this
//! host was built from. What a component says about itself is not believed: the linker checks again.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use stepcell_model::component::ComponentExports;
use wasmparser::component_types::{ComponentEntityType, ComponentFuncTypeId};
use wit_parser::{InterfaceId, Resolve};

use crate::inspect::ImportedInterface;
use crate::refusal::{Refusal, excerpt, signature_excerpt};
use crate::world::{InterfaceName, World};
use crate::{CONTRACT, signature};

/// The package of the contract.
const PACKAGE: &str = "stepcell:step";

/// The interfaces of WASI 0.2 that the host provides. Toolchains leave imports in that no code calls, so what a tenant
/// may not use is refused inside its functions, when they are called.
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

/// The contract: its version, and each interface's functions with their signatures.
pub(crate) struct Contract {
    version: semver::Version,
    interfaces: BTreeMap<String, BTreeMap<String, String>>,
}

static OF_THIS_HOST: LazyLock<Result<Contract, Refusal>> = LazyLock::new(|| {
    let unreadable = |reason: String| Refusal::Host { reason: format!("its own contract can not be read: {reason}") };
    let mut resolve = Resolve::default();
    let package = resolve.push_source("step.wit", CONTRACT).map_err(|error| unreadable(format!("{error:#}")))?;
    let package = &resolve.packages[package];
    let version = package.name.version.clone().ok_or_else(|| unreadable("it has no version".to_owned()))?;
    let functions = |id: InterfaceId| {
        let functions = resolve.interfaces[id].functions.iter();
        functions.map(|(name, function)| (name.clone(), signature::contract::signature(&resolve, function))).collect()
    };
    let interfaces = package.interfaces.iter().map(|(name, id)| (name.clone(), functions(*id))).collect();
    Ok(Contract { version, interfaces })
});

impl Contract {
    /// The contract that this host was built from.
    pub(crate) fn of_this_host() -> Result<&'static Self, Refusal> {
        OF_THIS_HOST.as_ref().map_err(Clone::clone)
    }

    /// Checks what a component imports, and lists it by interface.
    pub(crate) fn check_imports(&self, world: &World) -> Result<Vec<ImportedInterface>, Refusal> {
        let mut imports = Vec::new();
        for (name, ty) in world.imports() {
            match ty {
                ComponentEntityType::Instance(_) => imports.push(self.check_import(world, name, ty)?),
                ComponentEntityType::Type { .. } => {}
                ComponentEntityType::Func(_)
                | ComponentEntityType::Value(_)
                | ComponentEntityType::Module(_)
                | ComponentEntityType::Component(_) => return Err(self.unknown_import(name)),
            }
        }
        Ok(imports)
    }

    fn check_import(&self, world: &World, name: &str, ty: ComponentEntityType) -> Result<ImportedInterface, Refusal> {
        let parsed = InterfaceName::parse(name).ok_or_else(|| self.unknown_import(name))?;
        if parsed.package == PACKAGE {
            self.check_own_import(world, &parsed, name, ty)?;
        } else if !is_wasi(&parsed) {
            return Err(self.unknown_import(name));
        }
        let functions = world.functions(ty).into_iter().map(|(function, _)| function.to_owned()).collect();
        Ok(ImportedInterface { name: name.to_owned(), functions })
    }

    fn check_own_import(
        &self,
        world: &World,
        parsed: &InterfaceName,
        name: &str,
        ty: ComponentEntityType,
    ) -> Result<(), Refusal> {
        if !self.speaks(parsed.version.as_ref()) {
            return Err(self.other_version(name));
        }
        let known = self.interfaces.get(&parsed.interface).ok_or_else(|| self.unknown_import(name))?;
        for (function, id) in world.functions(ty) {
            let expected = known.get(function).ok_or_else(|| Refusal::UnknownFunction {
                interface: excerpt(name),
                function: excerpt(function),
                host_version: self.version.to_string(),
            })?;
            same_signature(world, name, function, id, expected)?;
        }
        Ok(())
    }

    /// Checks our interfaces among the exports, of which there must be one.
    pub(crate) fn check_exports(&self, world: &World) -> Result<ComponentExports, Refusal> {
        match (self.check_export(world, "step")?, self.check_export(world, "gateway")?) {
            (true, true) => Ok(ComponentExports::Both),
            (true, false) => Ok(ComponentExports::Step),
            (false, true) => Ok(ComponentExports::Gateway),
            (false, false) => Err(self.no_step(world)),
        }
    }

    /// Checks one of our interfaces among the exports, and says whether it is there.
    fn check_export(&self, world: &World, interface: &str) -> Result<bool, Refusal> {
        let found = world.exports().find_map(|(name, ty)| {
            let parsed = InterfaceName::parse(name)?;
            (parsed.package == PACKAGE && parsed.interface == interface).then_some((name, parsed.version, ty))
        });
        let Some((name, version, ty)) = found else { return Ok(false) };
        if !self.speaks(version.as_ref()) {
            return Err(self.other_version(name));
        }
        let functions: BTreeMap<_, _> = world.functions(ty).into_iter().collect();
        let expected = self.interfaces.get(interface).into_iter().flatten();
        let missing: Vec<_> = expected.clone().filter(|(name, _)| !functions.contains_key(name.as_str())).collect();
        if !missing.is_empty() {
            let missing = listed(missing.into_iter().map(|(name, _)| name.as_str()));
            return Err(Refusal::MissingFunctions { interface: excerpt(name), missing });
        }
        for (function, expected) in expected {
            same_signature(world, name, function, functions[function.as_str()], expected)?;
        }
        Ok(true)
    }

    fn full_name(&self, interface: &str) -> String {
        format!("{PACKAGE}/{interface}@{}", self.version)
    }

    /// Whether a component of that version of the package can be held against this one.
    fn speaks(&self, version: Option<&semver::Version>) -> bool {
        version.is_some_and(|other| {
            (other.major, other.minor) == (self.version.major, self.version.minor) && other.pre == self.version.pre
        })
    }

    fn no_step(&self, world: &World) -> Refusal {
        let exports: Vec<_> = world.exports().map(|(name, _)| name).collect();
        let found = if exports.is_empty() { "nothing".to_owned() } else { listed(exports.into_iter()) };
        Refusal::NoStep { found, expected: self.full_name("step") }
    }

    fn unknown_import(&self, import: &str) -> Refusal {
        Refusal::UnknownImport { import: excerpt(import), host_version: self.version.to_string() }
    }

    fn other_version(&self, found: &str) -> Refusal {
        Refusal::OtherVersion { found: excerpt(found), host_version: self.version.to_string() }
    }
}

fn is_wasi(name: &InterfaceName) -> bool {
    let is_02 = name.version.as_ref().is_some_and(|version| (version.major, version.minor) == (0, 2));
    let Some(package) = name.package.strip_prefix("wasi:").filter(|_| is_02) else { return false };
    WASI_INTERFACES.contains(&format!("{package}/{}", name.interface).as_str())
}

fn same_signature(
    world: &World,
    interface: &str,
    function: &str,
    id: ComponentFuncTypeId,
    expected: &str,
) -> Result<(), Refusal> {
    let found = signature::component::signature(world.types(), id);
    if found == expected {
        return Ok(());
    }
    Err(Refusal::Signature {
        interface: excerpt(interface),
        function: function.to_owned(),
        found: signature_excerpt(&found),
        expected: expected.to_owned(),
    })
}

/// Names in back quotes with commas, the first ten of them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.map(|name| format!("`{}`", excerpt(name))).collect();
    match quoted.get(..10) {
        Some(first) if quoted.len() > 10 => format!("{} and {} more", first.join(", "), quoted.len() - 10),
        _ => quoted.join(", "),
    }
}
