//! Checks an amount against what is left of a budget: the context value `budgets`, by category.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What is to be paid.
#[derive(Deserialize, Schema)]
pub struct Expense {
    /// How much, in whole units.
    pub amount: u64,
    /// Whose budget pays.
    pub category: String,
}

/// What the check found.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Check {
    /// What speaks against the expense, if anything does.
    pub concern: Option<String>,
}

/// The step.
pub struct CheckBudget;

impl Step for CheckBudget {
    type Input = Expense;
    type Output = Check;

    fn execute(expense: Expense, ctx: &mut Context) -> Result<Check, Failure> {
        let budgets: BTreeMap<String, u64> = ctx.get("budgets")?.unwrap_or_default();
        let left = budgets.get(&expense.category).copied().unwrap_or(0);
        let concern = (expense.amount > left).then(|| format!("the budget `{}` has {left} left", expense.category));
        Ok(Check { concern })
    }
}

stepcell_sdk::export!(CheckBudget);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::{MockContext, json};

    #[test]
    fn an_amount_above_what_is_left_is_a_concern() {
        let mut ctx = MockContext::new().with_value("budgets", json!({ "travel": 300 }));
        let mut concern = |amount, category: &str| {
            CheckBudget::execute(Expense { amount, category: category.to_owned() }, &mut ctx).unwrap().concern
        };

        assert_eq!(concern(300, "travel"), None);
        assert_eq!(concern(301, "travel").as_deref(), Some("the budget `travel` has 300 left"));
        assert!(concern(1, "parties").is_some());
    }
}
