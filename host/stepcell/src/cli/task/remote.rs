//! `task` on a server, where whoever's key it is acts.

use anyhow::Context as _;
use serde_json::{Value, json};
use stepcell::model::id::TaskId;
use stepcell_server::wire::{self, InstanceRow};

use super::{Claim, Complete, List, Named, Reassign, Task, Who, print_rows, print_task};
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::print::note;
use crate::cli::remote::{Ask, Server, not_on_server};
use crate::cli::shown::Shown;
use crate::cli::summary::{Home, print};

impl Task {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::List(verb) => verb.perform_on(settings, server).await?,
            Self::Show(Named { id }) => print_task(settings, &server.get(&["tasks", &id.to_string()]).await?)?,
            Self::Claim(Claim { id, who }) => {
                who.check_unnamed()?;
                let claimed = act(server, id, "claim", None).await;
                print_task(settings, &claimed.with_context(|| format!("can not claim task {id}"))?)?;
            }
            Self::Complete(verb) => verb.perform_on(settings, server).await?,
            Self::Reassign(Reassign { id, to, reason, user }) => {
                not_on_server("--user", user.as_ref())?;
                let reassigned = act(server, id, "reassign", Some(json!({ "to": to, "reason": reason }))).await;
                print_task(settings, &reassigned.with_context(|| format!("can not reassign task {id}"))?)?;
            }
        }
        Ok(Exit::Done)
    }
}

async fn act(server: &Server, id: TaskId, what: &str, body: Option<Value>) -> anyhow::Result<wire::Task> {
    let id = id.to_string();
    let path = ["tasks", id.as_str(), what];
    let ask = Ask::post(&path);
    server.ask(if let Some(body) = body { ask.json(&body) } else { ask }).await
}

impl Who {
    /// Refuses to say who acts, or as what, since a server knows better.
    fn check_unnamed(&self) -> anyhow::Result<()> {
        not_on_server("--user", self.user.as_ref())?;
        not_on_server("--group", self.group.first())?;
        not_on_server("--admin", self.admin.then_some(&()))
    }
}

impl List {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let ask = Ask::get(&["tasks"])
            .query("instance_id", self.instance)
            .query("assignee_id", self.assignee)
            .query("assignee_group", self.group)
            .query("status", self.all.then_some("all"))
            .query("overdue", self.overdue.then_some(true));
        let rows = server.rows(ask, self.page.len(), self.page.offset).await?;
        print_rows(settings, self.page, &rows.items, rows.total)
    }
}

impl Complete {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        self.who.check_unnamed()?;
        let body = json!({ "data": self.data.read("--data")?, "comment": self.comment });
        let id = self.id.to_string();
        let path = ["tasks", id.as_str(), "complete"];
        let completed = server.ask(Ask::post(&path).json(&body)).await;
        let row: InstanceRow = completed.with_context(|| format!("can not complete task {id}"))?;
        print(settings, &Shown::from(server.instance(row.id).await?), Home::Database)?;
        note("\nThe task is completed; the server goes on with the instance.");
        Ok(())
    }
}
