-- What the operator decided about safety, who signed what, secrets, and what tenants used.

CREATE TABLE guard (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    revision  INTEGER NOT NULL,
    policy    TEXT
) STRICT;

INSERT INTO guard (only, revision) VALUES (1, 0);

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

-- A tenant's id is never empty: the empty one is that of instances without a tenant.
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

-- Of components that were registered before, nothing is known but that they could not import HTTP.
ALTER TABLE components ADD COLUMN capabilities TEXT NOT NULL DEFAULT '["secrets","clock","randomness"]';
ALTER TABLE components ADD COLUMN tenant TEXT;

-- The steps whose attempts can not be told apart from none by anybody outside.
ALTER TABLE definitions ADD COLUMN pure_steps TEXT NOT NULL DEFAULT '[]';
