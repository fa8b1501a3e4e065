//! Checks whether a receipt was handed in before: the context value `known_receipts` lists those that were.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What is to be paid.
#[derive(Deserialize, Schema)]
pub struct Expense {
    /// The number of the receipt.
    #[serde(default)]
    pub receipt: Option<String>,
}

/// What the check found.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Check {
    /// What speaks against the expense, if anything does.
    pub concern: Option<String>,
}

/// The step.
pub struct CheckFraud;

impl Step for CheckFraud {
    type Input = Expense;
    type Output = Check;

    fn execute(expense: Expense, ctx: &mut Context) -> Result<Check, Failure> {
        let known: Vec<String> = ctx.get("known_receipts")?.unwrap_or_default();
        let again = expense.receipt.filter(|receipt| known.contains(receipt));
        Ok(Check { concern: again.map(|receipt| format!("the receipt `{receipt}` was handed in before")) })
    }
}

stepcell_sdk::export!(CheckFraud);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn a_receipt_that_is_known_is_a_concern() {
        let mut ctx = MockContext::new().with_value("known_receipts", ["r-1"]);
        let mut concern = |receipt: &str| {
            CheckFraud::execute(Expense { receipt: Some(receipt.to_owned()) }, &mut ctx).unwrap().concern
        };

        assert_eq!(concern("r-1").as_deref(), Some("the receipt `r-1` was handed in before"));
        assert_eq!(concern("r-2"), None);
    }
}
