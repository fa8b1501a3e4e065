//! The hash chain over an instance's history: each transition is linked to the one before, so that no row of history can be
//! changed, taken out or put in between without breaking every link from there on.
//!
//! A link is the SHA-256 of what [`chain_after`] puts together, so that anybody can compute it without this program. There is
//! no key in it: whoever can write to the rows can also compute the links anew. Against them stands a head that somebody
//! noted elsewhere: a chain that still holds it has not changed up to there.
//!
//! What the chain covers is the history: numbers, times and events. Inputs, outputs and the context are not in it.

mod check;
mod export;

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

pub use self::check::{BreakKind, ChainBreak, ChainCheck, CheckedChain};
pub use self::export::{EXPORT_FORMAT, ExportCheck, ExportHeader, MalformedExport};
use crate::hex;
use crate::id::InstanceId;
use crate::time::{Timestamp, serde_as_text};
use crate::transition::Transition;

/// What each link begins with, so that it is no hash of anything else.
const DOMAIN: &[u8] = b"stepcell/history-link/v1\0";

/// A link of an instance's chain: the hash over one transition's history and all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What the first transition of an instance goes on from.
    pub const START: Self = Self([0; 32]);

    /// Takes over a link that was computed before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One row of history as it is stored, with its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Whose history it is.
    pub instance: InstanceId,
    /// The number of the transition.
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The text of its events, byte by byte as it is stored.
    pub events: String,
    /// Its link; none is a break.
    pub chain: Option<ChainHash>,
}

/// Where an instance's chain ends, as its own row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The instance.
    pub instance: InstanceId,
    /// The number of its last transition.
    pub seq: u64,
    /// The link of that one; none is a break.
    pub chain: Option<ChainHash>,
}

/// The link of transition `seq` of `instance`, decided at `at`, whose events are `events`, after the link `previous`.
///
/// The SHA-256 of, one after another: `stepcell/history-link/v1` and a zero byte; `previous`, 32 bytes; the instance's id,
/// 16 bytes; `seq`, 8 bytes; `at` in milliseconds since 1970, 8 bytes; the length of `events` in bytes, 8 bytes; `events`.
/// Numbers have their greatest byte first.
///
/// # Examples
/// ```
/// use stepcell_model::chain::{ChainHash, chain_after};
/// use stepcell_model::time::Timestamp;
///
/// let instance = "0198c0de-0000-7000-8000-000000000000".parse()?;
/// let first = chain_after(ChainHash::START, instance, 1, Timestamp::from_unix_ms(0), "[]");
/// let second = chain_after(first, instance, 2, Timestamp::from_unix_ms(5), "[]");
/// assert_ne!(first, second);
/// # Ok::<(), uuid::Error>(())
/// ```
#[must_use]
pub fn chain_after(previous: ChainHash, instance: InstanceId, seq: u64, at: Timestamp, events: &str) -> ChainHash {
    let hash = Sha256::new_with_prefix(DOMAIN)
        .chain_update(previous.0)
        .chain_update(instance.as_uuid().as_bytes())
        .chain_update(seq.to_be_bytes())
        .chain_update(at.unix_ms().to_be_bytes())
        .chain_update((events.len() as u64).to_be_bytes())
        .chain_update(events);
    ChainHash(hash.finalize().into())
}

impl Transition {
    /// The transition's link, if the text of its events is `events`.
    #[must_use]
    pub fn link(&self, events: &str) -> ChainHash {
        chain_after(self.chain, self.identity.id, self.seq, self.at, events)
    }
}

impl ChainLink {
    /// The link that the row should have after `previous`.
    #[must_use]
    pub fn after(&self, previous: ChainHash) -> ChainHash {
        chain_after(previous, self.instance, self.seq, self.at, &self.events)
    }
}

/// A text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link of a chain is written as 64 hexadecimal digits")]
pub struct MalformedChainHash;

impl FromStr for ChainHash {
    type Err = MalformedChainHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::parse(text).map(Self).ok_or(MalformedChainHash)
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(ChainHash);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn link(previous: ChainHash, instance: u128, seq: u64, at: i64, events: &str) -> ChainHash {
        chain_after(
            previous,
            InstanceId::from_uuid(Uuid::from_u128(instance)),
            seq,
            Timestamp::from_unix_ms(at),
            events,
        )
    }

    #[test]
    fn a_link_is_the_same_for_ever_and_everywhere() {
        let first = link(ChainHash::START, 1, 1, 1_800_000_000_000, r#"[{"type":"workflow_started"}]"#);
        let second = link(first, 1, 2, -1, "[]");

        // Computed by another program from the text of `chain_after`.
        assert_eq!(first.to_string(), "efaa599e0bfbaec0d6150a1e7bde992c4e6a79cf1b8a32500d2b7b12294c3038");
        assert_eq!(second.to_string(), "7b1710f591c401074333053810de777a25d5937112f4499157da93259dc4788e");
    }

    #[test]
    fn every_part_of_a_transition_changes_its_link() {
        let base = link(ChainHash::START, 1, 1, 1, "[]");
        for other in [
            link(base, 1, 1, 1, "[]"),
            link(ChainHash::START, 2, 1, 1, "[]"),
            link(ChainHash::START, 1, 2, 1, "[]"),
            link(ChainHash::START, 1, 1, 2, "[]"),
            link(ChainHash::START, 1, 1, 1, "[] "),
        ] {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn a_link_reads_back_what_it_printed_and_nothing_else() {
        let printed = link(ChainHash::START, 1, 1, 1, "[]").to_string();

        assert_eq!(printed.parse::<ChainHash>().unwrap().to_string(), printed);
        for text in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert_eq!(text.parse::<ChainHash>(), Err(MalformedChainHash), "{text}");
        }
    }
}
