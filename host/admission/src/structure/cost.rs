//! What instantiating a module or a component takes, with all that it instantiates in turn.

use super::bound::Bound;
use crate::refusal::Refusal;

/// What one instantiation takes. Sums saturate: a component may multiply past any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Instances of modules.
    pub(super) core_instances: u64,
    /// Memories that are made.
    pub(super) memories: u64,
    /// Bytes that they have from the start.
    pub(super) memory_bytes: u64,
    /// Tables that are made.
    pub(super) tables: u64,
    /// Entries that they have from the start.
    pub(super) table_entries: u64,
    /// Whatever else is gone through: instances, aliases, arguments, functions.
    pub(super) definitions: u64,
    /// The parts of the types that are gone through.
    pub(super) type_size: u64,
}

impl Cost {
    /// Adds what another instantiation takes.
    pub(super) const fn add(&mut self, other: &Self) {
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        self.tables = self.tables.saturating_add(other.tables);
        self.table_entries = self.table_entries.saturating_add(other.table_entries);
        self.work(other.definitions, other.type_size);
    }

    /// Adds definitions, and the parts of the types that belong to them.
    pub(super) const fn work(&mut self, definitions: u64, type_size: u64) {
        self.definitions = self.definitions.saturating_add(definitions);
        self.type_size = self.type_size.saturating_add(type_size);
    }

    /// Refuses what no cell could hold.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        Bound::CORE_INSTANCES.check(self.core_instances)?;
        Bound::MEMORIES.check(self.memories)?;
        Bound::MEMORY_BYTES.check(self.memory_bytes)?;
        Bound::TABLES.check(self.tables)?;
        Bound::TABLE_ENTRIES.check(self.table_entries)?;
        self.check_work()
    }

    /// Refuses what would take too long to go through.
    pub(super) fn check_work(&self) -> Result<(), Refusal> {
        Bound::DEFINITIONS.check(self.definitions)?;
        Bound::TYPE_SIZE.check(self.type_size)
    }
}
