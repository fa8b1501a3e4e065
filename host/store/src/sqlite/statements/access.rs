//! The statements about who may come in, who did what, and what tenants have.

pub(in crate::sqlite) const SELECT_REVISION: &str = "SELECT revision FROM access";

pub(in crate::sqlite) const RAISE_REVISION: &str = "UPDATE access SET revision = revision + 1";

// Tenants.

pub(in crate::sqlite) const INSERT_TENANT: &str = "
INSERT INTO tenants (id, display_name, status, quotas, created_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";

pub(in crate::sqlite) const SELECT_TENANTS: &str = "SELECT id, display_name, status, quotas, created_at FROM tenants";

pub(in crate::sqlite) const COUNT_TENANTS: &str = "SELECT count(*) FROM tenants";

pub(in crate::sqlite) const TENANT_BY_ID: &str = "id = ?1";

pub(in crate::sqlite) const TENANTS_WITH_STATUS: &str = "status = ?";

pub(in crate::sqlite) const TENANTS_AFTER: &str = "id > ?";

pub(in crate::sqlite) const TENANTS_BY_ID: &str = "ORDER BY id LIMIT ?";

pub(in crate::sqlite) const UPDATE_TENANT: &str =
    "UPDATE tenants SET display_name = ?2, status = ?3, quotas = ?4 WHERE id = ?1";

// Keys.

pub(in crate::sqlite) const INSERT_KEY: &str = "
INSERT INTO api_keys (id, prefix, hash, name, tenant, user, groups, scopes, created_at, created_by, expires_at,
    last_used_at, revoked_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING";

pub(in crate::sqlite) const SELECT_KEYS: &str = "
SELECT id, prefix, hash, name, tenant, user, groups, scopes, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_keys";

pub(in crate::sqlite) const COUNT_KEYS: &str = "SELECT count(*) FROM api_keys";

pub(in crate::sqlite) const KEY_BY_ID: &str = "id = ?1";

pub(in crate::sqlite) const KEY_BY_PREFIX: &str = "prefix = ?1";

pub(in crate::sqlite) const OF_TENANT: &str = "tenant = ?";

pub(in crate::sqlite) const KEYS_BEFORE: &str = "id < ?";

pub(in crate::sqlite) const KEYS_NEWEST_FIRST: &str = "ORDER BY id DESC LIMIT ?";

/// As `stepcell_model::access::ApiKey::state` has it.
pub(in crate::sqlite) const COUNT_LIVE_KEYS: &str = "
SELECT count(*) FROM api_keys
WHERE tenant = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)";

pub(in crate::sqlite) const FORGET_DEAD_KEYS: &str = "
DELETE FROM api_keys WHERE id IN (
    SELECT id FROM api_keys WHERE tenant = ?1 AND (revoked_at IS NOT NULL OR expires_at <= ?2) ORDER BY id
    LIMIT max(0, (SELECT count(*) FROM api_keys WHERE tenant = ?1) - ?3))";

pub(in crate::sqlite) const REVOKE_KEY: &str =
    "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";

pub(in crate::sqlite) const NOTE_KEY_USE: &str =
    "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, ?2), ?2) WHERE id = ?1";

// The audit log.

pub(in crate::sqlite) const INSERT_AUDIT: &str = "
INSERT INTO audit (at, tenant, user, key, action, target, outcome, request_id, details)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(in crate::sqlite) const SELECT_AUDIT: &str =
    "SELECT number, at, tenant, user, key, action, target, outcome, request_id, details FROM audit";

pub(in crate::sqlite) const COUNT_AUDIT: &str = "SELECT count(*) FROM audit";

pub(in crate::sqlite) const AUDIT_OF_ACTION: &str = "action = ?";

pub(in crate::sqlite) const AUDIT_OF_USER: &str = "user = ?";

pub(in crate::sqlite) const AUDIT_SINCE: &str = "at >= ?";

pub(in crate::sqlite) const AUDIT_UNTIL: &str = "at < ?";

pub(in crate::sqlite) const AUDIT_BEFORE: &str = "number < ?";

pub(in crate::sqlite) const AUDIT_NEWEST_FIRST: &str = "ORDER BY number DESC LIMIT ?";

/// Records are as old as their numbers, but for a moment: the oldest are looked at, and no index by time is kept.
pub(in crate::sqlite) const FORGET_AUDIT: &str = "
DELETE FROM audit WHERE number IN
    (SELECT number FROM (SELECT number, at FROM audit ORDER BY number LIMIT ?2) WHERE at < ?1)";

// Requests that may be repeated.

/// Kept by triggers of `idempotency`.
pub(in crate::sqlite) const SELECT_CLAIMS_HELD: &str = "SELECT requests, bytes FROM idempotency_held WHERE tenant = ?1";

pub(in crate::sqlite) const SELECT_CLAIM: &str =
    "SELECT fingerprint, at, status, location, body FROM idempotency WHERE tenant = ?1 AND key = ?2";

pub(in crate::sqlite) const UPSERT_CLAIM: &str = "
INSERT INTO idempotency (tenant, key, fingerprint, at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = ?3, at = ?4, status = NULL, location = NULL, body = NULL";

pub(in crate::sqlite) const ANSWER_CLAIM: &str = "
UPDATE idempotency SET status = ?4, location = ?5, body = ?6
WHERE tenant = ?1 AND key = ?2 AND at = ?3 AND status IS NULL";

pub(in crate::sqlite) const DELETE_CLAIM: &str =
    "DELETE FROM idempotency WHERE tenant = ?1 AND key = ?2 AND at = ?3 AND status IS NULL";

pub(in crate::sqlite) const FORGET_CLAIMS: &str = "
DELETE FROM idempotency WHERE (tenant, key) IN
    (SELECT tenant, key FROM idempotency WHERE at < ?1 ORDER BY at LIMIT ?2)";

// How much there is.

pub(in crate::sqlite) const COUNT_OPEN_INSTANCES: &str = "
SELECT count(*) FROM instances WHERE tenant = ?1 AND status NOT IN ('completed', 'failed', 'canceled')";

pub(in crate::sqlite) const SUM_COMPONENTS: &str = "
SELECT count(*) AS count, coalesce(sum(size_bytes), 0) AS bytes FROM components WHERE ?1 IS NULL OR owner = ?1";

pub(in crate::sqlite) const SUM_DEFINITIONS: &str = "
SELECT count(*) AS count, coalesce(sum(octet_length(document)), 0) AS bytes FROM definitions
WHERE ?1 IS NULL OR owner = ?1";

pub(in crate::sqlite) const SUM_STORED_BYTES: &str =
    "SELECT coalesce(sum(stored_bytes), 0) AS bytes FROM instances WHERE tenant = ?1";

pub(in crate::sqlite) const SUM_CPU_OF_DAY: &str =
    "SELECT coalesce(sum(cpu_us), 0) FROM usage WHERE tenant = ?1 AND day = ?2";

pub(in crate::sqlite) const SUM_INSTANCES: &str = "
SELECT status, count(*) AS count, coalesce(sum(stored_bytes), 0) AS bytes FROM instances GROUP BY status";

pub(in crate::sqlite) const SUM_INSTANCES_OF: &str = "
SELECT status, count(*) AS count, coalesce(sum(stored_bytes), 0) AS bytes FROM instances WHERE tenant = ?1
GROUP BY status";

pub(in crate::sqlite) const COUNT_PENDING_TASKS: &str = "
SELECT count(*) AS count, coalesce(sum(due_at < ?2), 0) AS overdue FROM tasks
WHERE status = 'pending' AND (?1 IS NULL OR tenant = ?1)";
