//! Does nothing: what a step costs without its work.

use stepcell_sdk::{Context, Failure, Step, Value};

/// The step.
pub struct Noop;

impl Step for Noop {
    type Input = Value;
    type Output = Value;

    fn execute(input: Value, _: &mut Context) -> Result<Value, Failure> {
        Ok(input)
    }
}

stepcell_sdk::export!(Noop);

#[cfg(test)]
mod tests {
    use stepcell_sdk::{MockContext, json};

    use super::*;

    #[test]
    fn what_comes_in_goes_out() {
        let mut ctx = MockContext::new();

        assert_eq!(Noop::execute(json!({"n": 1}), &mut ctx).unwrap(), json!({"n": 1}));
    }
}
