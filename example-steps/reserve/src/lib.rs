//! Reserves goods while there are some: the context value `stock` says how many, by article. What is reserved stands
//! under a key of the article's own, so that reservations beside each other do not overwrite one another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step, json};

/// So many of one article.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Schema)]
pub struct Line {
    /// The article.
    pub article: String,
    /// How many.
    pub quantity: u32,
}

/// The step.
pub struct Reserve;

impl Step for Reserve {
    type Input = Line;
    type Output = Line;

    fn execute(line: Line, ctx: &mut Context) -> Result<Line, Failure> {
        let stock: BTreeMap<String, u32> = ctx.get("stock")?.unwrap_or_default();
        let key = format!("reserved/{}", line.article);
        let reserved = ctx.get::<u32>(&key)?.unwrap_or(0).saturating_add(line.quantity);
        let there_are = stock.get(&line.article).copied().unwrap_or(0);
        if reserved > there_are {
            let message = format!("Of `{}` there are {there_are}, and {reserved} are wanted.", line.article);
            return Err(Failure::new("out-of-stock", message).details(json!({ "article": line.article })));
        }
        ctx.set(&key, reserved)?;
        Ok(line)
    }
}

stepcell_sdk::export!(Reserve);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn goods_are_reserved_until_none_are_left() {
        let mut ctx = MockContext::new().with_value("stock", json!({ "lamp": 3 }));
        let mut reserve = |quantity| Reserve::execute(Line { article: "lamp".to_owned(), quantity }, &mut ctx);

        assert_eq!(reserve(2).unwrap().quantity, 2);
        assert_eq!(reserve(2).unwrap_err().code, "out-of-stock");
        assert!(reserve(1).is_ok());
        assert_eq!(ctx.written("reserved/lamp"), Some(json!(3)));
    }
}
