//! Says hello: the smallest step there is.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What the step is given.
#[derive(Deserialize, Schema)]
pub struct Input {
    /// Whom to greet.
    pub name: String,
}

/// What the step returns.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Output {
    /// The greeting.
    pub greeting: String,
}

/// The step.
pub struct Greet;

impl Step for Greet {
    type Input = Input;
    type Output = Output;

    fn execute(input: Input, _ctx: &mut Context) -> Result<Output, Failure> {
        Ok(Output { greeting: format!("Hello, {}!", input.name) })
    }
}

stepcell_sdk::export!(Greet);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn whoever_is_named_is_greeted() {
        let output = Greet::execute(Input { name: "Ada".to_owned() }, &mut MockContext::new());

        assert_eq!(output, Ok(Output { greeting: "Hello, Ada!".to_owned() }));
    }
}
