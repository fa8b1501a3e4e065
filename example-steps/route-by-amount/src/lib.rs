//! Sends an amount to whoever may decide on it: a gateway that compares, where conditions on edges would repeat
//! themselves.
//!
//! The setting `limits`, or else the context value of that name, says for each step up to which amount it may decide, as
//! in `{"clerk": 100, "manager": 5000}`. The smallest limit that suffices wins; a step without a limit takes what is too
//! much for the others.

use std::collections::BTreeMap;

use serde::Deserialize;
use stepcell_sdk::{Failure, Gateway, ReadContext, Schema, json};

/// What the gateway is given.
#[derive(Deserialize, Schema)]
pub struct Input {
    /// What is to be decided on, in whole units.
    pub amount: u64,
}

/// The gateway.
pub struct RouteByAmount;

impl Gateway for RouteByAmount {
    type Input = Input;

    fn evaluate(input: Input, targets: &[String], ctx: &ReadContext) -> Result<Vec<String>, Failure> {
        let limits = limits(ctx)?;
        let limit_of = |target: &&String| limits.get(*target).copied().unwrap_or(u64::MAX);
        let able = targets.iter().filter(|target| limit_of(target) >= input.amount);
        match able.min_by_key(limit_of) {
            Some(target) => Ok(vec![target.clone()]),
            None => Err(too_much(input.amount, &limits)),
        }
    }
}

fn limits(ctx: &ReadContext) -> Result<BTreeMap<String, u64>, Failure> {
    match ctx.config("limits")? {
        Some(limits) => Ok(limits),
        None => Ok(ctx.get("limits")?.unwrap_or_default()),
    }
}

fn too_much(amount: u64, limits: &BTreeMap<String, u64>) -> Failure {
    Failure::new("amount-too-large", format!("Nobody may decide on an amount of {amount}."))
        .details(json!({ "limits": limits }))
}

stepcell_sdk::export_gateway!(RouteByAmount);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    fn route(amount: u64, targets: &[&str]) -> Result<Vec<String>, Failure> {
        let ctx = MockContext::new().with_value("limits", json!({ "clerk": 100, "manager": 5_000 }));
        ctx.evaluate::<RouteByAmount>(Input { amount }, targets)
    }

    #[test]
    fn the_smallest_limit_that_suffices_decides() {
        for (amount, target) in [(7, "clerk"), (100, "clerk"), (101, "manager"), (5_001, "board")] {
            assert_eq!(route(amount, &["board", "manager", "clerk"]), Ok(vec![target.to_owned()]), "{amount}");
        }
    }

    #[test]
    fn an_amount_that_is_too_much_for_everybody_is_a_failure() {
        let failure = route(9_000, &["clerk", "manager"]).unwrap_err();

        assert_eq!(failure.code, "amount-too-large");
        assert_eq!(failure.details.unwrap()["limits"]["manager"], 5_000);
    }

    #[test]
    fn what_the_definition_says_comes_before_what_the_context_says() {
        let ctx = MockContext::new().with_config("limits", json!({ "a": 1 })).with_value("limits", json!({ "b": 9 }));

        assert_eq!(ctx.evaluate::<RouteByAmount>(Input { amount: 5 }, &["a", "b"]), Ok(vec!["b".to_owned()]));
    }

    #[test]
    fn without_limits_the_first_step_decides() {
        let chosen = MockContext::new().evaluate::<RouteByAmount>(Input { amount: 1 }, &["b", "a"]);

        assert_eq!(chosen, Ok(vec!["b".to_owned()]));
    }
}
