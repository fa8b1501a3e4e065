//! Keeps a summary of an event in the context. About one instance in ten finds the archive busy at first, so that
//! retries are part of every run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepcell_sdk::{Context, Failure, Schema, Step};

/// One instance in so many is turned away at first.
const BUSY_ONE_IN: u64 = 10;

/// How long a busy archive asks to wait.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// What is archived: any event, with the score if somebody gave it one.
#[derive(Deserialize, Schema)]
pub struct Input {
    /// How urgent it is, 0 to 100.
    #[serde(default)]
    pub score: Option<u8>,
    /// Why.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// Where it lies.
#[derive(Debug, PartialEq, Serialize, Schema)]
pub struct Output {
    /// The key of the context that holds the summary.
    pub key: String,
    /// The attempts it took.
    pub attempts: u32,
}

#[derive(Serialize)]
struct Summary {
    event: Option<String>,
    repository: Option<String>,
    score: Option<u8>,
    reasons: Vec<String>,
}

/// The step.
pub struct Archive;

impl Step for Archive {
    type Input = Input;
    type Output = Output;

    fn execute(input: Input, ctx: &mut Context) -> Result<Output, Failure> {
        let info = ctx.info();
        if info.attempt == 1 && is_busy(&info.instance_id) {
            return Err(Failure::new("archive-busy", "The archive is busy.").retry_after(BUSY_WAIT));
        }
        let summary = Summary {
            event: ctx.get("event")?,
            repository: ctx.get("repository")?,
            score: input.score,
            reasons: input.reasons,
        };
        ctx.set("summary", summary)?;
        Ok(Output { key: "summary".to_owned(), attempts: info.attempt })
    }
}

/// Decides by the instance's id alone, so that a repeated run goes the same way.
fn is_busy(instance_id: &str) -> bool {
    // FNV-1a, 64 bits.
    let hash = instance_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash.is_multiple_of(BUSY_ONE_IN)
}

stepcell_sdk::export!(Archive);

#[cfg(test)]
mod tests {
    use super::*;
    use stepcell_sdk::MockContext;

    fn context(instance: u32, attempt: u32) -> MockContext {
        MockContext::new().with_value("event", "push").with_info(|info| {
            info.instance_id = format!("00000000-0000-7000-8000-{instance:012x}");
            info.attempt = attempt;
        })
    }

    fn archive(ctx: &mut MockContext) -> Result<Output, Failure> {
        Archive::execute(Input { score: Some(7), reasons: vec![] }, ctx)
    }

    #[test]
    fn about_one_instance_in_ten_is_busy_at_first_and_none_the_second_time() {
        let is_turned_away = |attempt| move |instance: &u32| archive(&mut context(*instance, attempt)).is_err();

        let busy = (0..1_000).filter(is_turned_away(1)).count();

        assert!((60..140).contains(&busy), "{busy}");
        assert_eq!((0..1_000).filter(is_turned_away(2)).count(), 0);
    }

    #[test]
    fn a_busy_archive_asks_for_a_retry() {
        let failure = (0..).find_map(|instance| archive(&mut context(instance, 1)).err()).unwrap();

        assert_eq!((failure.code.as_str(), failure.retry_after), ("archive-busy", Some(BUSY_WAIT)));
    }

    #[test]
    fn the_summary_holds_event_and_score() {
        let mut ctx = context(1, 2);
        archive(&mut ctx).unwrap();

        let summary = ctx.written("summary").unwrap();
        assert_eq!((&summary["event"], &summary["score"]), (&"push".into(), &7.into()));
    }
}
