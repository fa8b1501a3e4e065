//! The statements that look after what is kept: chains and pruning.

// Chains.

pub(in crate::sqlite) const LIST_LINKS_OF: &str = "
SELECT i.id, i.seq AS head_seq, i.chain AS head, h.seq, h.at, h.events, h.chain
FROM instances i LEFT JOIN history h ON h.instance = i.key AND h.seq > ?2
WHERE i.id = ?1 ORDER BY h.seq LIMIT ?3";

pub(in crate::sqlite) const LIST_LINKS: &str = "
SELECT i.id, i.seq AS head_seq, i.chain AS head, h.seq, h.at, h.events, h.chain
FROM instances i LEFT JOIN history h ON h.instance = i.key
WHERE i.id >= ?1 AND (i.id > ?1 OR h.seq > ?2) ORDER BY i.id, h.seq LIMIT ?3";

pub(in crate::sqlite) const LIST_INSTANCE_KEYS: &str = "SELECT key, id FROM instances ORDER BY key";

pub(in crate::sqlite) const LIST_HISTORY_TO_LINK: &str =
    "SELECT position, seq, at, events FROM history WHERE instance = ?1 ORDER BY seq";

pub(in crate::sqlite) const LINK_HISTORY: &str = "UPDATE history SET chain = ?2 WHERE position = ?1";

pub(in crate::sqlite) const LINK_INSTANCE: &str = "UPDATE instances SET chain = ?2 WHERE key = ?1";

#[cfg(any(test, feature = "conformance"))]
pub(in crate::sqlite) const FORGE_HISTORY: &str =
    "UPDATE history SET events = replace(events, ?1, ?2) WHERE instr(events, ?1) > 0";

// Pruning.

/// What may go: finished as wanted, of a family that is finished, and not the last that history tells of.
pub(in crate::sqlite) const SELECT_PRUNABLE: &str = "
SELECT i.key, i.id, d.name AS workflow_name, i.status, i.completed_at
FROM instances i JOIN definitions d ON d.key = i.definition
WHERE i.completed_at < :ended_before AND i.status IN (SELECT value FROM json_each(:ends))
    AND (:workflow IS NULL OR d.name = :workflow) AND (:tenant IS NULL OR i.tenant = :tenant)
    AND i.key IS NOT (SELECT instance FROM history ORDER BY position DESC LIMIT 1)
    AND NOT EXISTS (SELECT 1 FROM starts s JOIN instances p ON p.id = s.parent
        WHERE s.instance = i.key AND p.status NOT IN ('completed', 'failed', 'canceled'))
    AND NOT EXISTS (SELECT 1 FROM starts s JOIN instances c ON c.key = s.instance
        WHERE s.parent = i.id AND c.status NOT IN ('completed', 'failed', 'canceled'))";

pub(in crate::sqlite) const PRUNABLE_AFTER: &str = "AND i.id > :after ORDER BY i.id LIMIT :limit";

pub(in crate::sqlite) const PRUNABLE_BY_ID: &str = "AND i.id = :id";

pub(in crate::sqlite) const DELETE_STARTS_OF: &str = "DELETE FROM starts WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_CONTEXT_OF: &str = "DELETE FROM context_values WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_EXECUTIONS_OF: &str = "DELETE FROM executions WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_TASKS_OF: &str = "DELETE FROM tasks WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_MESSAGES_OF: &str = "DELETE FROM messages WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_NUDGES_OF: &str = "DELETE FROM nudges WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_HISTORY_OF: &str = "DELETE FROM history WHERE instance = ?1";

pub(in crate::sqlite) const DELETE_INSTANCE: &str = "DELETE FROM instances WHERE key = ?1";

pub(in crate::sqlite) const LIST_ALL_LETTERS: &str = "SELECT key, letter FROM letters";
