//! Who did what: one record for each change that somebody asked for.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::ApiKeyId;
use crate::json::Json;
use crate::name::{ActionName, TenantId, UserId};
use crate::status::{UnknownWord, words};
use crate::time::Timestamp;

words! {
    /// How it went.
    AuditOutcome {
        /// It was done.
        Done = "done",
        /// It was refused: nothing changed.
        Refused = "refused",
        /// The host could not say, or could not do it.
        Failed = "failed",
    }
}

/// Something that somebody asked for, and how it went.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Whose things it is about, in whose log it stands, whoever did it; the platform's where there is none.
    pub tenant: Option<TenantId>,
    /// Who; none if somebody at the command line.
    pub user: Option<UserId>,
    /// The key that they came in with, if it was one.
    pub key: Option<ApiKeyId>,
    /// What, such as `instance.cancel`.
    pub action: ActionName,
    /// What it was done to, such as an instance's id.
    pub target: Option<String>,
    /// How it went.
    pub outcome: AuditOutcome,
    /// The request's id, which logs and answers have too.
    pub request_id: Option<String>,
    /// More of it. Never a secret, and never data of workflows.
    pub details: Option<Json>,
}

/// A record with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Counts up over all tenants; never used again.
    pub number: u64,
    /// What was done.
    pub record: AuditRecord,
}
