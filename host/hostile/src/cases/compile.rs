//! Components that are small and cost much to compile, or to keep once they are.
//!
//! What a host can count before it compiles is refused by that; what is left is held by the limits of compiling, and is
//! harmless where the machine is quick enough to come to its end.

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentTypeSection, ComponentValType, ConstExpr, DataCountSection,
    DataSection, ElementSection, Elements, Function, FunctionSection, Instruction, MemorySection, MemoryType, Module,
    PrimitiveValType, RefType, TableSection, TableType, TypeSection, ValType,
};

use crate::case::AttackGroup::Compile;
use crate::case::Expected::{Refused, RefusedOrHarmless};
use crate::case::{Expected, HostileCase};
use crate::compose::{Composed, holding, holding_module};

/// The file itself is too large.
const TOO_LARGE: &[&str] = &["admission.size"];

/// There is too much to compile, and that was counted before.
const TOO_COMPLEX: &[&str] = &["admission.structure"];

/// It breaks the rules of WebAssembly, or uses what the host has turned off.
const INVALID: &[&str] = &["admission.format", "admission.compile"];

/// Compiling it took more than it may.
const TOO_COSTLY: &[&str] = &["admission.structure", "admission.compile"];

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Compile, name, tries, make, expects)
}

const fn too_complex(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Refused(TOO_COMPLEX))
}

const fn invalid(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Refused(INVALID))
}

const fn costly(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, RefusedOrHarmless(TOO_COSTLY))
}

/// A module of so many functions that are all alike.
fn functions(count: u32, function: &Function) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], []);
    let mut declared = FunctionSection::new();
    let mut code = CodeSection::new();
    for _ in 0..count {
        declared.function(0);
        code.function(function);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module
}

/// A function of these instructions, with so many numbers of its own.
fn function<'a>(locals: u32, instructions: impl IntoIterator<Item = Instruction<'a>>) -> Function {
    let mut function = Function::new([(locals, ValType::I64)]);
    for instruction in instructions {
        function.instruction(&instruction);
    }
    function.instruction(&Instruction::End);
    function
}

fn empty_function() -> Function {
    function(0, [])
}

/// A module of nothing but so many memories.
fn memories(count: u32, memory: MemoryType) -> Module {
    let mut section = MemorySection::new();
    for _ in 0..count {
        section.memory(memory);
    }
    let mut module = Module::new();
    module.section(&section);
    module
}

const fn memory(pages: u64) -> MemoryType {
    MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

/// A module of nothing but so many tables.
fn tables(count: u32, entries: u64) -> Module {
    let mut section = TableSection::new();
    for _ in 0..count {
        section.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: entries,
            maximum: None,
            shared: false,
        });
    }
    let mut module = Module::new();
    module.section(&section);
    module
}

fn step_with(module: &Module) -> Vec<u8> {
    Composed::step().module(module, 1).build()
}

/// Components within one another, each of which holds so many instances of the one inside.
fn doubling(levels: u32, instances: u32, innermost: &Module) -> Component {
    (1..levels).fold(holding_module(innermost, 1), |inner, _| holding(&inner, instances))
}

/// Types that are pairs of the type before, so that the last one has two to the power of `levels` parts.
fn doubling_types(levels: u32) -> ComponentTypeSection {
    let mut types = ComponentTypeSection::new();
    types.defined_type().primitive(PrimitiveValType::U64);
    for level in 0..levels {
        types.defined_type().tuple([ComponentValType::Type(level), ComponentValType::Type(level)]);
    }
    types
}

