//! Components with more inside than a step needs: modules and components are added behind what a toolchain would make.
//!
//! What is added is instantiated, too, so that nothing of it is left out for not being used. The rest is a step that
//! harms nobody: were it let in, it would run.

use wasm_encoder::{
    Component, ComponentInstanceSection, ComponentSection, InstanceSection, Module, ModuleArg, ModuleSection,
    NestedComponentSection,
};
use wasmparser::{Parser, Payload};

use crate::guest::Guest;

/// A step and what is added to it.
pub(crate) struct Composed {
    bytes: Vec<u8>,
    modules: u32,
    components: u32,
}

/// No arguments for a module.
const NO_ARGUMENTS: [(&str, ModuleArg); 0] = [];

impl Composed {
    /// A step that harms nobody.
    pub(crate) fn step() -> Self {
        let bytes = Guest::step().build();
        let (modules, components) = count(&bytes);
        Self { bytes, modules, components }
    }

    /// Adds a section as it is.
    pub(crate) fn section(mut self, section: &impl ComponentSection) -> Self {
        section.append_to_component(&mut self.bytes);
        self
    }

    /// Adds a module, and so many instances of it.
    pub(crate) fn module(mut self, module: &Module, instances: u32) -> Self {
        let index = self.modules;
        self.modules += 1;
        let mut section = InstanceSection::new();
        for _ in 0..instances {
            section.instantiate(index, NO_ARGUMENTS);
        }
        self.section(&ModuleSection(module)).section(&section)
    }

    /// Adds a component, and so many instances of it.
    pub(crate) fn component(mut self, component: &Component, instances: u32) -> Self {
        let index = self.components;
        self.components += 1;
        let section = instances_of(index, instances);
        self.section(&NestedComponentSection(component)).section(&section)
    }

    /// The component.
    pub(crate) fn build(self) -> Vec<u8> {
        self.bytes
    }
}

/// A component that holds another, and so many instances of it.
pub(crate) fn holding(inner: &Component, instances: u32) -> Component {
    let mut outer = Component::new();
    outer.section(&NestedComponentSection(inner));
    outer.section(&instances_of(0, instances));
    outer
}

/// A component that holds a module, and so many instances of it.
pub(crate) fn holding_module(module: &Module, instances: u32) -> Component {
    let mut section = InstanceSection::new();
    for _ in 0..instances {
        section.instantiate(0, NO_ARGUMENTS);
    }
    let mut outer = Component::new();
    outer.section(&ModuleSection(module));
    outer.section(&section);
    outer
}

fn instances_of(component: u32, instances: u32) -> ComponentInstanceSection {
    let mut section = ComponentInstanceSection::new();
    for _ in 0..instances {
        section.instantiate(component, NO_COMPONENT_ARGUMENTS);
    }
    section
}

/// No arguments for a component.
const NO_COMPONENT_ARGUMENTS: [(&str, wasm_encoder::ComponentExportKind, u32); 0] = [];

/// How many modules and components a component has, not counting those inside of them.
fn count(bytes: &[u8]) -> (u32, u32) {
    let (mut modules, mut components, mut depth) = (0, 0, 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.expect("a step that was just made can be read") {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ModuleSection { .. } if depth == 1 => modules += 1,
            Payload::ComponentSection { .. } if depth == 1 => components += 1,
            _ => {}
        }
    }
    (modules, components)
}
