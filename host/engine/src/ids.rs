//! Where ids and secrets come from. Nothing else in the engine draws what decides on the course of an instance.

use std::fmt;

use uuid::Uuid;

/// Draws ids and secrets.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// An id that no other has; one that is drawn later sorts after it (UUID v7).
    fn next_id(&self) -> Uuid;

    /// 32 bytes that nobody can guess.
    fn next_secret(&self) -> [u8; 32];
}

/// Draws from the machine's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    /// Two random UUIDs, of which 244 bits are random.
    fn next_secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        bytes[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        bytes
    }
}
