//! Who may come in, and how much of the host they may have: tenants, their quotas, API keys, and the record of who did what.
//!
//! What is here are records and the rules that need nothing but them. Who checks them, and when, is for others to say.

mod audit;
mod idempotency;
mod key;
mod quota;
mod scope;
mod tenant;

pub use self::audit::{AuditEntry, AuditOutcome, AuditRecord};
pub use self::idempotency::{
    Fingerprint, IDEMPOTENCY_KEPT_FOR, IDEMPOTENCY_LEASE, IdempotencyClaim, IdempotencyRecord, IdempotencyRoom,
    KeptAnswer, Reservation,
};
pub use self::key::{ApiKey, ApiKeyId, KEY_RANDOM_BYTES, KeyHash, KeyPrefix, KeyState, KeyText, MalformedKey};
pub use self::quota::{Quota, Quotas};
pub use self::scope::{Scope, Scopes};
pub use self::tenant::{TenantRecord, TenantStatus, TenantUse};
