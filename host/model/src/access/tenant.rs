//! Tenants: who supplies workflows and owns what comes of them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quota::Quotas;
use crate::name::{Label, TenantId};
use crate::status::{UnknownWord, words};
use crate::time::Timestamp;

words! {
    /// Whether a tenant may work.
    TenantStatus {
        /// It may.
        Active = "active",
        /// Nobody comes in with its keys, and nothing of it is started; what runs goes on.
        Suspended = "suspended",
    }
}

/// A tenant as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRecord {
    /// Its id, which never changes.
    pub id: TenantId,
    /// What people call it.
    pub display_name: Label,
    /// Whether it may work.
    pub status: TenantStatus,
    /// How much of the host it may have.
    pub quotas: Quotas,
    /// Since when there is a record of it.
    pub created_at: Timestamp,
}

impl TenantRecord {
    /// An active tenant without quotas that is called by its id.
    ///
    /// # Errors
    /// [`MalformedName`](crate::name::MalformedName) if its id can not be shown as a name.
    pub fn new(id: TenantId, created_at: Timestamp) -> Result<Self, crate::name::MalformedName> {
        let display_name = Label::new(&id)?;
        Ok(Self { id, display_name, status: TenantStatus::Active, quotas: Quotas::default(), created_at })
    }

    /// Whether it is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.status == TenantStatus::Suspended
    }
}

/// What a tenant has of the host at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantUse {
    /// Instances that are not finished.
    pub open_instances: u64,
    /// Versions of components of its own.
    pub components: u64,
    /// Versions of definitions of its own.
    pub definitions: u64,
    /// Bytes that its instances, its components and its definitions keep.
    pub stored_bytes: u64,
    /// Time on a CPU that attempts used on the day that was asked for, in microseconds.
    pub cpu_us_of_day: u64,
}
