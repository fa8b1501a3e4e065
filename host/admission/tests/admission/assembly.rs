//! Components made up on the spot: any world, with functions that do nothing.
//!
//! Knows nothing of admission, so that the tests of other crates can take it in with `#[path]`.

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId};

/// The contract as text, to change and build against.
pub(crate) const CONTRACT: &str = include_str!("../../../../wit/step.wit");

/// A component of a world of a WIT package.
pub(crate) fn component_of(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    encode(dummy_module(&resolve, world, ManglingAndAbi::Standard32), &resolve, world)
}

fn encode(mut module: Vec<u8>, resolve: &Resolve, world: WorldId) -> Vec<u8> {
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// A step whose guard says yes and whose `execute` is written in WebAssembly's text form.
///
/// At `$text` of memory lie the bytes `output`, at `$ok` the result that names them as the output. `$get_stdout` makes
/// a new handle.
pub(crate) fn step_in_text(definitions: &str, execute: &str, output: &str) -> Vec<u8> {
    const STDOUT: &str = "
        package wasi:io@0.2.0 { interface streams { resource output-stream; } }
        package wasi:cli@0.2.0 {
            interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
        }";
    let text = format!(
        r#"(module
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get_stdout (result i32)))
            (memory (export "memory") 1)
            (global $ok i32 (i32.const 32))
            (data (i32.const 0) "\00\00\00\00\01")
            (data (i32.const 32) "\00\00\00\00\00\04\00\00\{len:02x}\00\00\00")
            (data (i32.const 1024) "{output}")
            {definitions}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "stepcell:step/step@0.1.0#can-execute") (param i32 i32) (result i32) (i32.const 0))
            (func (export "stepcell:step/step@0.1.0#execute") (param i32 i32) (result i32) {execute})
            (func (export "stepcell:step/step@0.1.0#on-success") (param i32 i32) (result i32) (i32.const 0))
            (func (export "stepcell:step/step@0.1.0#on-failure")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))
        )"#,
        len = output.len(),
    );
    let wit = format!("{CONTRACT}\nworld test {{ import wasi:cli/stdout@0.2.0; export step; }}\n{STDOUT}");
    let mut resolve = Resolve::default();
    let package = resolve.push_source("test.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("test")).unwrap();
    encode(wat::parse_str(text).unwrap(), &resolve, world)
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
