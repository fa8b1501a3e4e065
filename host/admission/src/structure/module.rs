//! One core module: what its functions ask of a compiler, and what an instance of it has from the start.

use wasmparser::{CompositeInnerType, FunctionBody, Operator, Payload, RecGroup, SectionLimited};

use super::bound::Bound;
use super::cost::Cost;
use super::{Written, unreadable};
use crate::refusal::Refusal;

/// The bytes of a page of memory, where a module says no other.
const PAGE_BYTES_LOG2: u32 = 16;

/// A module that is being read.
#[derive(Debug)]
pub(super) struct Module {
    /// What an instance of it takes.
    pub(super) cost: Cost,
    /// The parameters of each type; none for what is no function.
    params: Vec<u32>,
    /// The type of each function that has a body.
    functions: Vec<u32>,
    bodies: usize,
}

impl Module {
    pub(super) fn new() -> Self {
        let cost = Cost { core_instances: 1, definitions: 1, ..Cost::default() };
        Self { cost, params: Vec::new(), functions: Vec::new(), bodies: 0 }
    }

    /// Takes in a part of the module.
    pub(super) fn read(&mut self, payload: &Payload<'_>, written: &mut Written) -> Result<(), Refusal> {
        match payload {
            Payload::TypeSection(types) => self.types(types.clone(), written),
            Payload::FunctionSection(functions) => self.functions(functions.clone(), written),
            Payload::CodeSectionEntry(body) => self.body(body, written),
            Payload::ImportSection(imports) => {
                // Each instance of the module looks for what it imports.
                self.cost.work(imports.count().into(), 0);
                written.define(imports.count().into(), 0)
            }
            Payload::ExportSection(exports) => written.define(exports.count().into(), 0),
            Payload::GlobalSection(globals) => written.define(globals.count().into(), 0),
            Payload::ElementSection(segments) => written.define(segments.count().into(), 0),
            Payload::DataSection(segments) => written.define(segments.count().into(), 0),
            Payload::TagSection(tags) => written.define(tags.count().into(), 0),
            Payload::TableSection(tables) => {
                for table in tables.clone() {
                    self.cost.tables += 1;
                    let entries = table.map_err(unreadable)?.ty.initial;
                    self.cost.table_entries = self.cost.table_entries.saturating_add(entries);
                }
                written.define(tables.count().into(), 0)
            }
            Payload::MemorySection(memories) => {
                for memory in memories.clone() {
                    let memory = memory.map_err(unreadable)?;
                    self.cost.memories += 1;
                    let page_bytes_log2 = memory.page_size_log2.unwrap_or(PAGE_BYTES_LOG2);
                    let bytes = memory.initial.saturating_mul(1_u64.checked_shl(page_bytes_log2).unwrap_or(u64::MAX));
                    self.cost.memory_bytes = self.cost.memory_bytes.saturating_add(bytes);
                }
                written.define(memories.count().into(), 0)
            }
            _ => Ok(()),
        }
    }

    fn types(&mut self, groups: SectionLimited<'_, RecGroup>, written: &mut Written) -> Result<(), Refusal> {
        for group in groups {
            for ty in group.map_err(unreadable)?.types() {
                let (params, size) = match &ty.composite_type.inner {
                    CompositeInnerType::Func(func) => (func.params().len(), func.params().len() + func.results().len()),
                    CompositeInnerType::Struct(fields) => (0, fields.fields.len()),
                    CompositeInnerType::Array(_) | CompositeInnerType::Cont(_) => (0, 1),
                };
                written.define(1, size as u64)?;
                self.params.push(u32::try_from(params).unwrap_or(u32::MAX));
            }
        }
        Ok(())
    }

    fn functions(&mut self, functions: SectionLimited<'_, u32>, written: &mut Written) -> Result<(), Refusal> {
        written.functions = written.functions.saturating_add(functions.count().into());
        Bound::FUNCTIONS.check(written.functions)?;
        for ty in functions {
            self.functions.push(ty.map_err(unreadable)?);
        }
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>, written: &mut Written) -> Result<(), Refusal> {
        Bound::FUNCTION_BYTES.check(body.range().len() as u64)?;
        // A body without a declaration is refused when the module is validated.
        let ty = self.functions.get(self.bodies).and_then(|ty| self.params.get(*ty as usize));
        self.bodies += 1;
        let mut locals = ty.map_or(0, |params| u64::from(*params));
        for run in body.get_locals_reader().map_err(unreadable)? {
            let (count, _) = run.map_err(unreadable)?;
            locals = locals.saturating_add(count.into());
        }
        Bound::FUNCTION_LOCALS.check(locals)?;
        written.locals = written.locals.saturating_add(locals);
        Bound::LOCALS.check(written.locals)?;
        // A byte branches once at most, so that most functions need no closer look.
        if locals.saturating_mul(body.range().len() as u64) > Bound::FLOW.max {
            Bound::FLOW.check(locals.saturating_mul(branches(body)?))?;
        }
        Ok(())
    }
}

/// The ways that control may take in a function.
fn branches(body: &FunctionBody<'_>) -> Result<u64, Refusal> {
    let mut operators = body.get_operators_reader().map_err(unreadable)?;
    let mut branches = 1_u64;
    while !operators.eof() {
        let more = match operators.read().map_err(unreadable)? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::Br { .. } => 1,
            Operator::If { .. } | Operator::BrIf { .. } => 2,
            Operator::BrTable { targets } => u64::from(targets.len()).saturating_add(1),
            _ => 0,
        };
        branches = branches.saturating_add(more);
    }
    Ok(branches)
}
