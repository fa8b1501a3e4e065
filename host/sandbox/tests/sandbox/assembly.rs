//! Components made up on the spot: any world, with functions that do nothing.

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// The contract as text, to change and build against.
pub(crate) const CONTRACT: &str = include_str!("../../../../wit/step.wit");

/// A component of a world of a WIT package.
pub(crate) fn component_of(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// A WIT package in its binary form.
pub(crate) fn package_of(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("test.wit", wit).unwrap();
    wit_component::encode(&resolve, package).unwrap()
}

/// The contract with one more world, `test`, and other packages if need be.
pub(crate) fn with_world(items: &str, packages: &str) -> Vec<u8> {
    component_of(&format!("{CONTRACT}\nworld test {{ {items} }}\n{packages}"), "test")
}

/// Appends a custom section to a component.
pub(crate) fn with_section(mut component: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    let content_len = name.len() + 1 + data.len();
    assert!(name.len() < 128 && content_len < 128, "one byte is enough for each length");
    component.extend([0, content_len as u8, name.len() as u8]);
    component.extend(name.as_bytes());
    component.extend(data);
    component
}
