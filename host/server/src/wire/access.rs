//! Tenants, keys, secrets, the audit log, and counts.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use stepcell_model::access::{ApiKey as KeyRecord, AuditEntry as Entry, Quotas as Limits, TenantRecord, TenantUse};
use stepcell_model::guard::SecretRecord;
use stepcell_model::json::Json;
use stepcell_model::time::Timestamp;
use stepcell_store::StoreStats;
use utoipa::ToSchema;

/// How much a tenant may have; null is as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Instances that are not finished.
    #[serde(deserialize_with = "read_quota")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub open_instances: Option<u64>,
    /// Starts of instances in a second.
    #[serde(deserialize_with = "read_quota")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub starts_per_second: Option<u64>,
    /// Bytes that instances, components and definitions keep.
    #[serde(deserialize_with = "read_quota")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub stored_bytes: Option<u64>,
    /// Versions of components.
    #[serde(deserialize_with = "read_quota")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub components: Option<u64>,
    /// Time on a CPU in a day of UTC, in milliseconds.
    #[serde(deserialize_with = "read_quota")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub cpu_ms_per_day: Option<u64>,
}

/// What is to change of how much a tenant may have: what is left out stays, and null is as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaChanges {
    /// Instances that are not finished.
    #[serde(deserialize_with = "read_change")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub open_instances: Option<Option<u64>>,
    /// Starts of instances in a second.
    #[serde(deserialize_with = "read_change")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub starts_per_second: Option<Option<u64>>,
    /// Bytes that instances, components and definitions keep.
    #[serde(deserialize_with = "read_change")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub stored_bytes: Option<Option<u64>>,
    /// Versions of components.
    #[serde(deserialize_with = "read_change")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub components: Option<Option<u64>>,
    /// Time on a CPU in a day of UTC, in milliseconds.
    #[serde(deserialize_with = "read_change")]
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub cpu_ms_per_day: Option<Option<u64>>,
}

impl QuotaChanges {
    /// The limits after the change.
    #[must_use]
    pub fn applied_to(self, limits: Limits) -> Limits {
        Limits {
            open_instances: self.open_instances.unwrap_or(limits.open_instances),
            starts_per_second: self.starts_per_second.unwrap_or(limits.starts_per_second),
            stored_bytes: self.stored_bytes.unwrap_or(limits.stored_bytes),
            components: self.components.unwrap_or(limits.components),
            cpu_ms_per_day: self.cpu_ms_per_day.unwrap_or(limits.cpu_ms_per_day),
        }
    }
}

/// Reads a quota that is there, be it null.
fn read_change<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    read_quota(deserializer).map(Some)
}

/// The largest quota: the last whole number up to which every reader of JSON counts alike. More is no limit at all.
const QUOTA_MAX: u64 = (1 << 53) - 1;

/// Reads a whole number, also where it is written as `5.0` or `5e3`, which JSON takes for the same.
fn read_quota<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let read = number.as_u64().or_else(|| number.as_f64().and_then(whole)).filter(|read| *read <= QUOTA_MAX);
    let refused = || Error::custom(format!("expected a whole number from 0 to {QUOTA_MAX}, found the number {number}"));
    read.map(Some).ok_or_else(refused)
}

/// The number as a whole one, if it is one that every reader of JSON counts alike.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number is whole and within the range")]
fn whole(number: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "the bound is a whole number of 53 bits")]
    let range = 0.0..=QUOTA_MAX as f64;
    (number.fract() == 0.0 && range.contains(&number)).then_some(number as u64)
}

impl From<Limits> for Quotas {
    fn from(limits: Limits) -> Self {
        let Limits { open_instances, starts_per_second, stored_bytes, components, cpu_ms_per_day } = limits;
        Self { open_instances, starts_per_second, stored_bytes, components, cpu_ms_per_day }
    }
}

impl From<Quotas> for Limits {
    fn from(quotas: Quotas) -> Self {
        let Quotas { open_instances, starts_per_second, stored_bytes, components, cpu_ms_per_day } = quotas;
        Self { open_instances, starts_per_second, stored_bytes, components, cpu_ms_per_day }
    }
}

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// `active`, or `suspended`.
    pub status: String,
    /// How much it may have.
    pub quotas: Quotas,
    /// Since when there is a record of it.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl From<&TenantRecord> for Tenant {
    fn from(record: &TenantRecord) -> Self {
        Self {
            id: record.id.to_string(),
            display_name: record.display_name.to_string(),
            status: record.status.to_string(),
            quotas: record.quotas.into(),
            created_at: record.created_at,
        }
    }
}

