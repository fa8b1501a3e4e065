//! Pays an amount. The payment's number is the idempotency key, which every attempt of an execution shares: whoever
//! keeps the money pays a number once, however often it is asked to.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What is to be paid.
#[derive(Deserialize, Schema)]
pub struct Order {
    /// How much, in whole units.
    pub amount: u64,
}

/// What was paid.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Payment {
    /// Its number.
    pub payment: String,
    /// How much.
    pub amount: u64,
}

/// The step.
pub struct Pay;

impl Step for Pay {
    type Input = Order;
    type Output = Payment;

    fn execute(order: Order, ctx: &mut Context) -> Result<Payment, Failure> {
        ctx.set("paid", order.amount)?;
        Ok(Payment { payment: ctx.info().idempotency_key, amount: order.amount })
    }
}

stepcell_sdk::export!(Pay);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn a_second_attempt_pays_the_same_payment() {
        let pay = |attempt| {
            let mut ctx = MockContext::new().with_info(|info| info.attempt = attempt);
            Pay::execute(Order { amount: 30 }, &mut ctx).unwrap()
        };

        assert_eq!(pay(1), pay(2));
        assert_eq!(pay(1).amount, 30);
    }
}
