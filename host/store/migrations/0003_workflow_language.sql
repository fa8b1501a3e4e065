-- What groups, callbacks, signals and workflows within workflows keep.

-- Who waits for an instance, and what the addresses of its callbacks are derived from: never changed once written.
-- The parent is named by id, since the child knows nothing else of it.
ALTER TABLE starts ADD COLUMN parent BLOB;
ALTER TABLE starts ADD COLUMN parent_execution INTEGER;
ALTER TABLE starts ADD COLUMN parent_depth INTEGER;
ALTER TABLE starts ADD COLUMN callback_secret BLOB;

-- Instances of before had no callbacks, so nobody holds an address of theirs, and nobody may guess one: each gets a
-- secret of its own. SQLite seeds randomblob from the operating system, which is good enough for these rows; new ones
-- bring their own. A row without a secret would not read back.
UPDATE starts SET callback_secret = randomblob(32);

CREATE INDEX starts_by_parent ON starts (parent) WHERE parent IS NOT NULL;
CREATE INDEX instances_by_correlation_id ON instances (correlation_id) WHERE correlation_id IS NOT NULL;

ALTER TABLE executions ADD COLUMN part_of INTEGER;
ALTER TABLE executions ADD COLUMN item INTEGER;

-- Messages that came before their steps were reached; whoever takes one deletes it.
CREATE TABLE messages (
    instance  INTEGER NOT NULL REFERENCES instances (key),
    number    INTEGER NOT NULL,
    step      TEXT NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (instance, number)
) STRICT, WITHOUT ROWID;

-- What instances have to tell each other and was not handed over yet. A key is never used again, so that whoever removes
-- a letter late does not remove another one.
CREATE TABLE letters (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    letter  TEXT NOT NULL
) STRICT;
