//! `definition` on a server. Files are read and checked here, and what they name by path goes along.

use anyhow::Context as _;
use reqwest::StatusCode;
use stepcell::model::name::{TenantId, WorkflowName};
use stepcell::store::Inserted;
use stepcell::{Access, Host};
use stepcell_server::wire;

use super::{
    Apply, Definition, Graph, GraphFormat, List, Named, NamedVersion, print_applied, print_done, print_rows,
    print_whole,
};
use crate::cli::component::upload;
use crate::cli::exit::{Exit, Refused};
use crate::cli::input::Owner;
use crate::cli::open::{Output, Settings};
use crate::cli::print;
use crate::cli::register::DefinitionFile;
use crate::cli::remote::{Ask, Server};

impl Definition {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Apply(verb) => verb.perform_on(settings, server).await?,
            Self::List(verb) => verb.perform_on(settings, server).await?,
            Self::Show(Named { name, version, owner }) => {
                let path = ["definitions", name.as_str()];
                let ask = Ask::get(&path).query("version", version).query("tenant_id", owner.tenant);
                print_whole(settings, &server.ask(ask).await?)?;
            }
            Self::Grants(_) => {
                let why = "what a policy allows is told where the database is, with `--db FILE`";
                return Err(Refused::input(why).into());
            }
            Self::Graph(verb) => return verb.perform_on(settings, server).await,
            Self::Deactivate(version) => {
                print_done(settings, &version.set(server, "deactivate").await?, "deactivated")?;
            }
            Self::Activate(version) => print_done(settings, &version.set(server, "activate").await?, "activated")?,
            Self::Unregister(NamedVersion { name, version, owner }) => {
                let version = version.to_string();
                let path = ["definitions", name.as_str(), "versions", version.as_str()];
                let found: wire::Definition =
                    server.ask(Ask::get(&path).query("tenant_id", owner.tenant.as_ref())).await?;
                server.send(Ask::delete(&path).query("tenant_id", owner.tenant)).await?;
                print_done(settings, &found, "removed")?;
            }
            // The file says what there is to say, and nothing is stored.
            Self::Validate(_) | Self::Schema => return self.perform_here(settings).await,
        }
        Ok(Exit::Done)
    }
}

impl NamedVersion {
    /// Lets a version start instances, or nothing new. One that is so already stays so.
    async fn set(self, server: &Server, to: &str) -> anyhow::Result<wire::Definition> {
        let Self { name, version, owner } = self;
        let version = version.to_string();
        let path = ["definitions", name.as_str(), "versions", version.as_str(), to];
        server.ask(Ask::post(&path).query("tenant_id", owner.tenant).repeatable()).await
    }
}

impl Apply {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        // All are read before anything is sent: a mistake in the last one is told at once.
        let files = self.files.iter().map(|file| DefinitionFile::read(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let host = Host::in_memory().access(Access::Read).concurrency(1).open().await?;
        let mut items = Vec::new();
        for file in files {
            let what = format!("can not register `{}`", file.path.display());
            let applied = register(server, &host, file, &self.owner).await;
            let (record, inserted) = applied.context(what)?;
            items.push(print_applied(settings, &record, inserted)?);
        }
        host.close().await;
        if settings.output == Output::Json {
            print::json_list(&items, items.len() as u64)?;
        }
        Ok(())
    }
}

/// Uploads what the definition names by path, and registers it.
async fn register(
    server: &Server,
    host: &Host,
    file: DefinitionFile,
    owner: &Owner,
) -> anyhow::Result<(wire::Definition, Inserted)> {
    let (components, definition) = file.pack(host)?;
    for component in components {
        upload(server, component, owner.tenant.as_ref(), None, None).await?;
    }
    let body = serde_json::to_value(&definition)?;
    // The same definition once more has no effect.
    let ask = Ask::post(&["definitions"]).query("tenant_id", owner.tenant.as_ref()).json(&body).repeatable();
    let answer = server.send(ask).await?;
    let inserted = if answer.status == StatusCode::CREATED { Inserted::New } else { Inserted::AlreadyThere };
    Ok((answer.json()?, inserted))
}

impl List {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let active = (!self.all).then_some(true);
        let ask = Ask::get(&["definitions"]).query("active", active).query("tenant_id", self.tenant);
        let rows = server.all(ask).await?.items;
        print_rows(settings, &if self.all { rows } else { latest_of_each(rows) })
    }
}

/// The version of each that a start would take: the greatest one, releases before what comes before them.
fn latest_of_each(rows: Vec<wire::Definition>) -> Vec<wire::Definition> {
    let rank = |row: &wire::Definition| {
        let version = semver::Version::parse(&row.version).ok();
        version.map(|version| (version.pre.is_empty(), version))
    };
    let mut latest: Vec<wire::Definition> = Vec::new();
    for row in rows {
        match latest.iter_mut().find(|known| (&known.name, &known.tenant_id) == (&row.name, &row.tenant_id)) {
            Some(known) if rank(known) < rank(&row) => *known = row,
            Some(_) => {}
            None => latest.push(row),
        }
    }
    latest
}

impl Graph {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        if self.names_file() {
            self.perform(settings).await?;
            return Ok(Exit::Done);
        }
        let name = WorkflowName::new(&self.workflow).map_err(|error| Refused::input(error.to_string()))?;
        let tenant: Option<TenantId> = self.owner.tenant;
        let path = ["definitions", name.as_str(), "graph"];
        let ask = Ask::get(&path).query("format", Some(self.format.as_str()));
        let ask = ask.query("version", self.version).query("tenant_id", tenant);
        match self.format {
            GraphFormat::Json => print::json(&server.ask::<serde_json::Value>(ask).await?)?,
            GraphFormat::Mermaid | GraphFormat::Dot => print::text(&server.ask_text(ask).await?)?,
        }
        Ok(Exit::Done)
    }
}
