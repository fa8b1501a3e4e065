//! `instance export`: a history that proves itself, as lines of JSON.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use stepcell::engine::EngineError;
use stepcell::model::chain::{ChainHead, ChainLink, EXPORT_FORMAT, ExportHeader};
use stepcell::model::id::InstanceId;
use stepcell::store::load_chain;

use crate::cli::input::instance_id;
use crate::cli::open::Settings;
use crate::cli::print::{self, counted, note};

/// Write an instance's whole history with its hash chain, a line of JSON for each transition, whatever `--output` says.
///
/// `stepcell verify --file FILE` checks such a file without the database.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// The file to write; it must not be there yet [default: stdout].
    #[arg(long, env = "STEPCELL_EXPORT_FILE", hide_env_values = true, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let missing = || EngineError::InstanceNotFound { id: self.id };
        let (head, links) = load_chain(visit.store(), self.id).await?.ok_or_else(missing)?;
        let summary = visit.store().find_instance(self.id).await?.ok_or_else(missing)?;
        let ChainHead { instance, seq, chain } = head;
        let header = ExportHeader {
            format: EXPORT_FORMAT.to_owned(),
            instance,
            workflow: summary.identity.workflow_name.clone(),
            version: summary.identity.workflow_version.clone(),
            tenant: summary.identity.tenant.clone(),
            seq,
            head: chain,
        };
        let Some(file) = &self.out else {
            print::line(&header.line())?;
            return links.iter().try_for_each(|link| print::line(&link.line()));
        };
        write(file, &header, &links).with_context(|| format!("can not write `{}`", file.display()))?;
        note(format!("wrote {} to {}", counted(links.len(), "transition"), file.display()));
        Ok(())
    }
}

fn write(path: &Path, header: &ExportHeader, links: &[ChainLink]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(File::create_new(path)?);
    writeln!(file, "{}", header.line())?;
    for link in links {
        writeln!(file, "{}", link.line())?;
    }
    file.into_inner()?.sync_all()
}