/// Blocks within one another, each of which may be left for the outermost and changes every number of the function.
fn tangled(blocks: u32, locals: u32) -> Function {
    let mut body = Vec::new();
    for block in 0..blocks {
        body.push(Instruction::Loop(BlockType::Empty));
        for local in 1..=locals {
            let next = local % locals + 1;
            body.extend([
                Instruction::LocalGet(next),
                Instruction::I64Const(i64::from(local)),
                Instruction::I64Xor,
                Instruction::LocalSet(local),
            ]);
        }
        body.extend([Instruction::LocalGet(0), Instruction::BrIf(block / 2)]);
    }
    body.extend((0..blocks).map(|_| Instruction::End));
    function(locals, body)
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "compile-a-huge-file",
        "Is a file of 70 MiB, most of it of no use to anybody.",
        || {
            let data = vec![0; 70 << 20];
            let section = wasm_encoder::CustomSection { name: "padding".into(), data: data.into() };
            Composed::step().section(&section).build()
        },
        Refused(TOO_LARGE),
    ),
    too_complex("compile-many-functions", "Has more functions than the largest of interpreters.", || {
        step_with(&functions(100_001, &empty_function()))
    }),
    too_complex("compile-many-functions-in-many-modules", "Has too many functions, a thousand in each module.", || {
        let module = functions(1_000, &empty_function());
        (0..101).fold(Composed::step(), |step, _| step.module(&module, 1)).build()
    }),
    too_complex("compile-one-huge-function", "Has one function of more than a MiB.", || {
        step_with(&functions(1, &function(0, (0..1 << 20).map(|_| Instruction::Nop))))
    }),
    too_complex("compile-many-modules", "Has more modules than anybody links together.", || {
        let module = functions(1, &empty_function());
        (0..300).fold(Composed::step(), |step, _| step.module(&module, 0)).build()
    }),
    too_complex("compile-deep-components", "Lays components into one another, twelve levels deep.", || {
        Composed::step().component(&doubling(12, 1, &functions(1, &empty_function())), 1).build()
    }),
    too_complex("compile-doubling-components", "Expands to ten million instances from less than a KiB.", || {
        Composed::step().component(&doubling(6, 25, &functions(10, &empty_function())), 1).build()
    }),
    too_complex("compile-many-instances", "Makes a thousand instances of one module.", || {
        Composed::step().module(&functions(1, &empty_function()), 1_000).build()
    }),
    too_complex("compile-many-instances-of-components", "Makes a thousand instances of one component.", || {
        Composed::step().component(&holding_module(&functions(1, &empty_function()), 1), 1_000).build()
    }),
    too_complex("compile-many-memories", "Has nine memories, each of which takes address space alone.", || {
        step_with(&memories(9, memory(0)))
    }),
    costly("compile-memories-in-one-module", "Has eight memories in one module, which no toolchain makes.", || {
        step_with(&memories(8, memory(1)))
    }),
    too_complex("compile-memories-of-many-instances", "Has one memory, in each of twenty instances.", || {
        Composed::step().module(&memories(1, memory(0)), 20).build()
    }),
    too_complex("compile-many-tables", "Has two hundred tables.", || step_with(&tables(200, 0))),
    case(
        "compile-memory-of-all-addresses",
        "Wants all four GiB that its addresses reach.",
        || step_with(&memories(1, memory(65_536))),
        RefusedOrHarmless(TOO_COSTLY),
    ),
    case(
        "compile-table-of-many-entries",
        "Wants a table of ten million entries from the start.",
        || step_with(&tables(1, 9_999_999)),
        RefusedOrHarmless(TOO_COSTLY),
    ),
    too_complex("compile-doubling-types", "Has a type of a million million parts, from forty lines.", || {
        let mut inner = Component::new();
        inner.section(&doubling_types(40));
        Composed::step().component(&inner, 1).build()
    }),
    too_complex("compile-many-locals", "Has a function with more numbers of its own than any may have.", || {
        step_with(&functions(1, &function(50_001, [])))
    }),
    invalid("compile-many-parameters", "Has a function of two thousand parameters.", || {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32; 2_000], []);
        let mut module = Module::new();
        module.section(&types);
        step_with(&module)
    }),
    invalid("compile-64-bit-memory", "Wants a memory of 64-bit addresses, which is turned off.", || {
        step_with(&memories(1, MemoryType { memory64: true, ..memory(1) }))
    }),
    invalid("compile-shared-memory", "Wants a memory that threads share, which is turned off.", || {
        step_with(&memories(1, MemoryType { shared: true, maximum: Some(1), ..memory(1) }))
    }),
    invalid("compile-small-pages", "Wants a memory of pages of one byte, which is turned off.", || {
        step_with(&memories(1, MemoryType { page_size_log2: Some(0), ..memory(1) }))
    }),
    invalid("compile-garbage-collection", "Uses the garbage collector, which is turned off.", || {
        let mut types = TypeSection::new();
        types.ty().array(&wasm_encoder::StorageType::I8, true);
        let mut module = Module::new();
        module.section(&types);
        step_with(&module)
    }),
    invalid("compile-exceptions", "Throws, which is turned off.", || {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut tags = wasm_encoder::TagSection::new();
        tags.tag(wasm_encoder::TagType { kind: wasm_encoder::TagKind::Exception, func_type_idx: 0 });
        let mut module = Module::new();
        module.section(&types).section(&tags);
        step_with(&module)
    }),
    costly("compile-deep-blocks", "Has a function of ten thousand blocks within one another.", || {
        let open = (0..10_000).map(|_| Instruction::Block(BlockType::Empty));
        step_with(&functions(1, &function(0, open.chain((0..10_000).map(|_| Instruction::End)))))
    }),
    costly("compile-wide-branches", "Has a branch of three hundred thousand ways.", || {
        let ways = vec![0; 300_000];
        let body = [
            Instruction::Block(BlockType::Empty),
            Instruction::LocalGet(0),
            Instruction::BrTable(ways.into(), 0),
            Instruction::End,
        ];
        step_with(&functions(1, &function(0, body)))
    }),
    costly(
        "compile-many-large-frames",
        "Has two hundred functions of fifty thousand numbers each, in three KiB.",
        || step_with(&functions(200, &function(49_000, []))),
    ),
    costly("compile-tangled-loops", "Has a few hundred loops, each of which changes what all of them use.", || {
        step_with(&functions(1, &tangled(200, 40)))
    }),
    costly("compile-many-data-segments", "Has ninety thousand pieces of data of no bytes.", || {
        let mut data = DataSection::new();
        for _ in 0..90_000 {
            data.passive([]);
        }
        let mut module = Module::new();
        module.section(&DataCountSection { count: 90_000 }).section(&data);
        step_with(&module)
    }),
    costly("compile-many-elements", "Fills a table of fifty thousand entries from the start, twenty times.", || {
        let entries = vec![0; 49_000];
        let mut elements = ElementSection::new();
        for _ in 0..20 {
            elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(entries.as_slice().into()));
        }
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], []);
        let mut declared = FunctionSection::new();
        declared.function(0);
        let mut table = TableSection::new();
        let element_type = RefType::FUNCREF;
        table.table(TableType { element_type, table64: false, minimum: 49_000, maximum: None, shared: false });
        let mut code = CodeSection::new();
        code.function(&empty_function());
        let mut module = Module::new();
        module.section(&types).section(&declared).section(&table).section(&elements).section(&code);
        step_with(&module)
    }),
];
