-- Who may come in, who did what, what was answered to requests that may be repeated, and what tenants keep.

CREATE TABLE access (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    revision  INTEGER NOT NULL
) STRICT;

INSERT INTO access (only, revision) VALUES (1, 0);

CREATE TABLE tenants (
    id            TEXT PRIMARY KEY,
    display_name  TEXT NOT NULL,
    status        TEXT NOT NULL,
    quotas        TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A tenant's id is never empty: the empty one is the platform's.
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

-- A number is never used again, so that whoever pages by it misses nothing.
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

-- What an instance keeps, in bytes: a running sum, written with the row that each transition writes anyway.
ALTER TABLE instances ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;

-- Of what is there: what can be read off it.
UPDATE instances SET stored_bytes =
    (SELECT octet_length(s.input) + octet_length(s.metadata) FROM starts s WHERE s.instance = instances.key)
    + (SELECT coalesce(sum(octet_length(h.events)), 0) FROM history h WHERE h.instance = instances.key)
    + (SELECT coalesce(sum(octet_length(c.value)), 0) FROM context_values c WHERE c.instance = instances.key)
    + (SELECT coalesce(sum(coalesce(octet_length(e.input), 0) + coalesce(octet_length(e.output), 0)), 0)
        FROM executions e WHERE e.instance = instances.key);

-- Only instances of tenants, and only at their start and end: others cost nothing.
CREATE INDEX instances_open ON instances (tenant)
    WHERE tenant IS NOT NULL AND status NOT IN ('completed', 'failed', 'canceled');
