//! Durable state: the store trait, in memory and on SQLite, with one conformance suite for both.
//!
//! A store knows rows, not rules: [`stepcell_model`] decides what an instance becomes, a [`WorkflowStore`] keeps it whole or
//! not at all. Reading order: [`WorkflowStore`] (what any back end promises), [`StoreError`] (what can go wrong and what to
//! do), [`MemoryStore`] and [`SqliteStore`] (the back ends), `conformance` (each promise as a test).

mod access;
mod chains;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod feed;
mod guard;
mod memory;
mod pruning;
mod query;
mod results;
mod same;
mod sizes;
mod sqlite;
mod store;
mod text;
mod upkeep;
mod webhooks;

pub use access::{AccessStore, AuditFilter, KeyFilter, KeyRoom, StoreStats, TenantChange, TenantFilter, Whose};
pub use chains::{BREAKS_LEN_MAX, CheckedChains, check_chain, check_chains, load_chain};
pub use error::StoreError;
pub use feed::{FeedStore, HistoryFilter, HistoryRow, HistoryWindow, WINDOW_LEN_MAX};
pub use guard::{GuardState, GuardStore, SecretFilter, UsageFilter};
pub use memory::MemoryStore;
pub use pruning::{PrunePace, prune_all};
pub use query::{
    Activity, Admitted, CatalogKey, Committed, ComponentFilter, DefinitionFilter, Deletion, Inserted, InstanceFilter,
    LIST_LEN_MAX, LetterKey, Owners, Page, PageLimit, TaskFilter, TaskPlace,
};
pub use sqlite::{BackedUp, BackupError, BackupProgress, Existing, Losses, Role, SqliteOptions, SqliteStore};
pub use store::WorkflowStore;
pub use upkeep::{KeptLink, Prunable, PruneFilter, Pruned, UpkeepStore};
pub use webhooks::{
    DeliveryFilter, ENDED_DELIVERIES_MAX, MadeDeliveries, PENDING_DELIVERIES_MAX, Redelivered, SubscriptionChange,
    WebhookFilter, WebhookHead, WebhookStore,
};
