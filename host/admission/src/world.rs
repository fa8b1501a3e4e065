//! What a component imports and exports, by name and type.
//!
//! The types come from the validator that the runtime uses too. It is given nothing that `structure` has not counted,
//! and only the proposals that a cell has. The bodies of functions are left to the compiler.

use wasmparser::component_types::{ComponentEntityType, ComponentFuncTypeId};
use wasmparser::names::{ComponentName, ComponentNameKind};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Payload, ValidPayload, Validator};

use crate::refusal::{Refusal, excerpt};
use crate::structure::{FEATURES, parser};

/// The imports and exports of a component.
pub(crate) struct World {
    types: Types,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// The name of an interface, such as `stepcell:step/log@0.1.0`.
pub(crate) struct InterfaceName {
    /// The namespace and the package, such as `stepcell:step`.
    pub(crate) package: String,
    /// The interface, such as `log`.
    pub(crate) interface: String,
    /// The version, if the name has one.
    pub(crate) version: Option<semver::Version>,
}

impl InterfaceName {
    /// Reads a name; none if it does not name an interface of a package.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let parsed = ComponentName::new(name, 0).ok()?;
        let ComponentNameKind::Interface(parts) = parsed.kind() else { return None };
        // A name may lead further in, to what is nested in the interface.
        if parts.interface() != parts.projection() {
            return None;
        }
        Some(Self {
            package: format!("{}:{}", parts.namespace(), parts.package()),
            interface: parts.interface().to_string(),
            version: parts.version(None).ok()?,
        })
    }
}

impl World {
    /// Reads a component whose structure is within bounds.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let unreadable = |error: wasmparser::Error| Refusal::Unreadable { reason: excerpt(error.message()) };
        let mut validator = Validator::new_with_features(FEATURES);
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let mut depth = 0_usize;
        for payload in parser().parse_all(bytes) {
            let payload = payload.map_err(unreadable)?;
            match &payload {
                Payload::Version { .. } => depth += 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section.clone() {
                        imports.push(import.map_err(unreadable)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section.clone() {
                        exports.push(export.map_err(unreadable)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
            if let ValidPayload::End(types) = validator.payload(&payload).map_err(unreadable)? {
                depth -= 1;
                if depth == 0 {
                    return Ok(Self { types, imports, exports });
                }
            }
        }
        Err(Refusal::Unreadable { reason: "it has no end".to_owned() })
    }

    /// The types that the others are given in.
    pub(crate) fn types(&self) -> TypesRef<'_> {
        self.types.as_ref()
    }

    /// The imports, in order.
    pub(crate) fn imports(&self) -> impl Iterator<Item = (&str, ComponentEntityType)> {
        let named = self.imports.iter().map(String::as_str);
        named.filter_map(|name| Some((name, self.types().component_item_for_import(name)?.ty)))
    }

    /// The exports, in order.
    pub(crate) fn exports(&self) -> impl Iterator<Item = (&str, ComponentEntityType)> {
        let named = self.exports.iter().map(String::as_str);
        named.filter_map(|name| Some((name, self.types().component_item_for_export(name)?.ty)))
    }

    /// The functions of an instance, in order; none for whatever is no instance.
    pub(crate) fn functions(&self, ty: ComponentEntityType) -> Vec<(&str, ComponentFuncTypeId)> {
        let ComponentEntityType::Instance(id) = ty else { return Vec::new() };
        let items = self.types[id].exports.iter();
        items
            .filter_map(|(name, item)| match item.ty {
                ComponentEntityType::Func(function) => Some((name.as_str(), function)),
                _ => None,
            })
            .collect()
    }

    /// Whether it is a WIT package, which has the form of a component that exports types of components alone.
    pub(crate) fn is_wit_package(&self) -> bool {
        use wasmparser::component_types::ComponentAnyTypeId::Component;
        let is_type = |ty| matches!(ty, ComponentEntityType::Type { created: Component(_), .. });
        self.imports.is_empty() && !self.exports.is_empty() && self.exports().all(|(_, ty)| is_type(ty))
    }
}
