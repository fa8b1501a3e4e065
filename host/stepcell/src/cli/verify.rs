//! `verify`: holds histories against their hash chains, in a database or in an exported file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use stepcell::engine::EngineError;
use stepcell::model::chain::{ChainBreak, ChainHash, CheckedChain, ExportCheck};
use stepcell::model::id::InstanceId;
use stepcell::store::{CheckedChains, WorkflowStore, check_chain, check_chains};

use super::exit::{Exit, Refused};
use super::input::instance_id;
use super::open::{Output, Settings};
use super::print::{self, counted, note};
use super::progress::Waiting;

/// The largest exported history that is read, in bytes. Protects whoever names a device that never ends.
const EXPORT_LEN_BYTES_MAX: u64 = 1 << 30;

/// Check that every history is what was committed.
///
/// Each transition is linked to the one before by a hash over its number, time and events; this computes every link anew.
/// Ends with 0 if each holds, and with 2 and every break if not. Works beside a process that drives.
///
/// The chain has no key: whoever can write to the database can also compute it anew. A head that was noted elsewhere finds
/// them out: note the one that `verify INSTANCE` prints, and give it as `--head` later.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this instance's.
    #[arg(value_parser = instance_id)]
    instance: Option<InstanceId>,
    /// A head that was noted before: the chain must still hold it, at its end or before.
    #[arg(long, env = "STEPCELL_HEAD", hide_env_values = true, value_name = "HEX")]
    head: Option<ChainHash>,
    /// Check an exported history, without the database.
    #[arg(
        long,
        env = "STEPCELL_VERIFY_FILE",
        hide_env_values = true,
        value_name = "FILE",
        conflicts_with = "instance"
    )]
    file: Option<PathBuf>,
}

impl Verify {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(file) = &self.file {
            return self.tell(settings, &check_file(file, self.head)?);
        }
        let Some(id) = self.instance else {
            if self.head.is_some() {
                let hint = "`stepcell verify INSTANCE --head HEX`";
                return Err(Refused::input("a head is that of one instance; name it").hint(hint).into());
            }
            return verify_all(settings, settings.read()?.store()).await;
        };
        let visit = settings.read()?;
        let checked = check_chain(visit.store(), id, self.head).await?;
        self.tell(settings, &checked.ok_or(EngineError::InstanceNotFound { id })?)
    }

    /// Tells of one instance.
    fn tell(&self, settings: &Settings, checked: &CheckedChain) -> anyhow::Result<Exit> {
        let is_lost = self.head.is_some() && checked.noted_at.is_none();
        match settings.output {
            Output::Json => print::json(&json!({
                "instance": checked.instance,
                "transitions": checked.links,
                "head": checked.head,
                "noted_at": checked.noted_at,
                "breaks": checked.breaks.iter().map(to_json).collect::<Vec<_>>(),
            }))?,
            Output::Table => self.print(checked)?,
        }
        Ok(if checked.breaks.is_empty() && !is_lost { Exit::Done } else { Exit::Failed })
    }

    fn print(&self, checked: &CheckedChain) -> anyhow::Result<()> {
        let transitions = counted_long(checked.links, "transition");
        print::line(&format!(
            "instance {} has {transitions}: {}",
            checked.instance,
            verdict(checked.breaks.len() as u64)
        ))?;
        if let Some(head) = checked.head {
            print::line(&format!("head {head}"))?;
        }
        match (self.head, checked.noted_at) {
            (None, _) => {}
            (Some(_), Some(seq)) => print::line(&format!("the head that was noted is that of transition {seq}"))?,
            (Some(noted), None) => {
                print::line(&format!("the head that was noted is not in the chain any more: {noted}"))?;
            }
        }
        checked.breaks.iter().try_for_each(|broken| print::line(&broken.to_string()))
    }
}

/// Verifies a whole database, and tells what was found.
pub(super) async fn verify_all(settings: &Settings, store: &dyn WorkflowStore) -> anyhow::Result<Exit> {
    let waiting = Waiting::on("verifying");
    let checked = check_chains(store, |links| waiting.say(format!("verifying: {links} transitions"))).await?;
    drop(waiting);
    match settings.output {
        Output::Json => print::json(&all_to_json(&checked))?,
        Output::Table => {
            let what = counted_long(checked.instances, "instance");
            let transitions = counted_long(checked.links, "transition");
            print::line(&format!("verified {what} with {transitions}: {}", verdict(checked.broken)))?;
            checked.breaks.iter().try_for_each(|broken| print::line(&broken.to_string()))?;
            let untold = checked.broken - checked.breaks.len() as u64;
            if untold > 0 {
                note(format!("and {untold} more"));
            }
        }
    }
    Ok(if checked.broken == 0 { Exit::Done } else { Exit::Failed })
}

fn check_file(path: &Path, noted: Option<ChainHash>) -> anyhow::Result<CheckedChain> {
    let refused = |why: &dyn std::fmt::Display| Refused::input(format!("can not check `{}`: {why}", path.display()));
    let file = File::open(path).map_err(|error| refused(&error))?;
    let mut lines = BufReader::new(file.take(EXPORT_LEN_BYTES_MAX)).lines();
    let first = lines.next().ok_or_else(|| refused(&"it is empty"))?.map_err(|error| refused(&error))?;
    let mut check = ExportCheck::new(&first).map_err(|error| refused(&error))?.looking_for(noted);
    for line in lines {
        check.take(&line.map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
    }
    Ok(check.finish())
}

fn all_to_json(checked: &CheckedChains) -> Value {
    json!({
        "instances": checked.instances,
        "transitions": checked.links,
        "broken": checked.broken,
        "breaks": checked.breaks.iter().map(to_json).collect::<Vec<_>>(),
    })
}

fn to_json(broken: &ChainBreak) -> Value {
    json!({
        "instance": broken.instance,
        "seq": broken.seq,
        "kind": broken.kind.as_str(),
        "expected": broken.kind.expected(),
        "found": broken.kind.found(),
        "message": broken.to_string(),
    })
}

fn verdict(breaks: u64) -> String {
    if breaks == 0 { "every link holds".to_owned() } else { format!("{} found", counted_long(breaks, "break")) }
}

fn counted_long(number: u64, what: &str) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), what)
}
