//! Components that ask for one thing too much, and for as much as they may.

use wasm_encoder::{
    CodeSection, Component, Function, FunctionSection, Instruction, Module, ModuleSection, TypeSection, ValType,
};

/// A component in WebAssembly's text form.
pub(crate) fn text(items: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {items})")).unwrap()
}

/// As many items as asked for, each made from its number.
pub(crate) fn many(count: u64, item: impl Fn(u64) -> String) -> String {
    (0..count).map(item).collect()
}

/// Components within one another.
pub(crate) fn nested(levels: u64) -> Vec<u8> {
    let (open, close) = ("(component ".repeat(levels as usize - 1), ")".repeat(levels as usize - 1));
    text(&format!("{open}{close}"))
}

/// Types of instances within one another, written as bytes: the text form has a bound of its own.
pub(crate) fn nested_types(levels: usize) -> Vec<u8> {
    let mut types = vec![1];
    types.extend([0x42, 1, 1].repeat(levels - 1));
    types.extend([0x42, 0]);
    let mut component = Component::new();
    component.section(&wasm_encoder::RawSection { id: 7, data: &types });
    component.finish()
}

/// A component with one module that has these functions.
fn functions(bodies: impl IntoIterator<Item = Function>) -> Vec<u8> {
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for mut body in bodies {
        body.instruction(&Instruction::End);
        functions.function(0);
        code.function(&body);
    }
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}

/// So many functions that do nothing.
pub(crate) fn empty_functions(count: u64) -> Vec<u8> {
    functions((0..count).map(|_| Function::new([])))
}

/// One function of so many bytes.
pub(crate) fn long_function(len_bytes: u64) -> Vec<u8> {
    let mut body = Function::new([]);
    // One byte says that there are no variables, and one that it ends.
    (2..len_bytes).for_each(|_| {
        body.instruction(&Instruction::Nop);
    });
    functions([body])
}

/// Functions with so many variables each, none of which takes a byte for itself.
pub(crate) fn variables(locals: &[u64]) -> Vec<u8> {
    functions(locals.iter().map(|count| Function::new([(*count as u32, ValType::I32)])))
}

/// A function with so many variables, and so many ways that it may take.
pub(crate) fn branches(locals: u64, branches: u64) -> Vec<u8> {
    let mut body = Function::new([(locals as u32, ValType::I32)]);
    for _ in 1..branches {
        body.instruction(&Instruction::Block(wasm_encoder::BlockType::Empty)).instruction(&Instruction::End);
    }
    functions([body])
}

/// A component that holds another, of which it has so many instances, and so on; the innermost has `inner` in it.
pub(crate) fn multiplied(levels: u64, instances: u64, inner: &str) -> Vec<u8> {
    let instantiate = |level| many(instances, |_| format!("(instance (instantiate $c{level}))"));
    let mut component = format!("(component $c0 {inner})");
    for level in 1..levels {
        component = format!("(component $c{level} {component} {})", instantiate(level - 1));
    }
    text(&format!("{component} {}", instantiate(levels - 1)))
}

/// Imports whose types use each other in a circle: packages, and not types, for that could not be written down.
pub(crate) fn circle_of_packages() -> Vec<u8> {
    text(
        r#"(import "a:x/k" (instance $ak (export "t" (type (sub resource)))))
        (alias export $ak "t" (type $t1))
        (import "b:y/j" (instance $bj
            (alias outer 1 $t1 (type $u)) (export "t" (type (eq $u))) (export "z" (type (sub resource)))))
        (alias export $bj "z" (type $t2))
        (import "a:x/i" (instance (alias outer 1 $t2 (type $u)) (export "t" (type (eq $u)))))"#,
    )
}
