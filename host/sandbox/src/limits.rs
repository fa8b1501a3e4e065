//! The memory and tables that a cell may have, summed over all of its instances.

use stepcell_model::attempt::CellLimits;
use wasmtime::ResourceLimiter;

/// Counts memory and table entries of one cell, and remembers which limit it hit.
#[derive(Debug)]
pub(crate) struct CellLimiter {
    memory_bytes_max: u64,
    table_entries_max: u64,
    memory_bytes: u64,
    memory_bytes_peak: u64,
    table_entries: u64,
    refused: Option<Refused>,
}

/// What a cell asked for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// More memory.
    Memory,
    /// More table entries.
    Table,
}

impl CellLimiter {
    pub(crate) fn new(limits: &CellLimits) -> Self {
        Self {
            memory_bytes_max: limits.memory_bytes_max.min(CellLimits::TOP.memory_bytes_max),
            table_entries_max: limits.table_entries_max.min(CellLimits::TOP.table_entries_max).into(),
            memory_bytes: 0,
            memory_bytes_peak: 0,
            table_entries: 0,
            refused: None,
        }
    }

    /// The limit that was hit last; a guest that copes with the refusal goes on all the same.
    pub(crate) const fn refused(&self) -> Option<Refused> {
        self.refused
    }

    pub(crate) const fn memory_bytes_max(&self) -> u64 {
        self.memory_bytes_max
    }

    pub(crate) const fn table_entries_max(&self) -> u64 {
        self.table_entries_max
    }

    /// The most memory that the cell had at once, in bytes.
    pub(crate) const fn memory_bytes_peak(&self) -> u64 {
        self.memory_bytes_peak
    }
}

impl ResourceLimiter for CellLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current) as u64);
        if total > self.memory_bytes_max {
            self.refused = Some(Refused::Memory);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory_bytes = total;
        self.memory_bytes_peak = self.memory_bytes_peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_entries.saturating_add(desired.saturating_sub(current) as u64);
        if total > self.table_entries_max {
            self.refused = Some(Refused::Table);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_entries = total;
        Ok(true)
    }

    // The pool holds the counts: a component that needs more is refused before it is compiled.
    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_memories_share_one_limit() {
        let mut limiter = CellLimiter::new(&CellLimits { memory_bytes_max: 100, ..CellLimits::default() });

        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(limiter.refused(), Some(Refused::Memory));
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert_eq!(limiter.memory_bytes_peak(), 100);
    }

    #[test]
    fn no_limit_rises_above_the_top() {
        let limits = CellLimits { memory_bytes_max: u64::MAX, ..CellLimits::default() };

        assert_eq!(CellLimiter::new(&limits).memory_bytes_max(), CellLimits::TOP.memory_bytes_max);
    }
}
