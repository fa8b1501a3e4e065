//! Does what it is told, well or badly: the step and the gateway behind the tests of the host.
//!
//! The input says what to do, as in `{"do": "write", "key": "k", "value": 1}`. Where it does not, the setting `do`
//! says it, as text or as such an object; where neither does, the input comes back. The settings `on_success` and
//! `on_failure` say what the hooks do. A gateway reads its order in the same way, and names all targets where it has none.

mod choice;
mod order;
mod work;

use stepcell_sdk::{Context, Failure, Gateway, ReadContext, Step, Value, json};

use crate::choice::Choice;
use crate::order::{HookOrder, Order};

/// The step, and the gateway.
pub struct Probe;

impl Step for Probe {
    type Input = Value;
    type Output = Value;

    fn can_execute(input: &Value, ctx: &ReadContext) -> Result<bool, Failure> {
        match Order::read(input, ctx)? {
            Order::Skip => Ok(false),
            Order::FailCanExecute => Err(Failure::new("guard-failed", "The guard was told to fail.")),
            Order::TrapCanExecute => panic!("the guard was told to panic"),
            Order::WriteCanExecute => work::write_where_only_reading_is_allowed().map(|()| true),
            _ => Ok(true),
        }
    }

    fn execute(input: Value, ctx: &mut Context) -> Result<Value, Failure> {
        let order = Order::read(&input, ctx)?;
        work::carry_out(order, input, ctx)
    }

    fn on_success(output: &Value, ctx: &mut Context) -> Result<(), Failure> {
        let Some(order) = ctx.config::<HookOrder>("on_success")? else { return Ok(()) };
        ctx.set("on_success", true)?;
        ctx.set("on_success_output", output)?;
        order.carry_out()
    }

    fn on_failure(failure: &Failure, ctx: &mut Context) -> Result<(), Failure> {
        ctx.set("on_failure_code", &failure.code)?;
        ctx.set("on_failure", json!({ "message": failure.message, "retryable": failure.retryable }))?;
        ctx.config::<HookOrder>("on_failure")?.unwrap_or(HookOrder::Write).carry_out()
    }
}

impl Gateway for Probe {
    type Input = Value;

    fn evaluate(input: Value, targets: &[String], ctx: &ReadContext) -> Result<Vec<String>, Failure> {
        Choice::read(&input, ctx)?.carry_out(targets, ctx)
    }
}

stepcell_sdk::export!(Probe, gateway: Probe);
