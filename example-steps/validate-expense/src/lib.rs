//! Refuses an expense that nobody could decide on: the failure says what is missing, and the workflow what follows.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step, json};

/// The amount above which a receipt is needed, unless the setting `receipt_above` says another.
const RECEIPT_ABOVE: u64 = 50;

/// What somebody paid and wants back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Schema)]
pub struct Expense {
    /// How much, in whole units.
    pub amount: u64,
    /// What for.
    pub category: String,
    /// The number of the receipt.
    #[serde(default)]
    pub receipt: Option<String>,
}

/// The step.
pub struct ValidateExpense;

impl Step for ValidateExpense {
    type Input = Expense;
    type Output = Expense;

    fn execute(expense: Expense, ctx: &mut Context) -> Result<Expense, Failure> {
        let receipt_above = ctx.config("receipt_above")?.unwrap_or(RECEIPT_ABOVE);
        if expense.amount > receipt_above && expense.receipt.is_none() {
            let message = format!("An expense above {receipt_above} needs a receipt.");
            return Err(Failure::new("no-receipt", message).details(json!({ "receipt_above": receipt_above })));
        }
        Ok(expense)
    }
}

stepcell_sdk::export!(ValidateExpense);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    fn validated(amount: u64, receipt: Option<&str>) -> Result<Expense, Failure> {
        let receipt = receipt.map(str::to_owned);
        ValidateExpense::execute(Expense { amount, category: "travel".to_owned(), receipt }, &mut MockContext::new())
    }

    #[test]
    fn a_small_expense_needs_no_receipt_and_a_larger_one_does() {
        assert!(validated(50, None).is_ok());
        assert!(validated(51, Some("r-1")).is_ok());
        assert_eq!(validated(51, None).unwrap_err().code, "no-receipt");
    }
}
