//! What only administrators of the platform may: tenants, and counts over all of them.

pub(super) mod stats;
pub(super) mod tenants;
