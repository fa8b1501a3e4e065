//! Every SQL statement, by name.

pub(super) mod access;
pub(super) mod feed;
pub(super) mod upkeep;
pub(super) mod webhooks;

pub(super) const CREATE_SCHEMA_VERSION: &str = "
CREATE TABLE IF NOT EXISTS schema_version (
    number      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    script      TEXT NOT NULL,
    applied_at  INTEGER NOT NULL
) STRICT";

pub(super) const LIST_SCHEMA_VERSIONS: &str = "SELECT number, script FROM schema_version ORDER BY number";

pub(super) const INSERT_SCHEMA_VERSION: &str =
    "INSERT INTO schema_version (number, name, script, applied_at) VALUES (?1, ?2, ?3, ?4)";

// What one transition writes.

pub(super) const INSERT_INSTANCE: &str = "
INSERT INTO instances (id, definition, seq, status, current_step, completed_at, wake_at, started_at, tenant, created_by,
    correlation_id, idempotency_key, control, error, result, chain, stored_bytes)
SELECT ?1, key, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16 FROM definitions WHERE id = ?2
ON CONFLICT DO NOTHING
RETURNING key";

pub(super) const INSERT_START: &str = "
INSERT INTO starts (instance, input, metadata, parent, parent_execution, parent_depth, callback_secret)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub(super) const UPDATE_INSTANCE: &str = "
UPDATE instances SET seq = ?2, status = ?4, current_step = ?5, completed_at = ?6, wake_at = ?7, control = ?8,
    error = ?9, result = ?10, chain = ?11, stored_bytes = stored_bytes + ?12
WHERE id = ?1 AND seq = ?3
RETURNING key";

pub(super) const UPSERT_EXECUTION: &str = "
INSERT INTO executions (instance, number, step, step_type, status, attempts, started_at, completed_at, ended_order,
    assigned_to, completed_by, failure, input, output, part_of, item)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT (instance, number) DO UPDATE SET step = ?3, step_type = ?4, status = ?5, attempts = ?6, started_at = ?7,
    completed_at = ?8, ended_order = ?9, assigned_to = ?10, completed_by = ?11, failure = ?12, input = ?13, output = ?14,
    part_of = ?15, item = ?16";

pub(super) const UPSERT_CONTEXT_VALUE: &str = "
INSERT INTO context_values (instance, key, value) VALUES (?1, ?2, ?3)
ON CONFLICT (instance, key) DO UPDATE SET value = ?3";

pub(super) const DELETE_CONTEXT_VALUE: &str = "DELETE FROM context_values WHERE instance = ?1 AND key = ?2";

pub(super) const UPSERT_TASK: &str = r#"
INSERT INTO tasks (id, instance, execution, step, tenant, title, description, form_schema, assignee, "group", due_at,
    reminder_at, status, created_at, completed_at, completed_by, comment)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT (id) DO UPDATE SET step = ?4, tenant = ?5, title = ?6, description = ?7, form_schema = ?8, assignee = ?9,
    "group" = ?10, due_at = ?11, reminder_at = ?12, status = ?13, created_at = ?14, completed_at = ?15,
    completed_by = ?16, comment = ?17"#;

pub(super) const UPSERT_MESSAGE: &str = "
INSERT INTO messages (instance, number, step, payload) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (instance, number) DO UPDATE SET step = ?3, payload = ?4";

pub(super) const DELETE_MESSAGE: &str = "DELETE FROM messages WHERE instance = ?1 AND number = ?2";

pub(super) const INSERT_LETTER: &str = "INSERT INTO letters (letter) VALUES (?1)";

pub(super) const INSERT_HISTORY: &str =
    "INSERT INTO history (instance, seq, at, events, chain) VALUES (?1, ?2, ?3, ?4, ?5)";

// Why a transition was not written.

pub(super) const FIND_INSTANCE_SEQ: &str = "SELECT seq FROM instances WHERE id = ?1";

pub(super) const FIND_INSTANCE_BY_IDEMPOTENCY_KEY: &str = "
SELECT id FROM instances WHERE coalesce(tenant, '') = coalesce(?1, '') AND idempotency_key = ?2
    AND idempotency_key IS NOT NULL";

// Instances.

