//! `run`: a definition's file, from reading to the end of one instance.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use stepcell::{Access, Host, WorkflowStatus};

use super::exit::{Exit, Refused};
use super::input::Owner;
use super::instance::log_of;
use super::open::{Settings, cannot_open};
use super::print::note;
use super::register::DefinitionFile;
use super::settle;
use super::shown::Shown;
use super::start::Given;
use super::summary::{Home, print_settled};

/// Run a definition's file: one instance, until it is finished or waits for somebody outside.
///
/// Registers the definition and the components that it names by path, as the tenant's own with `--tenant`, starts one instance and drives it; timers and
/// retries are waited through. Everything is kept in memory and forgotten, unless `--db` names a database on the
/// command line: STEPCELL_DB does not count here, so that trying something out leaves no traces. With `--db`,
/// everything else in the database that can run is driven meanwhile, too.
///
/// Ends with 0 if the instance is completed or waits, with 2 if it failed or was canceled.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The definition, as YAML or JSON.
    #[arg(value_name = "DEFINITION.yaml")]
    definition: PathBuf,
    #[command(flatten)]
    given: Given,
}

impl Run {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let file = DefinitionFile::read(&self.definition)?;
        let request = self.given.request(file.located.definition.name.clone(), None)?;
        let request = stepcell::StartRequest { version: Some(file.located.definition.version.clone()), ..request };
        let (builder, home, what) = match settings.named_database() {
            Some(database) => (Host::on_sqlite(database), Home::Database, cannot_open(database)),
            None => (Host::in_memory(), Home::Memory, "can not set up the engine".to_owned()),
        };
        let host = settings.with_settings(builder)?.access(Access::Drive).open().await.context(what)?;
        let needs_database = home == Home::Memory && file.names_what_is_registered();
        let outcome = run(&host, file, request).await;
        let log = match (&outcome, home) {
            (Ok(shown), Home::Memory) if shown.instance.status == WorkflowStatus::Failed => {
                log_of(host.store().as_ref(), shown.instance.id).await?
            }
            _ => String::new(),
        };
        host.close().await;
        let outcome = if needs_database { outcome.map_err(with_hint) } else { outcome };
        let exit = print_settled(settings, &outcome?, home)?;
        // Kept in memory alone, this is the only chance to see what the steps said.
        if !log.is_empty() {
            note(log.trim_end());
        }
        Ok(exit)
    }
}

/// Says where components and workflows are that a definition names.
fn with_hint(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(refused) => refused
            .hint("components that are named by version, and workflows, are looked up in a database: `--db FILE`")
            .into(),
        Err(other) => other,
    }
}

async fn run(host: &Host, file: DefinitionFile, request: stepcell::StartRequest) -> anyhow::Result<Shown> {
    let what = format!("can not start `{}`", request.workflow);
    file.register(host, &Owner { tenant: request.tenant.clone() }).await?;
    let id = host.engine().start_workflow(request).await.context(what)?.identity.id;
    settle::here(host.engine(), id).await?;
    Ok(Shown::load(host.store().as_ref(), id).await?)
}
