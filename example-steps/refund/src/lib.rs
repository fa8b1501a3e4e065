//! Gives back what was paid. A step that undoes another is given what that one returned.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What was paid.
#[derive(Deserialize, Schema)]
pub struct Payment {
    /// Its number.
    pub payment: String,
    /// How much.
    pub amount: u64,
}

/// What was given back.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Refund {
    /// The number of the payment.
    pub payment: String,
}

/// The step.
pub struct GiveBack;

impl Step for GiveBack {
    type Input = Payment;
    type Output = Refund;

    fn execute(paid: Payment, ctx: &mut Context) -> Result<Refund, Failure> {
        ctx.delete("paid")?;
        ctx.set("refunded", paid.amount)?;
        Ok(Refund { payment: paid.payment })
    }
}

stepcell_sdk::export!(GiveBack);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::{MockContext, json};

    #[test]
    fn what_was_paid_is_given_back() {
        let mut ctx = MockContext::new().with_value("paid", 30);

        GiveBack::execute(Payment { payment: "p".to_owned(), amount: 30 }, &mut ctx).unwrap();

        assert_eq!((ctx.get::<u64>("paid"), ctx.written("refunded")), (Ok(None), Some(json!(30))));
    }
}