pub(super) const SELECT_INSTANCES: &str = "
SELECT i.key, i.id, d.id AS definition, d.name AS workflow_name, d.version AS workflow_version, s.input, s.metadata,
    i.tenant, i.created_by, i.correlation_id, i.idempotency_key, i.started_at, i.seq, i.status, i.current_step,
    i.completed_at, i.wake_at, i.control, i.error, i.result, i.chain, s.parent, s.parent_execution, s.parent_depth,
    s.callback_secret
FROM instances i JOIN definitions d ON d.key = i.definition JOIN starts s ON s.instance = i.key";

pub(super) const INSTANCE_BY_ID: &str = "i.id = ?1";

pub(super) const COUNT_INSTANCES: &str = "SELECT count(*) FROM instances i";

// Conditions of a filter, each with one value.

pub(super) const INSTANCES_OF_WORKFLOW: &str = "i.definition IN (SELECT key FROM definitions WHERE name = ?)";

pub(super) const INSTANCES_OF_TENANT: &str = "i.tenant = ?";

/// As the one before, where another condition leaves fewer: its index is the one to use.
pub(super) const INSTANCES_OF_TENANT_TOO: &str = "+i.tenant = ?";

pub(super) const INSTANCES_OF_USER: &str = "i.created_by = ?";

pub(super) const INSTANCES_OF_CORRELATION_ID: &str = "i.correlation_id = ?";

pub(super) const INSTANCES_OF_PARENT: &str = "i.key IN (SELECT instance FROM starts WHERE parent = ?)";

pub(super) const INSTANCES_AFTER: &str = "i.id < ?";

pub(super) const INSTANCES_WITH_STATUS: &str = "i.status IN (SELECT value FROM json_each(?))";

pub(super) const INSTANCES_NEWEST_FIRST: &str = "ORDER BY i.id DESC LIMIT ? OFFSET ?";

pub(super) const LIST_CONTEXT_VALUES: &str = "
SELECT c.key, c.value FROM context_values c JOIN instances i ON i.key = c.instance WHERE i.id = ?1";

pub(super) const LIST_RESULTS: &str = "
SELECT number, CASE WHEN output IS NULL AND ended_order IS NULL THEN input ELSE output END AS result FROM executions
WHERE instance = ?1 AND number IN (SELECT value FROM json_each(?2))";

pub(super) const LIST_MESSAGES: &str = "SELECT number, step, payload FROM messages WHERE instance = ?1 ORDER BY number";

pub(super) const LIST_EXECUTIONS: &str = "
SELECT e.*, i.id FROM executions e JOIN instances i ON i.key = e.instance WHERE i.id = ?1
ORDER BY e.ended_order NULLS LAST, e.number";

pub(super) const LIST_FAILED_EXECUTIONS: &str = "
SELECT e.*, i.id FROM executions e JOIN instances i ON i.key = e.instance WHERE e.status = 'failed'
ORDER BY e.completed_at DESC, i.id DESC, e.number DESC LIMIT ?1";

pub(super) const LIST_FAILED_EXECUTIONS_OF: &str = "
SELECT e.*, i.id FROM executions e JOIN instances i ON i.key = e.instance WHERE i.id = ?2 AND e.status = 'failed'
ORDER BY e.completed_at DESC, e.number DESC LIMIT ?1";

// History.

pub(super) const LIST_HISTORY_OF: &str = "
SELECT h.position, h.seq, h.at, h.events, i.id FROM history h JOIN instances i ON i.key = h.instance
WHERE i.id = ?1 AND h.seq > ?2 ORDER BY h.seq LIMIT ?3";

pub(super) const LIST_HISTORY_AFTER: &str = "
SELECT h.position, h.seq, h.at, h.events, i.id FROM history h JOIN instances i ON i.key = h.instance
WHERE h.position > ?1 ORDER BY h.position LIMIT ?2";

pub(super) const LAST_POSITION: &str = "SELECT position FROM history ORDER BY position DESC LIMIT 1";

// Tasks.

pub(super) const SELECT_TASKS: &str =
    r#"SELECT t.*, i.id AS instance_id FROM tasks t JOIN instances i ON i.key = t.instance"#;

pub(super) const COUNT_TASKS: &str = "SELECT count(*) FROM tasks t";

pub(super) const TASK_BY_ID: &str = "t.id = ?1";

