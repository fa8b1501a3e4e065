//! Requests that may be repeated: what was asked under a key, and what was answered.

use std::time::Duration;

use crate::name::TenantId;
use crate::time::Timestamp;

/// How long an answer is kept for whoever asks again.
pub const IDEMPOTENCY_KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a request may take before somebody else may take its place: the host went down in it.
///
/// Longer than any request may take.
pub const IDEMPOTENCY_LEASE: Duration = Duration::from_secs(5 * 60);

/// What stands for the content of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of those parts in that order.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::access::Fingerprint;
    ///
    /// assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    /// ```
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Takes over a fingerprint that was computed before.
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

/// A request that is to be answered once, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// Whose key it is; the platform's where there is no tenant.
    pub tenant: Option<TenantId>,
    /// What whoever asks calls it.
    pub key: String,
    /// What it asks for.
    pub fingerprint: Fingerprint,
    /// When it came; it tells two claims of one key from each other.
    pub at: Timestamp,
}

impl IdempotencyClaim {
    /// What the claim comes to, given what is kept under its key and what of its tenant altogether. [`Reservation::New`] takes
    /// the key.
    #[must_use]
    pub fn judge(&self, kept: Option<&IdempotencyRecord>, held: IdempotencyRoom, room: IdempotencyRoom) -> Reservation {
        let is_new = if kept.is_none() && held.fills(room) { Reservation::Full } else { Reservation::New };
        let Some(kept) = kept.filter(|kept| self.at.since(kept.at) < IDEMPOTENCY_KEPT_FOR) else {
            return is_new;
        };
        match &kept.answer {
            _ if kept.fingerprint != self.fingerprint => Reservation::OtherContent,
            Some(answer) => Reservation::Done(answer.clone()),
            None if self.at.since(kept.at) >= IDEMPOTENCY_LEASE => Reservation::New,
            None => Reservation::InProgress,
        }
    }

    /// What is kept as long as nothing is answered.
    #[must_use]
    pub const fn unanswered(&self) -> IdempotencyRecord {
        IdempotencyRecord { fingerprint: self.fingerprint, at: self.at, answer: None }
    }
}

/// How many requests are kept of one tenant, or may be, and how many bytes they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyRoom {
    /// How many.
    pub requests: u64,
    /// The bytes of their keys and of what was answered.
    pub bytes: u64,
}

impl IdempotencyRoom {
    /// As much as one tenant may have. Protects the store: a tenant that repeats nothing is not kept from anything else.
    pub const OF_TENANT: Self = Self { requests: 100_000, bytes: 256 << 20 };

    const fn fills(self, room: Self) -> bool {
        self.requests >= room.requests || self.bytes >= room.bytes
    }
}

/// What is kept under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// When.
    pub at: Timestamp,
    /// What was answered; none as long as nothing was.
    pub answer: Option<KeptAnswer>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The status.
    pub status: u16,
    /// Where what was created is found.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// What a claim came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Nobody asked before: do it, and say what came of it.
    New,
    /// Somebody asks for the same right now.
    InProgress,
    /// It was answered.
    Done(KeptAnswer),
    /// The key stands for something else.
    OtherContent,
    /// So much is kept of the tenant that there is no room for one more.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_takes_over_after_the_lease_and_forgets_after_a_day() {
        let claim = |content: &[u8], ms| IdempotencyClaim {
            tenant: None,
            key: "k".to_owned(),
            fingerprint: Fingerprint::of(&[content]),
            at: Timestamp::from_unix_ms(ms),
        };
        let open = claim(b"a", 0).unanswered();
        let answer = KeptAnswer { status: 201, location: None, body: "{}".to_owned() };
        let done = IdempotencyRecord { answer: Some(answer.clone()), ..open.clone() };

        for (content, ms, kept, told) in [
            (b"a", 0, None, Reservation::New),
            (b"a", 299_999, Some(&open), Reservation::InProgress),
            (b"a", 300_000, Some(&open), Reservation::New),
            (b"b", 300_000, Some(&open), Reservation::OtherContent),
            (b"a", 86_399_999, Some(&done), Reservation::Done(answer)),
            (b"b", 86_399_999, Some(&done), Reservation::OtherContent),
            (b"b", 86_400_000, Some(&done), Reservation::New),
        ] {
            let room = IdempotencyRoom { requests: 1, bytes: 9 };
            assert_eq!(claim(content, ms).judge(kept, IdempotencyRoom::default(), room), told, "{ms}");
            let is_first = kept.is_none();
            for full in [IdempotencyRoom { requests: 1, bytes: 0 }, IdempotencyRoom { requests: 0, bytes: 9 }] {
                let told = if is_first { Reservation::Full } else { told.clone() };
                assert_eq!(
                    claim(content, ms).judge(kept, full, room),
                    told,
                    "what is kept already is told all the same"
                );
            }
        }
    }
}
