//! `start` on a server.

use anyhow::Context as _;
use serde_json::json;
use stepcell::engine::StartRequest;
use stepcell_server::wire::InstanceRow;

use super::Start;
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server};
use crate::cli::shown::Shown;
use crate::cli::summary::{Home, print, print_settled};

impl Start {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        let request = self.given.request(self.name, self.version)?;
        let what = format!("can not start `{}`", request.workflow);
        let id = start(server, request).await.context(what)?.id;
        if self.wait {
            return print_settled(settings, &Shown::from(server.settled(id).await?), Home::Database);
        }
        print(settings, &Shown::from(server.instance(id).await?), Home::Database)?;
        Ok(Exit::Done)
    }
}

async fn start(server: &Server, request: StartRequest) -> anyhow::Result<InstanceRow> {
    let body = json!({
        "definition_name": request.workflow,
        "version": request.version,
        "input_data": request.data,
        "metadata": request.metadata,
        "correlation_id": request.correlation_id,
        "user_id": request.user,
        "tenant_id": request.tenant,
    });
    // A start whose answer was lost is not made twice.
    server.ask(Ask::post(&["instances"]).json(&body).once(request.idempotency_key)?).await
}