pub(super) const PENDING_TASKS_OF_INSTANCE: &str = "t.instance = ?1 AND t.status = 'pending'";

pub(super) const TASKS_OF_INSTANCE: &str = "t.instance = (SELECT key FROM instances WHERE id = ?)";

pub(super) const TASKS_FOR_ASSIGNEE: &str = "(t.assignee IS NULL OR t.assignee = ?)";

pub(super) const TASKS_FOR_GROUP: &str = r#"(t."group" IS NULL OR t."group" = ?)"#;

pub(super) const TASKS_WITH_STATUS: &str = "t.status = ?";

pub(super) const TASKS_OVERDUE: &str = "t.status = 'pending' AND t.due_at < ?";

pub(super) const TASKS_OF_TENANT: &str = "t.tenant = ?";

pub(super) const TASKS_AFTER_ONE_WITH_DUE_TIME: &str =
    "(t.due_at IS NULL OR (t.due_at, t.created_at, t.id) > (?, ?, ?))";

pub(super) const TASKS_AFTER_ONE_WITHOUT_DUE_TIME: &str = "t.due_at IS NULL AND (t.created_at, t.id) > (?, ?)";

pub(super) const TASKS_BY_DUE_TIME: &str = "ORDER BY t.due_at NULLS LAST, t.created_at, t.id LIMIT ? OFFSET ?";

// Scheduling.

pub(super) const INSERT_NUDGE: &str = "INSERT OR IGNORE INTO nudges (instance) VALUES (?1)";

pub(super) const FIND_NUDGE: &str = "SELECT 1 FROM nudges LIMIT 1";

pub(super) const TAKE_NUDGES: &str =
    "DELETE FROM nudges RETURNING (SELECT id FROM instances WHERE key = nudges.instance) AS id";

pub(super) const LIST_RUNNING: &str =
    "SELECT id, seq FROM instances WHERE status = 'running' AND id > ?1 ORDER BY id LIMIT ?2";

pub(super) const LIST_DUE: &str = "
SELECT wake_at, id FROM instances WHERE wake_at IS NOT NULL AND wake_at <= ?1 AND (wake_at, id) > (?3, ?4)
    AND status NOT IN ('completed', 'failed', 'canceled', 'paused')
ORDER BY wake_at, id LIMIT ?2";

pub(super) const NEXT_WAKE: &str = "
SELECT wake_at FROM instances WHERE wake_at IS NOT NULL
    AND status NOT IN ('completed', 'failed', 'canceled', 'paused')
ORDER BY wake_at LIMIT 1";

// Letters.

pub(super) const LIST_LETTERS: &str = "SELECT key, letter FROM letters ORDER BY key LIMIT ?1";

pub(super) const COUNT_LETTERS: &str = "SELECT count(*) FROM letters";

pub(super) const DELETE_LETTERS: &str = "DELETE FROM letters WHERE key IN (SELECT value FROM json_each(?1))";

// Components and definitions.

pub(super) const INSERT_COMPONENT_BYTES: &str =
    "INSERT INTO component_bytes (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

pub(super) const INSERT_COMPONENT: &str = "
INSERT INTO components (name, version, bytes, manifest, size_bytes, created_at, exports, capabilities, owner)
SELECT ?1, ?2, key, ?4, ?5, ?6, ?7, ?8, ?9 FROM component_bytes WHERE digest = ?3";

pub(super) const SELECT_COMPONENTS: &str = "
SELECT c.name, c.version, b.digest, c.manifest, c.size_bytes, c.created_at, c.exports, c.capabilities, c.owner
FROM components c JOIN component_bytes b ON b.key = c.bytes";

pub(super) const SELECT_COMPONENT_KEYS: &str = "SELECT c.key, c.owner, c.name, c.version FROM components c";

pub(super) const COMPONENT_BY_VERSION: &str = "c.owner = ?1 AND c.name = ?2 AND c.version = ?3";

pub(super) const COMPONENT_BY_DIGEST: &str = "b.digest = ?1 ORDER BY c.key LIMIT 1";

pub(super) const COMPONENT_BY_DIGEST_OF: &str = "b.digest = ?1 AND c.owner = ?2 ORDER BY c.key LIMIT 1";

