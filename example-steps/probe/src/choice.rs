//! What the gateway can be told to do, and how.

use serde::Deserialize;
use stepcell_sdk::{Failure, ReadContext, Value, json};

use crate::{order, work};

/// What `evaluate` is told to do.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Choice {
    /// Name every target.
    All,
    /// Name no target.
    None,
    /// Name these, whether they are targets or not.
    Choose { names: Vec<String> },
    /// Name those that a value of the context lists.
    Read { key: String },
    /// Name so many steps with names of so many bytes.
    Many { count: usize, bytes: usize },
    /// Write to the context, past the SDK's types.
    Write,
    /// Fail.
    Fail { code: Option<String> },
    /// Fail until the attempt of that number, and then name every target.
    Flaky { until: u32 },
    /// Panic.
    Trap,
    /// Compute without end.
    Loop,
}

impl Choice {
    /// Takes the order from the input or the settings.
    pub(crate) fn read(input: &Value, ctx: &ReadContext) -> Result<Self, Failure> {
        Ok(order::told(input, ctx)?.unwrap_or(Self::All))
    }

    pub(crate) fn carry_out(self, targets: &[String], ctx: &ReadContext) -> Result<Vec<String>, Failure> {
        match self {
            Self::All => Ok(targets.to_vec()),
            Self::None => Ok(Vec::new()),
            Self::Choose { names } => Ok(names),
            Self::Read { key } => Ok(ctx.get(&key)?.unwrap_or_default()),
            Self::Many { count, bytes } => Ok(vec!["x".repeat(bytes); count]),
            Self::Write => work::write_where_only_reading_is_allowed().map(|()| targets.to_vec()),
            Self::Fail { code } => Err(told_to_fail(code)),
            Self::Flaky { until } if ctx.info().attempt < until => Err(told_to_fail(None).retryable()),
            Self::Flaky { .. } => Ok(targets.to_vec()),
            Self::Trap => panic!("the gateway was told to panic"),
            Self::Loop => work::compute(u64::MAX).map(|()| Vec::new()),
        }
    }
}

fn told_to_fail(code: Option<String>) -> Failure {
    let code = code.unwrap_or_else(|| "told-to-fail".to_owned());
    Failure::new(code, "The gateway was told to fail.").details(json!({ "by": "probe" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Probe;
    use stepcell_sdk::MockContext;

    #[test]
    fn without_an_order_every_target_is_named() {
        assert_eq!(MockContext::new().evaluate::<Probe>(Value::Null, &["a", "b"]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn the_names_may_stand_in_the_order_or_in_the_context() {
        let ctx = MockContext::new().with_value("way", json!(["b"]));

        for order in [json!({ "do": "choose", "names": ["b"] }), json!({ "do": "read", "key": "way" })] {
            assert_eq!(ctx.evaluate::<Probe>(order, &["a", "b"]).unwrap(), ["b"]);
        }
    }
}
