//! How much there is to read, to compile and to hold, counted before anything is decoded or compiled.
//!
//! A small file can ask for much: components are instantiated in components that are instantiated again, types are
//! made of types twice, ten bytes declare thousands of variables. So what is counted is what the file expands to. The
//! file itself is gone through once, without recursion, and with memory in proportion to the definitions in it, of
//! which there is a bound; every [`Bound`] is checked as soon as it can be passed, and all sums saturate.
//!
//! Nothing here says that a component is valid. What comes after, which is not as careful with what it is given, says
//! that.

mod bound;
mod component;
mod cost;
mod module;
mod scope;
mod types;
mod weight;

use std::rc::Rc;

use wasmparser::{Encoding, Parser, Payload, WasmFeatures};

pub use bound::Bound;

use self::cost::Cost;
use self::module::Module;
use self::scope::{Item, Scope, Template};
use self::weight::Weight;
use crate::refusal::{Refusal, excerpt};

/// The proposals that a component may use: those that the cell has, and none that it has not.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::LIME1)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::COMPONENT_MODEL);

/// A reader of components that knows the proposals that are on.
pub(crate) fn parser() -> Parser {
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    parser
}

/// Counts what a component asks for, and refuses what passes a bound.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let mut walk = Walk { bytes, written: Written::default(), modules: Vec::new(), scopes: Vec::new() };
    for payload in parser().parse_all(bytes) {
        walk.read(payload.map_err(unreadable)?)?;
    }
    Ok(())
}

/// What the file holds, however often it is instantiated: what reading it takes.
#[derive(Debug, Default)]
struct Written {
    parts: u64,
    functions: u64,
    locals: u64,
    work: Cost,
}

impl Written {
    /// Counts definitions, and the parts of the types that belong to them.
    fn define(&mut self, definitions: u64, type_size: u64) -> Result<(), Refusal> {
        self.work.work(definitions, type_size);
        self.work.check_work()
    }
}

/// A walk through a component and all that lies in it.
struct Walk<'a> {
    bytes: &'a [u8],
    written: Written,
    /// The module that is being read, if it is one; modules hold nothing that has a form of its own.
    modules: Vec<Module>,
    /// The components and types that are being read, from the outermost in.
    scopes: Vec<Scope<'a>>,
}

impl<'a> Walk<'a> {
    fn read(&mut self, payload: Payload<'a>) -> Result<(), Refusal> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding),
            Payload::End(_) => self.end(),
            payload => match self.modules.last_mut() {
                Some(module) => module.read(&payload, &mut self.written),
                None => self.read_component(payload),
            },
        }
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), Refusal> {
        self.written.parts += 1;
        Bound::PARTS.check(self.written.parts)?;
        match encoding {
            Encoding::Module => self.modules.push(Module::new()),
            Encoding::Component => self.scopes.push(Scope::default()),
        }
        self.check_nesting()
    }

    fn check_nesting(&self) -> Result<(), Refusal> {
        Bound::NESTING.check((self.scopes.len() + self.modules.len()) as u64)
    }

    fn end(&mut self) -> Result<(), Refusal> {
        let ended = match self.modules.pop() {
            Some(module) => Item::Module(Some(module.cost)),
            None => {
                let Some(scope) = self.scopes.pop() else { return Ok(()) };
                if self.scopes.is_empty() {
                    return whole(&scope);
                }
                let Scope { mut cost, imports, exports, .. } = scope;
                cost.work(1, 0);
                Item::Component(Some(Rc::new(Template { cost, imports, exports: Rc::new(exports) })))
            }
        };
        self.define(ended.weight())?;
        self.scope()?.push(ended);
        Ok(())
    }

    /// Counts a definition of a type, or one that is gone through along its type.
    fn define(&mut self, weight: Weight) -> Result<(), Refusal> {
        weight.check_depth()?;
        self.written.define(1, weight.size)?;
        self.scope()?.cost.work(1, weight.size);
        Ok(())
    }

    /// The component or type that is being read.
    fn scope(&mut self) -> Result<&mut Scope<'a>, Refusal> {
        self.scopes.last_mut().ok_or_else(|| Refusal::Unreadable { reason: "something follows its end".to_owned() })
    }
}

/// Checks what one instance of the outermost component takes.
fn whole(component: &Scope<'_>) -> Result<(), Refusal> {
    Bound::IMPORTS.check(component.imported_functions)?;
    Bound::EXPORTS.check(component.exports.functions)?;
    component.cost.check()
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn unreadable(error: wasmparser::Error) -> Refusal {
    Refusal::Unreadable { reason: excerpt(error.message()) }
}
