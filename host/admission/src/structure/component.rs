//! The sections of a component: what each definition refers to, and what instantiating takes.

use std::rc::Rc;

use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport, ComponentInstance,
    ComponentOuterAliasKind, CoreType, Instance, ModuleTypeDeclaration, Payload,
};

use super::bound::Bound;
use super::scope::{Exports, Item};
use super::weight::Weight;
use super::{Walk, unreadable};
use crate::refusal::Refusal;

impl<'a> Walk<'a> {
    /// Takes in a section of a component.
    pub(super) fn read_component(&mut self, payload: Payload<'a>) -> Result<(), Refusal> {
        match payload {
            Payload::ComponentTypeSection(types) => self.types(types.range()),
            Payload::CoreTypeSection(types) => each(types, |ty| self.core_type(&ty)),
            Payload::ComponentImportSection(imports) => each(imports, |import| self.import(import)),
            Payload::ComponentExportSection(exports) => each(exports, |export| self.export(&export)),
            Payload::ComponentAliasSection(aliases) => each(aliases, |alias| self.alias(&alias)),
            Payload::InstanceSection(instances) => each(instances, |instance| self.core_instance(&instance)),
            Payload::ComponentInstanceSection(instances) => each(instances, |instance| self.instance(&instance)),
            Payload::ComponentCanonicalSection(functions) => each(functions, |function| self.function(&function)),
            _ => Ok(()),
        }
    }

    pub(super) fn core_type(&mut self, ty: &CoreType<'_>) -> Result<(), Refusal> {
        let of_group = |group: &wasmparser::RecGroup| group.types().len();
        let definitions = match ty {
            CoreType::Rec(group) => of_group(group),
            CoreType::Module(declarations) => {
                let of_declaration = |declaration: &_| match declaration {
                    ModuleTypeDeclaration::Type(group) => of_group(group),
                    ModuleTypeDeclaration::Export { .. }
                    | ModuleTypeDeclaration::OuterAlias { .. }
                    | ModuleTypeDeclaration::Import(_) => 1,
                };
                declarations.iter().map(of_declaration).sum()
            }
        };
        self.written.define(definitions as u64, 0)
    }

    pub(super) fn import(&mut self, import: ComponentImport<'a>) -> Result<(), Refusal> {
        let item = self.scope()?.of_type(import.ty)?;
        Bound::NAME_BYTES.check(import.name.name.len() as u64)?;
        self.define(item.weight())?;
        let scope = self.scope()?;
        scope.imports.contain(item.weight());
        scope.imports.name(import.name.name);
        scope.imported_functions = scope.imported_functions.saturating_add(item.functions());
        scope.push(item);
        Ok(())
    }

    fn export(&mut self, export: &ComponentExport<'a>) -> Result<(), Refusal> {
        let item = self.exported(export)?;
        self.define(item.weight())?;
        self.name_export(export.name.name, item)
    }

    /// Adds an export, which has an index of its own beside that of what it exports.
    pub(super) fn name_export(&mut self, name: &'a str, item: Item<'a>) -> Result<(), Refusal> {
        Bound::NAME_BYTES.check(name.len() as u64)?;
        let scope = self.scope()?;
        scope.exports.insert(name, item.clone());
        scope.exports.weight.check_depth()?;
        scope.push(item);
        Ok(())
    }

    fn exported(&mut self, export: &ComponentExport<'a>) -> Result<Item<'a>, Refusal> {
        let scope = self.scope()?;
        match (export.kind, export.ty) {
            // What is counted of modules and components is what they are, not what is said of their types.
            (ComponentExternalKind::Module | ComponentExternalKind::Component, _) | (_, None) => {
                scope.item(export.kind, export.index)
            }
            (_, Some(ty)) => scope.of_type(ty),
        }
    }

    pub(super) fn alias(&mut self, alias: &ComponentAlias<'a>) -> Result<(), Refusal> {
        let item = match *alias {
            ComponentAlias::InstanceExport { instance_index, name, .. } => {
                self.scope()?.export_of(instance_index, name)?
            }
            ComponentAlias::Outer { kind, count, index } => {
                let Some(kind) = outer_kind(kind) else { return self.define(Weight::ONE) };
                let from = self.scopes.len().checked_sub(count as usize + 1).and_then(|at| self.scopes.get(at));
                let from = from.ok_or_else(|| Refusal::Unreadable { reason: "it refers outside of itself".to_owned() });
                from?.item(kind, index)?
            }
            ComponentAlias::CoreInstanceExport { .. } => return self.define(Weight::ONE),
        };
        self.define(Weight::ONE)?;
        self.scope()?.push(item);
        Ok(())
    }

    fn core_instance(&mut self, instance: &Instance<'_>) -> Result<(), Refusal> {
        match instance {
            Instance::Instantiate { module_index, args } => {
                let Item::Module(module) = self.scope()?.item(ComponentExternalKind::Module, *module_index)? else {
                    return Ok(());
                };
                self.define_each(args.len())?;
                let module = module.ok_or(Refusal::Uncountable { what: "modules" })?;
                self.written.define(module.definitions, 0)?;
                self.scope()?.cost.add(&module);
                Ok(())
            }
            Instance::FromExports(exports) => self.define_each(exports.len()),
        }
    }

    fn instance(&mut self, instance: &ComponentInstance<'a>) -> Result<(), Refusal> {
        let exports = match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let item = self.scope()?.item(ComponentExternalKind::Component, *component_index)?;
                let Item::Component(component) = item else { return Ok(()) };
                self.define_each(args.len())?;
                let component = component.ok_or(Refusal::Uncountable { what: "components" })?;
                self.define(component.imports)?;
                self.scope()?.cost.add(&component.cost);
                Rc::clone(&component.exports)
            }
            ComponentInstance::FromExports(list) => {
                let mut exports = Exports::default();
                for export in list {
                    Bound::NAME_BYTES.check(export.name.name.len() as u64)?;
                    exports.insert(export.name.name, self.exported(export)?);
                    self.define(Weight::ONE)?;
                }
                Rc::new(exports)
            }
        };
        self.define(exports.weight)?;
        self.scope()?.push(Item::Instance(exports));
        Ok(())
    }

    fn function(&mut self, function: &CanonicalFunction) -> Result<(), Refusal> {
        match *function {
            CanonicalFunction::Lift { type_index, .. } => {
                let weight = self.scope()?.ty(type_index)?.weight;
                self.define(weight)?;
                self.scope()?.push(Item::Func(weight));
                Ok(())
            }
            CanonicalFunction::Lower { func_index, .. } => {
                let item = self.scope()?.item(ComponentExternalKind::Func, func_index)?;
                self.define(item.weight())
            }
            _ => self.define(Weight::ONE),
        }
    }

    fn define_each(&mut self, count: usize) -> Result<(), Refusal> {
        self.written.define(count as u64, 0)?;
        self.scope()?.cost.work(count as u64, 0);
        Ok(())
    }
}

/// The kind of an alias of something around the component, if it has an index here.
const fn outer_kind(kind: ComponentOuterAliasKind) -> Option<ComponentExternalKind> {
    match kind {
        ComponentOuterAliasKind::CoreModule => Some(ComponentExternalKind::Module),
        ComponentOuterAliasKind::Component => Some(ComponentExternalKind::Component),
        ComponentOuterAliasKind::Type => Some(ComponentExternalKind::Type),
        ComponentOuterAliasKind::CoreType => None,
    }
}

fn each<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
    mut take: impl FnMut(T) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    for item in section {
        take(item.map_err(unreadable)?)?;
    }
    Ok(())
}
