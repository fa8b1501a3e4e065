//! Does nothing, and could tell the time: what an effectful step costs without its work.
//!
//! It imports the clock, so with `clock: real` granted an attempt of it is on disk before it runs.

use std::time::{SystemTime, UNIX_EPOCH};

use stepcell_sdk::{Context, Failure, Step, Value, json};

/// The step.
pub struct NoopClock;

impl Step for NoopClock {
    type Input = Value;
    type Output = Value;

    fn execute(input: Value, _: &mut Context) -> Result<Value, Failure> {
        if input == json!("time") {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            return Ok(json!(since.map_or(0, |since| since.as_secs())));
        }
        Ok(input)
    }
}

stepcell_sdk::export!(NoopClock);

#[cfg(test)]
mod tests {
    use stepcell_sdk::MockContext;

    use super::*;

    #[test]
    fn what_comes_in_goes_out_unless_the_time_is_asked_for() {
        let mut ctx = MockContext::new();

        assert_eq!(NoopClock::execute(json!({"n": 1}), &mut ctx).unwrap(), json!({"n": 1}));
        assert!(NoopClock::execute(json!("time"), &mut ctx).unwrap().as_u64().unwrap() > 0);
    }
}
