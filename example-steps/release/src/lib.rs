//! Gives back what was reserved. A step that undoes another is given what that one returned.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What was reserved: so many of one article.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Schema)]
pub struct Line {
    /// The article.
    pub article: String,
    /// How many.
    pub quantity: u32,
}

/// The step.
pub struct Release;

impl Step for Release {
    type Input = Line;
    type Output = Line;

    fn execute(line: Line, ctx: &mut Context) -> Result<Line, Failure> {
        let key = format!("reserved/{}", line.article);
        match ctx.get::<u32>(&key)?.unwrap_or(0).saturating_sub(line.quantity) {
            0 => drop(ctx.delete(&key)?),
            left => ctx.set(&key, left)?,
        }
        Ok(line)
    }
}

stepcell_sdk::export!(Release);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn what_others_reserved_stays() {
        let mut ctx = MockContext::new().with_value("reserved/lamp", 3);
        let mut left_after = |quantity| {
            Release::execute(Line { article: "lamp".to_owned(), quantity }, &mut ctx).unwrap();
            ctx.get::<u32>("reserved/lamp").unwrap()
        };

        assert_eq!((left_after(2), left_after(1)), (Some(1), None));
    }
}
