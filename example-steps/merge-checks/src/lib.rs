//! Makes one verdict of several checks: the callback of a parallel group is given all results at once.

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// What one check found.
#[derive(Deserialize, Schema)]
pub struct Check {
    /// What speaks against it, if anything does.
    #[serde(default)]
    pub concern: Option<String>,
}

/// What all of them found.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Verdict {
    /// What speaks against it, in the order of the checks.
    pub concerns: Vec<String>,
}

/// The step.
pub struct MergeChecks;

impl Step for MergeChecks {
    type Input = Vec<Check>;
    type Output = Verdict;

    fn execute(checks: Vec<Check>, ctx: &mut Context) -> Result<Verdict, Failure> {
        let verdict = Verdict { concerns: checks.into_iter().filter_map(|check| check.concern).collect() };
        ctx.set("concerns", &verdict.concerns)?;
        Ok(verdict)
    }
}

stepcell_sdk::export!(MergeChecks);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::{MockContext, json};

    #[test]
    fn concerns_are_told_together() {
        let mut ctx = MockContext::new();
        let checks = [None, Some("too late".to_owned())].map(|concern| Check { concern });

        let verdict = MergeChecks::execute(checks.into(), &mut ctx).unwrap();

        assert_eq!(verdict.concerns, ["too late"]);
        assert_eq!(ctx.written("concerns"), Some(json!(["too late"])));
    }
}
