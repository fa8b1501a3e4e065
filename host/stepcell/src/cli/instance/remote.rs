//! `instance` on a server.

use stepcell::model::id::InstanceId;
use stepcell_server::wire::EventRow;

use super::{Graph, GraphFormat, Instance, List, Named, history, print_rows, why};
use crate::cli::exit::{Exit, Refused};
use crate::cli::open::Settings;
use crate::cli::print;
use crate::cli::remote::{Ask, Server, entries_of};
use crate::cli::shown::Shown;
use crate::cli::summary::{self, Home};

impl Instance {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::List(verb) => verb.perform_on(settings, server).await?,
            Self::Show(Named { id }) => {
                summary::print(settings, &Shown::from(server.instance(id).await?), Home::Database)?;
            }
            Self::History(Named { id }) => print_history(settings, server, id).await?,
            Self::Why(Named { id }) => {
                why::print_told(settings, &server.get(&["instances", &id.to_string(), "why"]).await?)?;
            }
            Self::Export(_) => {
                let why = "a history that proves itself is exported where the database is, with `--db FILE`";
                return Err(Refused::input(why).into());
            }
            Self::Cancel(verb) => verb.perform_on(settings, server).await?,
            Self::Retry(verb) => verb.perform_on(settings, server).await?,
            Self::Pause(verb) => verb.perform_on(settings, server).await?,
            Self::Resume(verb) => verb.perform_on(settings, server).await?,
            Self::Signal(verb) => verb.perform_on(settings, server).await?,
            Self::Graph(verb) => verb.perform_on(server).await?,
        }
        Ok(Exit::Done)
    }
}

async fn print_history(settings: &Settings, server: &Server, id: InstanceId) -> anyhow::Result<()> {
    let rows = server.all::<EventRow>(Ask::get(&["instances", &id.to_string(), "history"])).await?;
    history::print_entries(settings, &entries_of(rows.items)?)
}

impl List {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let statuses: Vec<_> = self.status.iter().map(ToString::to_string).collect();
        let ask = Ask::get(&["instances"])
            .query("definition_name", self.workflow)
            .query("status", (!statuses.is_empty()).then(|| statuses.join(",")))
            .query("tenant_id", self.tenant)
            .query("user_id", self.user)
            .query("correlation_id", self.correlation_id)
            .query("parent_id", self.parent);
        let rows = server.rows(ask, self.page.len(), self.page.offset).await?;
        print_rows(settings, self.page, &rows.items, rows.total)
    }
}

impl Graph {
    async fn perform_on(self, server: &Server) -> anyhow::Result<()> {
        let id = self.id.to_string();
        let path = ["instances", id.as_str(), "graph"];
        let ask = Ask::get(&path).query("format", Some(self.format.as_str()));
        match self.format {
            GraphFormat::Json => print::json(&server.ask::<serde_json::Value>(ask).await?),
            GraphFormat::Mermaid | GraphFormat::Dot => print::text(&server.ask_text(ask).await?),
        }
    }
}
