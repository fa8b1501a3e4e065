//! Statements of outgoing webhooks.

pub(in crate::sqlite) const SELECT_HEAD: &str = "SELECT revision, position FROM webhook_head";

pub(in crate::sqlite) const RAISE_HEAD: &str = "UPDATE webhook_head SET revision = revision + 1";

pub(in crate::sqlite) const MOVE_HEAD: &str =
    "UPDATE webhook_head SET position = ?3 WHERE revision = ?1 AND position = ?2";

pub(in crate::sqlite) const INSERT_WEBHOOK: &str = "
INSERT INTO webhooks (id, tenant, url, types, workflow, description, is_active, stopped, secret, former_secret,
    former_until, created_at, created_by, since)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, (SELECT coalesce(max(position), 0) FROM history))";

pub(in crate::sqlite) const UPDATE_WEBHOOK: &str = "
UPDATE webhooks SET url = ?2, types = ?3, workflow = ?4, description = ?5, stopped = ?7, secret = ?8,
    former_secret = ?9, former_until = ?10, is_active = ?6, since = CASE WHEN ?6 AND NOT is_active
        THEN (SELECT coalesce(max(position), 0) FROM history) ELSE since END
WHERE id = ?1";

pub(in crate::sqlite) const DELETE_DELIVERIES_OF: &str =
    "DELETE FROM webhook_deliveries WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1)";

pub(in crate::sqlite) const DELETE_WEBHOOK: &str = "DELETE FROM webhooks WHERE id = ?1";

pub(in crate::sqlite) const SELECT_WEBHOOKS: &str = "
SELECT id, tenant, url, types, workflow, description, is_active, stopped, since, created_at, created_by, secret,
    former_secret, former_until
FROM webhooks";

pub(in crate::sqlite) const WEBHOOK_BY_ID: &str = "id = ?1";

pub(in crate::sqlite) const WEBHOOKS_AFTER: &str = "(?1 IS NULL OR id > ?1) ORDER BY id LIMIT ?2";

pub(in crate::sqlite) const WEBHOOKS_OF_TENANT_AFTER: &str =
    "(?1 IS NULL OR id > ?1) AND tenant = ?3 ORDER BY id LIMIT ?2";

pub(in crate::sqlite) const COUNT_WEBHOOKS: &str = "SELECT count(*) AS count FROM webhooks";

/// Of the platform, which is no tenant, too.
pub(in crate::sqlite) const COUNT_WEBHOOKS_OF: &str = "SELECT count(*) AS count FROM webhooks WHERE tenant IS ?1";

pub(in crate::sqlite) const COUNT_WEBHOOKS_OF_TENANT: &str = "SELECT count(*) AS count FROM webhooks WHERE tenant = ?1";

pub(in crate::sqlite) const LIST_WAITING_WEBHOOKS: &str = "
SELECT id FROM webhooks w WHERE is_active
    AND EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook = w.key AND status = 'pending')
ORDER BY id";

pub(in crate::sqlite) const COUNT_PENDING: &str = "
SELECT count(*) AS count FROM webhook_deliveries
WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1) AND status = 'pending'";

pub(in crate::sqlite) const INSERT_DELIVERY: &str = "
INSERT INTO webhook_deliveries (id, webhook, position, event, event_type, body, status, attempts, next_attempt_at,
    last_status, last_error, created_at, ended_at)
SELECT ?1, key, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 FROM webhooks WHERE id = ?2
ON CONFLICT DO NOTHING";

pub(in crate::sqlite) const PUT_ATTEMPT: &str = "
UPDATE webhook_deliveries SET status = ?2, attempts = ?3, next_attempt_at = ?4, last_status = ?5, last_error = ?6,
    ended_at = ?7
WHERE id = ?1 AND status = 'pending' AND attempts = ?3 - 1";

pub(in crate::sqlite) const GIVE_UP_PENDING: &str = "
UPDATE webhook_deliveries SET status = 'dead', next_attempt_at = NULL, last_error = ?2, ended_at = ?3
WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1) AND status = 'pending'";

/// What ended begins anew; of what waits the attempts still count, so that what comes of one under way is kept.
pub(in crate::sqlite) const REDELIVER_ONE: &str = "
UPDATE webhook_deliveries SET status = 'pending', attempts = iif(status = 'pending', attempts, 0),
    next_attempt_at = min(ifnull(next_attempt_at, ?2), ?2), ended_at = NULL
WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1) AND id = ?3";

pub(in crate::sqlite) const REDELIVER_DEAD: &str = "
UPDATE webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = ?2, ended_at = NULL
WHERE key IN (SELECT key FROM webhook_deliveries WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1)
    AND status = 'dead' AND ended_at >= ?3 ORDER BY key LIMIT ?4)";

pub(in crate::sqlite) const SELECT_DELIVERIES: &str = "
SELECT d.key, d.id, w.id AS webhook_id, d.position, d.event, d.event_type, d.body, d.status, d.attempts,
    d.next_attempt_at, d.last_status, d.last_error, d.created_at, d.ended_at
FROM webhook_deliveries d JOIN webhooks w ON w.key = d.webhook";

pub(in crate::sqlite) const DELIVERY_BY_ID: &str = "d.id = ?1";

pub(in crate::sqlite) const DELIVERIES_LATEST_FIRST: &str =
    "w.id = ?1 AND (?2 IS NULL OR d.key < ?2) AND (?3 IS NULL OR d.status = ?3) ORDER BY d.key DESC LIMIT ?4";

pub(in crate::sqlite) const COUNT_DELIVERIES: &str = "
SELECT count(*) AS count FROM webhook_deliveries
WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1) AND (?2 IS NULL OR status = ?2)";

pub(in crate::sqlite) const DELIVERIES_PENDING: &str =
    "w.id = ?1 AND d.status = 'pending' ORDER BY d.next_attempt_at, d.key LIMIT ?2";

pub(in crate::sqlite) const FORGET_ENDED_BEFORE: &str = "
DELETE FROM webhook_deliveries
WHERE key IN (SELECT key FROM webhook_deliveries WHERE ended_at IS NOT NULL AND ended_at < ?1 LIMIT ?2)";

pub(in crate::sqlite) const FORGET_BEYOND: &str = "
DELETE FROM webhook_deliveries
WHERE key IN (SELECT key FROM webhook_deliveries WHERE webhook = (SELECT key FROM webhooks WHERE id = ?1)
    AND status = ?2 ORDER BY key DESC LIMIT ?3 OFFSET ?4)";

pub(in crate::sqlite) const LIST_WEBHOOK_IDS: &str = "SELECT id FROM webhooks ORDER BY id";
