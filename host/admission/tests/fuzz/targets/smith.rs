//! Components made from bytes by `wasm-smith`: valid ones, of every shape.

use arbitrary::Unstructured;
use wasm_encoder::{ComponentSectionId, RawSection};
use wasm_smith::{Component, Config, Module};

/// A component made from the bytes; none if they are too few.
pub(super) fn component(data: &[u8]) -> Option<Vec<u8>> {
    let (choice, rest) = data.split_first()?;
    let mut bytes = Unstructured::new(rest);
    if choice % 2 == 0 {
        return Some(Component::new(config(), &mut bytes).ok()?.to_bytes());
    }
    let module = Module::new(config(), &mut bytes).ok()?.to_bytes();
    let mut component = wasm_encoder::Component::new();
    component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: &module });
    Some(component.finish())
}

/// The proposals that a cell has, and more of everything than `wasm-smith` would make by itself.
fn config() -> Config {
    Config {
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        shared_everything_threads_enabled: false,
        reference_types_enabled: true,
        max_memories: 4,
        max_tables: 4,
        max_nesting_depth: 12,
        max_components: 20,
        max_instances: 20,
        max_modules: 20,
        max_type_size: 2_000,
        ..Config::default()
    }
}
