//! `start`: one more instance of a registered workflow.

mod remote;

use clap::Args;
use stepcell::engine::StartRequest;
use stepcell::lock::DriverLock;
use stepcell::model::name::{TenantId, UserId, WorkflowName};

use anyhow::Context as _;

use super::exit::Exit;
use super::input::{self, JsonSource, json_or_null};
use super::open::{Hands, Settings};
use super::print::note;
use super::settle;
use super::shown::Shown;
use super::summary::{Home, print, print_settled};

/// Start an instance of a registered workflow.
///
/// Without `--wait` it is stored and moved by whatever process drives the database, now or later. With `--wait` this
/// process drives until the instance is finished or waits for somebody outside, and moves everything else meanwhile
/// that can run in the database; where another process drives, or a server, that one does, and this one looks on.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The workflow's name.
    name: WorkflowName,
    /// Which version [default: the latest active release].
    #[arg(long, env = "STEPCELL_WORKFLOW_VERSION", hide_env_values = true, value_parser = input::version)]
    version: Option<semver::Version>,
    #[command(flatten)]
    given: Given,
    /// Wait until the instance is finished or waits for somebody outside.
    #[arg(long, env = "STEPCELL_WAIT", hide_env_values = true)]
    wait: bool,
}

/// What an instance is given at its start.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// The initial data: a JSON object, `@FILE`, or `-` for stdin.
    #[arg(long, env = "STEPCELL_DATA", hide_env_values = true, value_name = "JSON|@FILE|-")]
    data: Option<JsonSource>,
    /// Values that steps read and can not write: a JSON object, `@FILE`, or `-` for stdin.
    #[arg(long, env = "STEPCELL_METADATA", hide_env_values = true, value_name = "JSON|@FILE|-")]
    metadata: Option<JsonSource>,
    /// Whose instance it is.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// Who starts it.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
    /// Starting again with the same key, for one tenant, gives the same instance.
    #[arg(long, env = "STEPCELL_IDEMPOTENCY_KEY", hide_env_values = true, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Ties the instance to something outside.
    #[arg(long, env = "STEPCELL_CORRELATION_ID", hide_env_values = true, value_name = "ID")]
    correlation_id: Option<String>,
}

impl Given {
    /// The start of a workflow with what is given.
    pub(crate) fn request(
        self,
        workflow: WorkflowName,
        version: Option<semver::Version>,
    ) -> anyhow::Result<StartRequest> {
        Ok(StartRequest {
            workflow,
            version,
            data: json_or_null(self.data.as_ref(), "--data")?,
            metadata: json_or_null(self.metadata.as_ref(), "--metadata")?,
            tenant: self.tenant,
            user: self.user,
            correlation_id: self.correlation_id,
            idempotency_key: self.idempotency_key,
        })
    }
}

impl Start {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(server) = settings.server()? {
            return self.perform_on(settings, &server).await;
        }
        let wait = self.wait;
        let request = self.given.request(self.name, self.version)?;
        if wait { start_and_wait(settings, request).await } else { start(settings, request).await }
    }
}

async fn start(settings: &Settings, request: StartRequest) -> anyhow::Result<Exit> {
    let visit = settings.visit()?;
    let what = format!("can not start `{}`", request.workflow);
    let started = visit.engine.start_workflow(request).await.context(what)?;
    let shown = Shown::load(visit.store(), started.identity.id).await?;
    print(settings, &shown, Home::Database)?;
    let is_finished = shown.instance.status.is_finished();
    if !is_finished && DriverLock::find_holder(&settings.database())?.is_none() {
        note("\nThe instance is stored, and no process drives this database yet. To move it:");
        note(format!("  stepcell serve{}", settings.database_flag()));
    }
    visit.close().await;
    Ok(Exit::Done)
}

async fn start_and_wait(settings: &Settings, request: StartRequest) -> anyhow::Result<Exit> {
    let hands = settings.drive_or_visit().await?;
    let outcome = start_and_settle(settings, &hands, request).await;
    hands.close().await;
    print_settled(settings, &outcome?, Home::Database)
}

async fn start_and_settle(settings: &Settings, hands: &Hands, request: StartRequest) -> anyhow::Result<Shown> {
    let engine = hands.engine();
    let what = format!("can not start `{}`", request.workflow);
    let id = engine.start_workflow(request).await.context(what)?.identity.id;
    match hands {
        Hands::Driving(_) => settle::here(engine, id).await?,
        Hands::Visiting(..) => settle::elsewhere(engine, &settings.database(), id).await?,
    }
    Ok(Shown::load(engine.store().as_ref(), id).await?)
}
