//! Never ends: shows that a step can not hold the host, and that others go on meanwhile.

use stepcell_sdk::{Context, Failure, Step, Value};

/// The step.
pub struct Runaway;

impl Step for Runaway {
    type Input = Value;
    type Output = Value;

    fn execute(_input: Value, _ctx: &mut Context) -> Result<Value, Failure> {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

stepcell_sdk::export!(Runaway);
