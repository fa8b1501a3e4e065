//! What only administrators of the platform may: tenants, components that may not run, and counts over all.

pub(super) mod blocked;
pub(super) mod stats;
pub(super) mod tenants;
