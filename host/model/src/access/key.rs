//! API keys: a random text that is shown once, and of which only a hash is kept.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use super::scope::Scopes;
use crate::id::uuid_id;
use crate::name::{GroupId, Label, TenantId, UserId};
use crate::time::Timestamp;

/// How many random bytes a key is made of.
pub const KEY_RANDOM_BYTES: usize = PREFIX_RANDOM_BYTES + SECRET_BYTES;

/// What every key begins with, so that scanners of texts know one.
const BRAND: &str = "sck_";

/// How many characters tell a key from others. A prefix is no secret.
const PREFIX_LEN: usize = 8;

/// How many random bytes the prefix is made of: five bits a character.
const PREFIX_RANDOM_BYTES: usize = 5;

/// How many random bytes nobody can guess.
const SECRET_BYTES: usize = 32;

/// How long a key is, in bytes.
const KEY_LEN_BYTES: usize = BRAND.len() + PREFIX_LEN + 1 + 43;

/// What hashes of keys are made for and nothing else is.
const HASH_PURPOSE: &str = "stepcell 2026-11-23 hashes of API keys";

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

uuid_id! {
    /// Names one API key (UUID v7).
    ApiKeyId
}

/// The characters that tell a key from others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPrefix([u8; PREFIX_LEN]);

/// What is kept of a key. Comparing two takes the same time whatever they are.
#[derive(Clone, Copy)]
pub struct KeyHash(blake3::Hash);

/// A key as its owner has it: `sck_`, eight characters that tell it from others, `_`, and 43 that nobody can guess.
///
/// It is wiped with the last clone, and never shown but by [`Self::expose`].
#[derive(Clone)]
pub struct KeyText {
    text: Zeroizing<String>,
    prefix: KeyPrefix,
}

/// A text is no API key. It is not quoted: it may be one that lost a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no API key: one is `sck_`, 8 characters, `_` and 43 characters")]
pub struct MalformedKey;

impl KeyPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made of ASCII alone, by whoever made it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyPrefix {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prefix: [u8; PREFIX_LEN] = text.as_bytes().try_into().map_err(|_| MalformedKey)?;
        if prefix.iter().all(|byte| ALPHABET.contains(byte)) { Ok(Self(prefix)) } else { Err(MalformedKey) }
    }
}

impl KeyHash {
    /// Takes over a hash that was computed before.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl PartialEq for KeyHash {
    /// In constant time, as blake3 promises for its hashes.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for KeyHash {}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl KeyText {
    /// Makes a key of random bytes, which are wiped.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::access::{KEY_RANDOM_BYTES, KeyText};
    ///
    /// let key = KeyText::from_random(&mut [7; KEY_RANDOM_BYTES]);
    /// assert_eq!(format!("{key:?}"), "KeyText(sck_a4dqobyh_…)");
    /// assert_eq!(key.expose().parse::<KeyText>()?.hash(), key.hash());
    /// # Ok::<(), stepcell_model::access::MalformedKey>(())
    /// ```
    #[must_use]
    pub fn from_random(random: &mut [u8; KEY_RANDOM_BYTES]) -> Self {
        let (of_prefix, secret) = random.split_at(PREFIX_RANDOM_BYTES);
        let bits = of_prefix.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letter = |index: usize| ALPHABET[(bits >> (5 * (PREFIX_LEN - 1 - index)) & 31) as usize];
        let prefix = KeyPrefix(std::array::from_fn(letter));
        let mut text = String::with_capacity(KEY_LEN_BYTES);
        text.push_str(BRAND);
        text.push_str(prefix.as_str());
        text.push('_');
        URL_SAFE_NO_PAD.encode_string(secret, &mut text);
        random.zeroize();
        Self { text: Zeroizing::new(text), prefix }
    }

    /// The characters that tell it from others.
    #[must_use]
    pub const fn prefix(&self) -> KeyPrefix {
        self.prefix
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash(blake3::Hasher::new_derive_key(HASH_PURPOSE).update(self.text.as_bytes()).finalize())
    }

