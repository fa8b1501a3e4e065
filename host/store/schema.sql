CREATE TABLE schema_version (
    number      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    script      TEXT NOT NULL,
    applied_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE component_bytes (
    key     INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL UNIQUE,
    bytes   BLOB NOT NULL
) STRICT;

CREATE TABLE instances (
    key              INTEGER PRIMARY KEY,
    id               BLOB NOT NULL UNIQUE,
    definition       INTEGER NOT NULL REFERENCES definitions (key),
    seq              INTEGER NOT NULL,
    status           TEXT NOT NULL,
    current_step     TEXT,
    completed_at     INTEGER,
    wake_at          INTEGER,
    started_at       INTEGER NOT NULL,
    tenant           TEXT,
    created_by       TEXT,
    correlation_id   TEXT,
    idempotency_key  TEXT,
    control          TEXT NOT NULL,
    error            TEXT,
    result           TEXT
, chain BLOB, stored_bytes INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE INDEX instances_by_definition ON instances (definition);

CREATE INDEX instances_running ON instances (id) WHERE status = 'running';

CREATE INDEX instances_waking ON instances (wake_at) WHERE wake_at IS NOT NULL;

CREATE UNIQUE INDEX instances_by_idempotency_key ON instances (coalesce(tenant, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE starts (
    instance  INTEGER PRIMARY KEY REFERENCES instances (key),
    input     TEXT NOT NULL,
    metadata  TEXT NOT NULL
, parent BLOB, parent_execution INTEGER, parent_depth INTEGER, callback_secret BLOB) STRICT;

CREATE TABLE context_values (
    instance  INTEGER NOT NULL REFERENCES instances (key),
    key       TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (instance, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE executions (
    instance      INTEGER NOT NULL REFERENCES instances (key),
    number        INTEGER NOT NULL,
    step          TEXT NOT NULL,
    step_type     TEXT NOT NULL,
    status        TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    completed_at  INTEGER,
    ended_order   INTEGER,
    assigned_to   TEXT,
    completed_by  TEXT,
    failure       TEXT,
    input         TEXT,
    output        TEXT, part_of INTEGER, item INTEGER,
    PRIMARY KEY (instance, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX executions_failed ON executions (completed_at) WHERE status = 'failed';

CREATE TABLE tasks (
    key           INTEGER PRIMARY KEY,
    id            BLOB NOT NULL UNIQUE,
    instance      INTEGER NOT NULL REFERENCES instances (key),
    execution     INTEGER NOT NULL,
    step          TEXT NOT NULL,
    tenant        TEXT,
    title         TEXT NOT NULL,
    description   TEXT,
    form_schema   TEXT,
    assignee      TEXT,
    "group"       TEXT,
    due_at        INTEGER,
    reminder_at   INTEGER,
    status        TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    completed_at  INTEGER,
    completed_by  TEXT,
    comment       TEXT
) STRICT;

CREATE INDEX tasks_by_instance ON tasks (instance);

CREATE INDEX tasks_pending ON tasks (due_at) WHERE status = 'pending';

CREATE TABLE history (
    position  INTEGER PRIMARY KEY,
    instance  INTEGER NOT NULL REFERENCES instances (key),
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    events    TEXT NOT NULL
, chain BLOB) STRICT;

CREATE UNIQUE INDEX history_by_instance ON history (instance, seq);

CREATE TABLE nudges (
    instance  INTEGER PRIMARY KEY REFERENCES instances (key)
) STRICT;

CREATE INDEX starts_by_parent ON starts (parent) WHERE parent IS NOT NULL;

CREATE INDEX instances_by_correlation_id ON instances (correlation_id) WHERE correlation_id IS NOT NULL;

CREATE TABLE messages (
    instance  INTEGER NOT NULL REFERENCES instances (key),
    number    INTEGER NOT NULL,
    step      TEXT NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (instance, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE letters (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    letter  TEXT NOT NULL
) STRICT;

CREATE TABLE guard (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    revision  INTEGER NOT NULL,
    policy    TEXT
) STRICT;

CREATE TABLE component_blocks (
    digest      BLOB PRIMARY KEY,
    kind        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    blocked_by  TEXT,
    blocked_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE host_faults (
    digest  BLOB PRIMARY KEY,
    count   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE component_signatures (
    digest     BLOB NOT NULL,
    key        TEXT NOT NULL,
    signature  TEXT NOT NULL,
    PRIMARY KEY (digest, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    tenant             TEXT NOT NULL,
    day                INTEGER NOT NULL,
    attempts           INTEGER NOT NULL,
    cpu_us             INTEGER NOT NULL,
    guest_us           INTEGER NOT NULL,
    wall_us            INTEGER NOT NULL,
    memory_bytes_peak  INTEGER NOT NULL,
    host_calls         INTEGER NOT NULL,
    bytes_in           INTEGER NOT NULL,
    bytes_out          INTEGER NOT NULL,
    denials            INTEGER NOT NULL,
    http_requests      INTEGER NOT NULL,
    log_lines_dropped  INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_codes (
    tenant  TEXT NOT NULL,
    day     INTEGER NOT NULL,
    code    TEXT NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE "definitions" (
    key          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    owner        TEXT NOT NULL,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    is_active    INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    description  TEXT,
    components   TEXT NOT NULL,
    pure_steps   TEXT NOT NULL,
    document     TEXT NOT NULL,
    UNIQUE (owner, name, version)
) STRICT;

CREATE INDEX definitions_by_name ON definitions (name);

CREATE TABLE "components" (
    key           INTEGER PRIMARY KEY,
    owner         TEXT NOT NULL,
    name          TEXT NOT NULL,
    version       TEXT NOT NULL,
    bytes         INTEGER NOT NULL REFERENCES component_bytes (key),
    size_bytes    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    exports       TEXT NOT NULL,
    capabilities  TEXT NOT NULL,
    manifest      TEXT,
    UNIQUE (owner, name, version)
) STRICT;

CREATE INDEX components_by_bytes ON components (bytes);

CREATE INDEX instances_by_tenant ON instances (tenant, id) WHERE tenant IS NOT NULL;

CREATE INDEX tasks_by_tenant ON tasks (tenant, status) WHERE tenant IS NOT NULL;

CREATE TABLE access (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    revision  INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    id            TEXT PRIMARY KEY,
    display_name  TEXT NOT NULL,
    status        TEXT NOT NULL,
    quotas        TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id            BLOB PRIMARY KEY,
    prefix        TEXT NOT NULL UNIQUE,
    hash          BLOB NOT NULL,
    name          TEXT NOT NULL,
    tenant        TEXT NOT NULL,
    user          TEXT NOT NULL,
    groups        TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    created_by    TEXT,
    expires_at    INTEGER,
    last_used_at  INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, id);

CREATE TABLE audit (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    tenant      TEXT NOT NULL,
    user        TEXT,
    key         BLOB,
    action      TEXT NOT NULL,
    target      TEXT,
    outcome     TEXT NOT NULL,
    request_id  TEXT,
    details     TEXT
) STRICT;

CREATE INDEX audit_by_tenant ON audit (tenant, number);

CREATE TABLE idempotency (
    tenant       TEXT NOT NULL,
    key          TEXT NOT NULL,
    fingerprint  BLOB NOT NULL,
    at           INTEGER NOT NULL,
    status       INTEGER,
    location     TEXT,
    body         TEXT,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_time ON idempotency (at);

CREATE INDEX instances_open ON instances (tenant)
    WHERE tenant IS NOT NULL AND status NOT IN ('completed', 'failed', 'canceled');

CREATE TABLE webhook_head (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    revision  INTEGER NOT NULL,
    position  INTEGER NOT NULL
) STRICT;

CREATE TABLE webhooks (
    key            INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    tenant         TEXT,
    url            TEXT NOT NULL,
    types          TEXT NOT NULL,
    workflow       TEXT,
    description    TEXT,
    is_active      INTEGER NOT NULL,
    stopped        TEXT,
    since          INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    created_by     TEXT,
    secret         BLOB NOT NULL,
    former_secret  BLOB,
    former_until   INTEGER
) STRICT;

CREATE INDEX webhooks_by_tenant ON webhooks (tenant, id);

CREATE TABLE webhook_deliveries (
    key              INTEGER PRIMARY KEY,
    id               BLOB NOT NULL UNIQUE,
    webhook          INTEGER NOT NULL REFERENCES webhooks (key),
    position         INTEGER NOT NULL,
    event            INTEGER NOT NULL,
    event_type       TEXT NOT NULL,
    body             TEXT NOT NULL,
    status           TEXT NOT NULL,
    attempts         INTEGER NOT NULL,
    next_attempt_at  INTEGER,
    last_status      INTEGER,
    last_error       TEXT,
    created_at       INTEGER NOT NULL,
    ended_at         INTEGER
) STRICT;

CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (webhook, status, key);

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, next_attempt_at) WHERE status = 'pending';

CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE idempotency_held (
    tenant    TEXT PRIMARY KEY,
    requests  INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER idempotency_is_held AFTER INSERT ON idempotency BEGIN
    INSERT INTO idempotency_held (tenant, requests, bytes) VALUES (new.tenant, 1, octet_length(new.key))
    ON CONFLICT (tenant) DO UPDATE SET requests = requests + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER idempotency_is_answered AFTER UPDATE OF location, body ON idempotency BEGIN
    UPDATE idempotency_held SET bytes = bytes
        + coalesce(octet_length(new.location), 0) + coalesce(octet_length(new.body), 0)
        - coalesce(octet_length(old.location), 0) - coalesce(octet_length(old.body), 0)
    WHERE tenant = new.tenant;
END;

CREATE TRIGGER idempotency_is_forgotten AFTER DELETE ON idempotency BEGIN
    UPDATE idempotency_held SET requests = requests - 1, bytes = bytes - octet_length(old.key)
        - coalesce(octet_length(old.location), 0) - coalesce(octet_length(old.body), 0)
    WHERE tenant = old.tenant;
END;

CREATE INDEX api_keys_not_revoked ON api_keys (tenant, expires_at) WHERE revoked_at IS NULL;
