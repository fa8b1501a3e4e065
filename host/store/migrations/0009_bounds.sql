-- What is kept of one tenant is bounded: sums and indexes that the bounds are read off.

-- How many requests that may be repeated are kept of a tenant, and the bytes of their keys and answers.
CREATE TABLE idempotency_held (
    tenant    TEXT PRIMARY KEY,
    requests  INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO idempotency_held (tenant, requests, bytes)
SELECT tenant, count(*), sum(octet_length(key) + coalesce(octet_length(location), 0) + coalesce(octet_length(body), 0))
FROM idempotency GROUP BY tenant;

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

-- The keys of a tenant that nobody revoked.
CREATE INDEX api_keys_not_revoked ON api_keys (tenant, expires_at) WHERE revoked_at IS NULL;
