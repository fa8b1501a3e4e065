//! `backup`: a copy of the database while others write to it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use stepcell::store::{BackedUp, BackupError, Existing, SqliteOptions, SqliteStore};

use super::exit::{Exit, Refused};
use super::open::{Output, Settings};
use super::print::{self, note};
use super::progress::Waiting;
use super::verify::verify_all;

/// Copy the database into a file, while a process may drive it.
///
/// The copy is of one moment, and has everything that was acknowledged before. It is written as `FILE.partial`, checked as a
/// whole and flushed to disk before it gets its name. It is a database like any other: `--db FILE` works on it.
///
/// Not in it: the host's key, without which secrets can not be read, and compiled components, which are compiled anew.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write.
    file: PathBuf,
    /// Replace the file if it is there, once the copy is complete.
    #[arg(long, env = "STEPCELL_FORCE", hide_env_values = true)]
    force: bool,
    /// Hold every history of the copy against its hash chain, too, as `stepcell verify` does.
    #[arg(long, env = "STEPCELL_VERIFY", hide_env_values = true)]
    verify: bool,
}

impl Backup {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let database = settings.existing_database()?;
        let existing = if self.force { Existing::Replaced } else { Existing::Kept };
        let (from, to) = (database.clone(), self.file.clone());
        let waiting = Waiting::on("copying");
        let copying = tokio::task::spawn_blocking(move || {
            let outcome = SqliteStore::back_up(from, to, existing, |progress| {
                let percent = progress.pages_done * 100 / progress.pages.max(1);
                waiting.say(if percent < 100 {
                    format!("copying: {percent} %")
                } else {
                    "checking the copy".to_owned()
                });
            });
            drop(waiting);
            outcome
        });
        let copy = copying.await?.map_err(|error| refusal(&error, &database.display().to_string()))?;
        self.tell(settings, &copy)?;
        if !self.verify {
            return Ok(Exit::Done);
        }
        let copied = SqliteStore::open_read_only(&self.file, SqliteOptions::default());
        let copied = copied.with_context(|| format!("can not open the copy `{}`", self.file.display()))?;
        verify_all(settings, &copied).await
    }

    fn tell(&self, settings: &Settings, copy: &BackedUp) -> anyhow::Result<()> {
        let file = self.file.display().to_string();
        match settings.output {
            // With `--verify` what that tells is the result.
            _ if self.verify => note(format!("wrote {file}")),
            Output::Json => {
                print::json(&json!({ "file": file, "bytes": copy.bytes, "last_position": copy.last_position }))?;
            }
            Output::Table => {
                let kib = copy.bytes.div_ceil(1024);
                print::line(&format!("wrote {file}: {kib} KiB, everything up to position {}", copy.last_position))?;
            }
        }
        note("the host's key is not in it: keep that elsewhere, secrets can not be read without it");
        Ok(())
    }
}

fn refusal(error: &BackupError, database: &str) -> anyhow::Error {
    match error {
        BackupError::Exists { .. } => Refused::state(error.to_string()).hint("`--force` replaces it").into(),
        BackupError::Itself { .. } | BackupError::InUse { .. } | BackupError::UnderWay { .. } => {
            Refused::state(error.to_string()).into()
        }
        _ => anyhow::Error::from(Refused::unusable(error.to_string())).context(format!("can not back up `{database}`")),
    }
}
