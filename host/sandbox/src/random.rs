//! The randomness that a cell sees: the same bits for every attempt of an execution.
//!
//! Hard to guess for whoever does not know the execution's id, and no more than that: keys are not to be made of it.

use std::convert::Infallible;

use rand_core::TryRng;
use stepcell_model::id::ExecutionId;

/// Random bits that follow from an execution's id.
#[derive(Debug)]
pub(crate) struct SeededRandom(blake3::OutputReader);

impl SeededRandom {
    /// The stream that `wasi:random/random` draws from.
    pub(crate) fn secure(execution: ExecutionId) -> Self {
        Self::of(execution, "stepcell 2026-11 step randomness, secure")
    }

    /// The stream that `wasi:random/insecure` draws from.
    pub(crate) fn insecure(execution: ExecutionId) -> Self {
        Self::of(execution, "stepcell 2026-11 step randomness, insecure")
    }

    fn of(execution: ExecutionId, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(purpose);
        hasher.update(execution.as_uuid().as_bytes());
        Self(hasher.finalize_xof())
    }

    /// The next 128 bits.
    pub(crate) fn draw_u128(&mut self) -> u128 {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

impl TryRng for SeededRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn one_execution_always_draws_the_same_and_another_does_not() {
        let draw = |id| SeededRandom::secure(ExecutionId::from_uuid(Uuid::from_u128(id))).draw_u128();

        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