pub(super) const COMPONENT_BY_DIGEST_SEEN_BY: &str =
    "b.digest = ?1 AND c.owner IN ('', ?2) ORDER BY c.owner = '', c.key LIMIT 1";

pub(super) const COMPONENTS_BY_KEY: &str = "c.key IN (SELECT value FROM json_each(?1))";

// Conditions of a filter, each with one value.

pub(super) const COMPONENTS_OF_NAME: &str = "c.name = ?";

pub(super) const COMPONENTS_OF_DIGEST: &str = "c.bytes = (SELECT b.key FROM component_bytes b WHERE b.digest = ?)";

pub(super) const COMPONENTS_OF_OWNER: &str = "c.owner = ?";

pub(super) const COMPONENTS_OF_OWNER_OR_SHARED: &str = "c.owner IN ('', ?)";

pub(super) const COMPONENTS_NOT_HIDDEN: &str =
    "(c.owner <> '' OR NOT EXISTS (SELECT 1 FROM components own WHERE own.owner = ? AND own.name = c.name))";

pub(super) const LOAD_COMPONENT_BYTES: &str = "SELECT bytes FROM component_bytes WHERE digest = ?1";

pub(super) const INSERT_DEFINITION: &str = "
INSERT INTO definitions (id, name, version, description, document, components, is_active, created_at, pure_steps, owner)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

pub(super) const SELECT_DEFINITIONS: &str = "
SELECT d.id, d.owner, d.name, d.version, d.description, d.document, d.components, d.is_active, d.created_at, d.pure_steps
FROM definitions d";

pub(super) const SELECT_DEFINITION_SUMMARIES: &str = "
SELECT d.id, d.owner, d.name, d.version, d.description, d.is_active, d.created_at FROM definitions d";

pub(super) const SELECT_VERSIONS: &str = "SELECT d.id, d.owner, d.name, d.version, d.is_active FROM definitions d";

pub(super) const COUNT_VERSIONS: &str = "SELECT count(*) FROM definitions WHERE owner = ?1 AND name = ?2";

pub(super) const SELECT_DEFINITION_KEYS: &str = "SELECT d.key, d.owner, d.name, d.version FROM definitions d";

pub(super) const DEFINITION_BY_VERSION: &str = "d.owner = ?1 AND d.name = ?2 AND d.version = ?3";

pub(super) const DEFINITION_BY_ID: &str = "d.id = ?1";

pub(super) const DEFINITIONS_BY_KEY: &str = "d.key IN (SELECT value FROM json_each(?1))";

// Conditions of a filter, each with one value.

pub(super) const DEFINITIONS_OF_NAME: &str = "d.name = ?";

pub(super) const DEFINITIONS_OF_ACTIVITY: &str = "d.is_active = ?";

pub(super) const DEFINITIONS_OF_OWNER: &str = "d.owner = ?";

pub(super) const DEFINITIONS_OF_OWNER_OR_SHARED: &str = "d.owner IN ('', ?)";

pub(super) const DEFINITIONS_NOT_HIDDEN: &str =
    "(d.owner <> '' OR NOT EXISTS (SELECT 1 FROM definitions own WHERE own.owner = ? AND own.name = d.name))";

pub(super) const SET_DEFINITION_ACTIVE: &str =
    "UPDATE definitions SET is_active = ?4 WHERE owner = ?1 AND name = ?2 AND version = ?3";

pub(super) const FIND_DEFINITION_KEY: &str =
    "SELECT key FROM definitions WHERE owner = ?1 AND name = ?2 AND version = ?3";

pub(super) const COUNT_INSTANCES_OF_DEFINITION: &str = "SELECT count(*) FROM instances WHERE definition = ?1";

pub(super) const DELETE_DEFINITION: &str = "DELETE FROM definitions WHERE key = ?1";

// Safety.

pub(super) const SELECT_GUARD: &str = "SELECT revision, policy FROM guard";

pub(super) const RAISE_GUARD: &str = "UPDATE guard SET revision = revision + 1";

pub(super) const UPDATE_POLICY: &str = "UPDATE guard SET policy = ?1";

pub(super) const SELECT_BLOCKS: &str =
    "SELECT digest, kind, reason, blocked_by, blocked_at FROM component_blocks ORDER BY digest";

pub(super) const SELECT_BLOCK: &str =
    "SELECT digest, kind, reason, blocked_by, blocked_at FROM component_blocks WHERE digest = ?1";

