//! Statements for those who follow history. The order of the joins is laid down: each walks one index and reads the
//! events of no row that does not match.

pub(in crate::sqlite) const LIST_WINDOW: &str = "
SELECT h.position, h.seq, h.at, h.events, i.id, i.tenant, d.name AS workflow
FROM history h CROSS JOIN instances i ON i.key = h.instance CROSS JOIN definitions d ON d.key = i.definition
WHERE h.position > ?1 AND h.position <= ?5 AND (?3 IS NULL OR i.tenant = ?3) AND (?4 IS NULL OR d.name = ?4)
ORDER BY h.position LIMIT ?2";

pub(in crate::sqlite) const LIST_OF_INSTANCE: &str = "
SELECT h.position, h.seq, h.at, h.events, i.id, i.tenant, d.name AS workflow
FROM instances i CROSS JOIN definitions d ON d.key = i.definition
    CROSS JOIN history h INDEXED BY history_by_instance ON h.instance = i.key
WHERE i.id = ?5 AND h.position > ?1 AND (?3 IS NULL OR i.tenant = ?3) AND (?4 IS NULL OR d.name = ?4)
ORDER BY h.seq LIMIT ?2";
