//! How much a component may ask for: one list, each with what it protects.

use crate::refusal::Refusal;

/// The most that a component may ask for of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// Its stable name.
    pub name: &'static str,
    /// What is counted, as it follows a number in a sentence.
    pub what: &'static str,
    /// The most there may be.
    pub max: u64,
    /// What it protects.
    pub protects: &'static str,
}

/// Declares the bounds, and the list of them.
macro_rules! bounds {
    ($($const:ident = $name:literal, $max:expr, $what:literal, $protects:literal;)+) => {
        impl Bound {
            $(
                #[doc = concat!("The most ", $what, ". Protects ", $protects, ".")]
                pub const $const: Self = Self { name: $name, what: $what, max: $max, protects: $protects };
            )+

            /// Every bound.
            pub const ALL: &'static [Self] = &[$(Self::$const),+];
        }
    };
}

// Measured in November 2026, the most that a step needs that componentize-js or componentize-py made: 18 MiB, 17 parts,
// 14,000 definitions, 26,000 parts of types in 9 levels, 113 imported functions, 13,400 functions of at most 0.4 MiB,
// 273 local variables in one and 87,000 in all, 730,000 times branches, 14 instances, 2 tables with 7,800 entries.
bounds! {
    NESTING = "nesting", 8, "levels of components, modules and types within one another",
        "the stack of whatever reads a component";
    PARTS = "parts", 256, "modules and components", "the time and memory of reading";
    DEFINITIONS = "definitions", 100_000, "definitions, each counted as often as it is instantiated",
        "the time and memory of reading and linking";
    TYPE_SIZE = "type-size", 250_000, "parts of types, each counted wherever it is used",
        "the time and memory of checking types, and of the code that converts between them";
    TYPE_DEPTH = "type-depth", 64, "levels of types within one another", "the stack of whatever reads types";
    NAME_BYTES = "name-bytes", 1_024, "bytes in the name of an import or export", "the store, and whoever reads lists";
    IMPORTS = "imports", 512, "imported functions", "the time and memory of linking";
    EXPORTS = "exports", 512, "exported functions", "the time and memory of linking";
    FUNCTIONS = "functions", 100_000, "functions", "the time and memory of compiling";
    FUNCTION_BYTES = "function-bytes", 1 << 20, "bytes in one function",
        "the time of compiling, which takes more than linear time in it";
    FUNCTION_LOCALS = "function-locals", 10_000, "local variables in one function", "the memory of compiling";
    LOCALS = "locals", 2_000_000, "local variables in all functions", "the time of compiling: a few bytes declare many";
    FLOW = "flow", 1 << 23, "local variables times branches in one function",
        "the memory of compiling, which follows each variable through each branch";
    CORE_INSTANCES = "core-instances", 256, "instances of modules", "the pool of cells";
    MEMORIES = "memories", 8, "memories", "the address space, of which each takes 4 GiB";
    MEMORY_BYTES = "memory-bytes", 512 << 20, "bytes of memory from the start", "the memory of the host";
    TABLES = "tables", 128, "tables", "the pool of cells";
    TABLE_ENTRIES = "table-entries", 50_000, "table entries from the start", "the memory of the host";
}

impl Bound {
    /// Refuses what passes the bound.
    pub(crate) const fn check(self, found: u64) -> Result<(), Refusal> {
        if found > self.max { Err(Refusal::TooComplex { bound: self, found }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use stepcell_model::attempt::CellLimits;

    use super::*;

    #[test]
    fn what_a_component_has_from_the_start_fits_the_largest_cell() {
        assert_eq!(Bound::MEMORY_BYTES.max, CellLimits::TOP.memory_bytes_max);
        assert_eq!(Bound::TABLE_ENTRIES.max, u64::from(CellLimits::TOP.table_entries_max));
    }

    #[test]
    fn a_bound_holds_itself_and_no_more() {
        for bound in Bound::ALL {
            assert_eq!(bound.check(bound.max), Ok(()));
            let refusal = bound.check(bound.max + 1).unwrap_err();
            assert!(refusal.to_string().contains(bound.what), "{refusal}");
        }
    }
}