    /// The key. Whoever asks takes care where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl FromStr for KeyText {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(BRAND).filter(|_| text.len() == KEY_LEN_BYTES && text.is_ascii());
        let (prefix, secret) = rest.ok_or(MalformedKey)?.split_at(PREFIX_LEN);
        let secret = secret.strip_prefix('_').ok_or(MalformedKey)?;
        let is_whole =
            URL_SAFE_NO_PAD.decode(secret).map(Zeroizing::new).is_ok_and(|bytes| bytes.len() == SECRET_BYTES);
        if !is_whole {
            return Err(MalformedKey);
        }
        Ok(Self { prefix: prefix.parse()?, text: Zeroizing::new(text.to_owned()) })
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({BRAND}{}_…)", self.prefix)
    }
}

/// Whether a key lets anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl KeyState {
    /// The state in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// An API key as it is kept: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What tells it from others; no two have the same.
    pub prefix: KeyPrefix,
    /// What is kept of its text.
    pub hash: KeyHash,
    /// What people call it.
    pub name: Label,
    /// Whose it is; the platform's where there is none.
    pub tenant: Option<TenantId>,
    /// Who comes in with it.
    pub user: UserId,
    /// The groups of that user.
    pub groups: Vec<GroupId>,
    /// What it allows.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; none if somebody at the command line.
    pub created_by: Option<UserId>,
    /// From when on it lets nobody in.
    pub expires_at: Option<Timestamp>,
    /// When somebody last came in with it, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it lets anybody in at that time.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> KeyText {
        KeyText::from_random(&mut std::array::from_fn(|index| seed.wrapping_mul(31).wrapping_add(index as u8 * 7)))
    }

    #[test]
    fn a_key_reads_back_what_it_was_and_has_its_form() {
        for seed in 0..=255 {
            let key = key(seed);
            let read: KeyText = key.expose().parse().unwrap();

            assert_eq!((read.prefix(), read.hash()), (key.prefix(), key.hash()));
            assert_eq!((key.expose().len(), &key.expose()[..4], &key.expose()[12..13]), (56, "sck_", "_"));
            assert_eq!(key.prefix().as_str().parse(), Ok(key.prefix()));
        }
    }

    #[test]
    fn random_bytes_that_became_a_key_are_wiped() {
        let mut random = [9; KEY_RANDOM_BYTES];

        let _key = KeyText::from_random(&mut random);

        assert_eq!(random, [0; KEY_RANDOM_BYTES]);
    }

    #[test]
    fn keys_that_differ_in_one_character_have_other_hashes() {
        let (one, text) = (key(1), key(1).expose().to_owned());
        for index in 4..text.len() - 1 {
            let mut other = text.clone().into_bytes();
            other[index] = if other[index] == b'a' { b'b' } else { b'a' };
            let other = String::from_utf8(other).unwrap().parse::<KeyText>();

            assert!(index == 12 || other.is_ok_and(|other| other.hash() != one.hash()), "{index}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_quoted() {
        let good = key(3).expose().to_owned();
        let bad = [
            String::new(),
            "sck_".to_owned(),
            good[1..].to_owned(),
            format!("{good}a"),
            format!("scx_{}", &good[4..]),
            format!("{}ä{}", &good[..20], &good[22..]),
            good.replacen("sck_", "sck_A", 1)[..56].to_owned(),
            format!("{}+{}", &good[..20], &good[21..]),
            format!(" {}", &good[..55]),
        ];
        for text in &bad {
            assert_eq!(text.parse::<KeyText>().map(drop), Err(MalformedKey), "{text}");
        }
        assert!(!MalformedKey.to_string().contains(&good[13..]));
    }

    #[test]
    fn neither_a_key_nor_its_hash_shows_itself() {
        let key = key(4);

        assert_eq!(format!("{key:?}"), format!("KeyText(sck_{}_…)", key.prefix()));
        assert_eq!(format!("{:?}", key.hash()), "KeyHash(…)");
    }
}