/// A tenant, and what it has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantDetail {
    /// The tenant.
    #[serde(flatten)]
    pub tenant: Tenant,
    /// What it has of what it may have.
    pub used: TenantUsed,
}

/// What a tenant has at this moment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantUsed {
    /// Instances that are not finished.
    pub open_instances: u64,
    /// Bytes that instances, components and definitions keep.
    pub stored_bytes: u64,
    /// Versions of components.
    pub components: u64,
    /// Versions of definitions.
    pub definitions: u64,
    /// Time on a CPU on this day of UTC, in milliseconds.
    pub cpu_ms_per_day: u64,
}

impl From<TenantUse> for TenantUsed {
    fn from(used: TenantUse) -> Self {
        Self {
            open_instances: used.open_instances,
            stored_bytes: used.stored_bytes,
            components: used.components,
            definitions: used.definitions,
            cpu_ms_per_day: used.cpu_us_of_day / 1_000,
        }
    }
}

/// An API key, without the key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// The eight characters of the key that tell it from others.
    pub prefix: String,
    /// What people call it.
    pub name: String,
    /// Whose it is; null is the platform's.
    pub tenant_id: Option<String>,
    /// Who comes in with it.
    pub user_id: String,
    /// The groups of that user.
    pub groups: Vec<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Option<String>,
    /// From when on it lets nobody in.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When somebody last came in with it, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// A key as it stands at a moment.
    #[must_use]
    pub fn at(key: &KeyRecord, now: Timestamp) -> Self {
        Self {
            id: key.id.to_string(),
            prefix: key.prefix.to_string(),
            name: key.name.to_string(),
            tenant_id: key.tenant.as_ref().map(ToString::to_string),
            user_id: key.user.to_string(),
            groups: key.groups.iter().map(ToString::to_string).collect(),
            scopes: key.scopes.iter().map(|scope| scope.to_string()).collect(),
            state: key.state(now).as_str().to_owned(),
            created_at: key.created_at,
            created_by: key.created_by.as_ref().map(ToString::to_string),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// An API key that was just made, with the key: it is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewApiKey {
    /// What is kept of it.
    #[serde(flatten)]
    pub record: ApiKey,
    /// The key itself.
    pub key: String,
}

/// A secret, without its value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Whose it is; null is of instances without a tenant.
    pub tenant_id: Option<String>,
    /// When it was set last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl From<&SecretRecord> for Secret {
    fn from(record: &SecretRecord) -> Self {
        Self {
            name: record.name.to_string(),
            tenant_id: record.tenant.as_ref().map(ToString::to_string),
            updated_at: record.updated_at,
        }
    }
}

/// Something that somebody asked for, and how it went.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    /// Counts up; a later record has a greater one.
    pub number: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// In whose name; null is the platform's.
    pub tenant_id: Option<String>,
    /// Who.
    pub user_id: Option<String>,
    /// The API key that they came in with, if it was one.
    pub key_id: Option<String>,
    /// What, such as `instance.cancel`.
    pub action: String,
    /// What it was done to: the path of it.
    pub target: Option<String>,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
    /// The id of the request.
    pub request_id: Option<String>,
    /// More of it: the status and the code of the answer.
    #[schema(value_type = Option<Object>)]
    pub details: Option<Json>,
}

impl From<&Entry> for AuditRow {
    fn from(entry: &Entry) -> Self {
        let record = &entry.record;
        Self {
            number: entry.number,
            at: record.at,
            tenant_id: record.tenant.as_ref().map(ToString::to_string),
            user_id: record.user.as_ref().map(ToString::to_string),
            key_id: record.key.as_ref().map(ToString::to_string),
            action: record.action.to_string(),
            target: record.target.clone(),
            outcome: record.outcome.to_string(),
            request_id: record.request_id.clone(),
            details: record.details.clone(),
        }
    }
}

/// How much there is of what.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Instances by status.
    pub instances: BTreeMap<String, u64>,
    /// Tasks that wait for somebody.
    pub tasks_pending: u64,
    /// Of those, the ones that should have been completed by now.
    pub tasks_overdue: u64,
    /// Versions of definitions.
    pub definitions: u64,
    /// Versions of components.
    pub components: u64,
    /// Bytes that all of it keeps.
    pub stored_bytes: u64,
    /// Letters between instances that wait to be handed over; null where one tenant was asked for.
    pub letters: Option<u64>,
}

impl From<StoreStats> for Stats {
    fn from(stats: StoreStats) -> Self {
        Self {
            instances: stats.instances.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            tasks_pending: stats.tasks_pending,
            tasks_overdue: stats.tasks_overdue,
            definitions: stats.definitions,
            components: stats.components,
            stored_bytes: stats.stored_bytes,
            letters: stats.letters,
        }
    }
}
