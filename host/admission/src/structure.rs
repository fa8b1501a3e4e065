//! How much there is to compile, counted before anything is decoded or compiled.
//!
//! A small file can ask for much work: these bounds hold what reading and compiling cost, whatever the file's size.

use wasmparser::{Parser, Payload};

use crate::refusal::{Refusal, excerpt};

/// The most functions. A step in Python has 30,000.
const FUNCTIONS_MAX: usize = 100_000;

/// The largest function, in bytes. Compiling takes more than linear time in it.
const FUNCTION_BYTES_MAX: usize = 1 << 20;

/// How deep components and modules may lie within one another.
const NESTING_MAX: usize = 8;

/// The most modules and components inside.
const PARTS_MAX: usize = 256;

/// The most imports and exports of components, over all parts.
const LINKS_MAX: u32 = 4_096;

/// Counts, and refuses what passes a bound.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| Refusal::Unreadable { reason: excerpt(error.message()) })?;
        counts.add(&payload);
        counts.check()?;
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    functions: usize,
    function_bytes_max: usize,
    depth: usize,
    parts: usize,
    links: u32,
}

impl Counts {
    fn add(&mut self, payload: &Payload<'_>) {
        match payload {
            Payload::Version { .. } => {
                self.depth += 1;
                self.parts += 1;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => {
                self.functions += 1;
                self.function_bytes_max = self.function_bytes_max.max(body.range().len());
            }
            Payload::ComponentImportSection(imports) => self.links = self.links.saturating_add(imports.count()),
            Payload::ComponentExportSection(exports) => self.links = self.links.saturating_add(exports.count()),
            _ => {}
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        let bounds = [
            ("functions", self.functions, FUNCTIONS_MAX),
            ("bytes in one function", self.function_bytes_max, FUNCTION_BYTES_MAX),
            ("levels of components and modules", self.depth, NESTING_MAX),
            ("modules and components", self.parts, PARTS_MAX),
            ("imports and exports", self.links as usize, LINKS_MAX as usize),
        ];
        match bounds.into_iter().find(|(_, found, max)| found > max) {
            Some((what, found, max)) => Err(Refusal::TooComplex { what, found, max }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with another inside, and so on.
    fn nested(depth: usize) -> Vec<u8> {
        let header = *b"\0asm\x0d\0\x01\0";
        (1..depth).fold(header.to_vec(), |inner, _| {
            assert!(inner.len() < 128, "one byte is enough for the length");
            let section = [4, inner.len() as u8];
            [header.as_slice(), &section, &inner].concat()
        })
    }

    #[test]
    fn components_may_lie_within_one_another_and_not_without_end() {
        assert_eq!(check(&nested(NESTING_MAX)), Ok(()));
        assert!(matches!(check(&nested(NESTING_MAX + 1)), Err(Refusal::TooComplex { found: 9, max: 8, .. })));
    }
}
