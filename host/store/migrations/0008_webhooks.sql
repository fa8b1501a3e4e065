-- Outgoing webhooks. `since` is where history was when a subscription was made or made active. Deliveries are made of history
-- in the transaction that says how far that has come.
CREATE TABLE webhook_head (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    revision  INTEGER NOT NULL,
    position  INTEGER NOT NULL
) STRICT;

INSERT INTO webhook_head (only, revision, position) VALUES (1, 0, 0);

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
