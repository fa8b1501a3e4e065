//! Limits that nobody can set: what one definition and one instance may come to.

use super::Quantity;
use crate::definition::document::DOCUMENT_LEN_BYTES_MAX;
use crate::definition::{DESCRIPTION_LEN_BYTES_MAX, EDGES_MAX, STEPS_MAX, VERSION_LEN_BYTES_MAX, VERSIONS_MAX};
use crate::expression::EXPRESSION_LEN_BYTES_MAX;
use crate::grants::GRANTS_LEN_MAX;
use crate::json::JSON_DEPTH_MAX;
use crate::letter::CHILD_DEPTH_MAX;
use crate::schema::SCHEMA_LEN_BYTES_MAX;
use crate::secret::SECRET_BYTES_MAX;
use crate::staged::WRITES_BYTES_MAX;
use crate::time::ByteSize;
use crate::transition::{
    ACTIVE_MAX, CONTEXT_KEYS_MAX, CONTEXT_LEN_BYTES_MAX, HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX, ITEMS_MAX,
    KEPT_MESSAGES_MAX, MESSAGE_LEN_BYTES_MAX,
};

/// A limit that nobody can set.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// What it bounds.
    pub what: &'static str,
    /// The most there may be.
    pub max: Quantity,
    /// What happens at it.
    pub effect: &'static str,
}

/// The limits of definitions and instances, which nobody can set.
pub const FIXED: &[Fixed] = &[
    fixed("the text of a definition", size(DOCUMENT_LEN_BYTES_MAX), "it is refused"),
    fixed("versions of a workflow of one owner", count(VERSIONS_MAX), "further ones are refused"),
    fixed("a version of a definition", size(VERSION_LEN_BYTES_MAX), "it is refused"),
    fixed("the description of a workflow", size(DESCRIPTION_LEN_BYTES_MAX), "it is refused"),
    fixed("steps of a definition", count(STEPS_MAX), "it is refused"),
    fixed("edges of a definition", count(EDGES_MAX), "it is refused"),
    fixed("the text of a condition or mapping", size(EXPRESSION_LEN_BYTES_MAX), "it is refused"),
    fixed("a schema", size(SCHEMA_LEN_BYTES_MAX), "it is refused"),
    fixed("entries of one list of grants", count(GRANTS_LEN_MAX), "the definition is refused"),
    fixed(
        "levels of JSON within one another",
        count(JSON_DEPTH_MAX),
        "`engine.invalid-output`, or the write or call is refused",
    ),
    fixed("the context of an instance", size(CONTEXT_LEN_BYTES_MAX), "`engine.output`"),
    fixed("keys of the context of an instance", count(CONTEXT_KEYS_MAX), "`engine.output`"),
    fixed("what one attempt writes to the context", size(WRITES_BYTES_MAX), "the step is told `too-large`"),
    fixed("a secret", size(SECRET_BYTES_MAX), "it is refused"),
    fixed("active executions of an instance", count(ACTIVE_MAX), "`engine.iterations`"),
    fixed("items of a `for_each`", count(ITEMS_MAX), "`engine.input`"),
    fixed("instances below one another", Quantity::Count(CHILD_DEPTH_MAX), "`engine.iterations`"),
    fixed("messages that are kept for steps to come", count(KEPT_MESSAGES_MAX), "further ones are refused"),
    fixed("one message", size(MESSAGE_LEN_BYTES_MAX), "it is refused"),
    fixed("events of an instance", Quantity::Count(HISTORY_EVENTS_MAX), "`engine.iterations`"),
    fixed("the history of an instance", Quantity::Size(ByteSize::from_bytes(HISTORY_BYTES_MAX)), "`engine.iterations`"),
];

const fn fixed(what: &'static str, max: Quantity, effect: &'static str) -> Fixed {
    Fixed { what, max, effect }
}

const fn size(bytes: usize) -> Quantity {
    Quantity::Size(ByteSize::from_bytes(bytes as u64))
}

#[expect(clippy::cast_possible_truncation, reason = "every limit that is counted is far below")]
const fn count(things: usize) -> Quantity {
    Quantity::Count(things as u32)
}
