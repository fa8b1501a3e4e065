//! Makes the next revision of a document: counts in the context value `revision`, and takes up `comments`, what the
//! reviewer said of the one before.

use serde::Serialize;
use stepcell_sdk::{Context, Failure, Schema, Step, Value};

/// A revision.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Revision {
    /// Its number, from 1.
    pub revision: u32,
    /// What is different from the one before.
    pub changes: Option<String>,
}

/// The step.
pub struct Draft;

impl Step for Draft {
    type Input = Value;
    type Output = Revision;

    fn execute(_: Value, ctx: &mut Context) -> Result<Revision, Failure> {
        let revision = ctx.get::<u32>("revision")?.unwrap_or(0).saturating_add(1);
        ctx.set("revision", revision)?;
        Ok(Revision { revision, changes: ctx.get("comments")? })
    }
}

stepcell_sdk::export!(Draft);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    #[test]
    fn each_revision_takes_up_what_was_said_of_the_last() {
        let mut ctx = MockContext::new();
        assert_eq!(Draft::execute(Value::Null, &mut ctx), Ok(Revision { revision: 1, changes: None }));

        ctx.set("comments", "shorter").unwrap();
        let second = Draft::execute(Value::Null, &mut ctx).unwrap();

        assert_eq!((second.revision, second.changes.as_deref()), (2, Some("shorter")));
    }
}
