-- Definitions and components belong to tenants: each owner has names of its own. An owner is a tenant's id, or empty for
-- what is the platform's own and shared by all. A key that SQLite makes can not be changed, so both tables are built anew;
-- rows keep their keys, which instances refer to. What is looked at in lists stands before the long documents.

CREATE TABLE definitions_by_owner (
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

INSERT INTO definitions_by_owner (key, id, owner, name, version, is_active, created_at, description, components,
    pure_steps, document)
SELECT key, id, '', name, version, is_active, created_at, description, components, pure_steps, document FROM definitions;

DROP TABLE definitions;
ALTER TABLE definitions_by_owner RENAME TO definitions;

CREATE INDEX definitions_by_name ON definitions (name);

-- Who had supplied a component is its owner.
CREATE TABLE components_by_owner (
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

INSERT INTO components_by_owner (key, owner, name, version, bytes, size_bytes, created_at, exports, capabilities, manifest)
SELECT key, coalesce(tenant, ''), name, version, bytes, size_bytes, created_at, exports, capabilities, manifest
FROM components;

DROP TABLE components;
ALTER TABLE components_by_owner RENAME TO components;

CREATE INDEX components_by_bytes ON components (bytes);

-- What is listed for a tenant is found without a look at all the others'.
CREATE INDEX instances_by_tenant ON instances (tenant, id) WHERE tenant IS NOT NULL;
CREATE INDEX tasks_by_tenant ON tasks (tenant, status) WHERE tenant IS NOT NULL;