pub(super) const INSERT_BLOCK: &str = "
INSERT INTO component_blocks (digest, kind, reason, blocked_by, blocked_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO NOTHING";

pub(super) const DELETE_BLOCK: &str = "DELETE FROM component_blocks WHERE digest = ?1";

pub(super) const DELETE_HOST_FAULTS: &str = "DELETE FROM host_faults WHERE digest = ?1";

pub(super) const COUNT_HOST_FAULT: &str = "
INSERT INTO host_faults (digest, count) VALUES (?1, 1) ON CONFLICT (digest) DO UPDATE SET count = count + 1
RETURNING count";

pub(super) const SELECT_SIGNATURES: &str =
    "SELECT digest, key, signature FROM component_signatures ORDER BY digest, key";

pub(super) const COUNT_SIGNATURES: &str =
    "SELECT count(*) AS count, count(*) FILTER (WHERE key = ?2) AS own FROM component_signatures WHERE digest = ?1";

pub(super) const INSERT_SIGNATURE: &str =
    "INSERT INTO component_signatures (digest, key, signature) VALUES (?1, ?2, ?3)";

pub(super) const UPSERT_SECRET: &str = "
INSERT INTO secrets (tenant, name, sealed, updated_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tenant, name) DO UPDATE SET sealed = ?3, updated_at = ?4";

pub(super) const DELETE_SECRET: &str = "DELETE FROM secrets WHERE tenant = ?1 AND name = ?2";

pub(super) const SELECT_SECRET: &str =
    "SELECT tenant, name, sealed, updated_at FROM secrets WHERE tenant = ?1 AND name = ?2";

pub(super) const COUNT_OTHER_SECRETS: &str = "SELECT count(*) AS count FROM secrets WHERE tenant = ?1 AND name <> ?2";

pub(super) const SELECT_SECRETS: &str = "SELECT tenant, name, updated_at FROM secrets";

pub(super) const COUNT_SECRETS: &str = "SELECT count(*) FROM secrets";

pub(super) const SECRETS_AFTER: &str = "(tenant, name) > (?, ?)";

pub(super) const SECRETS_BY_NAME: &str = "ORDER BY tenant, name LIMIT ?";

pub(super) const ADD_USAGE: &str = "
INSERT INTO usage (tenant, day, attempts, cpu_us, guest_us, wall_us, memory_bytes_peak, host_calls, bytes_in, bytes_out,
    denials, http_requests, log_lines_dropped)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (tenant, day) DO UPDATE SET attempts = attempts + ?3, cpu_us = cpu_us + ?4, guest_us = guest_us + ?5,
    wall_us = wall_us + ?6, memory_bytes_peak = max(memory_bytes_peak, ?7), host_calls = host_calls + ?8,
    bytes_in = bytes_in + ?9, bytes_out = bytes_out + ?10, denials = denials + ?11,
    http_requests = http_requests + ?12, log_lines_dropped = log_lines_dropped + ?13";

pub(super) const ADD_USAGE_CODE: &str = "
INSERT INTO usage_codes (tenant, day, code, count) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (tenant, day, code) DO UPDATE SET count = count + ?4";

pub(super) const SELECT_USAGE: &str = "
SELECT tenant, day, attempts, cpu_us, guest_us, wall_us, memory_bytes_peak, host_calls, bytes_in, bytes_out, denials,
    http_requests, log_lines_dropped
FROM usage WHERE day >= ?1 AND tenant BETWEEN ?2 AND ?3 ORDER BY tenant, day";

/// Of those who used anything.
pub(super) const SELECT_USERS: &str = "SELECT DISTINCT tenant FROM usage";

pub(super) const COUNT_USERS: &str = "SELECT count(DISTINCT tenant) FROM usage";

pub(super) const USAGE_SINCE: &str = "day >= ?";

pub(super) const USAGE_AFTER: &str = "tenant > ?";

pub(super) const USERS_BY_NAME: &str = "ORDER BY tenant LIMIT ?";

pub(super) const SELECT_USAGE_CODES: &str =
    "SELECT tenant, day, code, count FROM usage_codes WHERE day >= ?1 AND tenant BETWEEN ?2 AND ?3
ORDER BY tenant, day, code";
