//! `instance`: what runs and ran, and what became of it.

mod export;
mod history;
mod operate;
mod remote;
mod why;

use self::export::Export;
pub(crate) use self::history::log_of;
use self::operate::{Cancel, Pause, Resume, Retry, Signal};

use clap::{Args, Subcommand};
use stepcell::WorkflowStatus;
use stepcell::engine::EngineError;
use stepcell::model::id::InstanceId;
use stepcell::model::name::{TenantId, UserId, WorkflowName};
use stepcell::store::{InstanceFilter, PageLimit, WorkflowStore};
use stepcell_server::wire::InstanceRow;

use super::definition::{GraphFormat, definition_of};
use super::exit::{Exit, Refused};
use super::input::instance_id;
use super::open::{Output, Settings};
use super::print;
use super::shown::Shown;
use super::summary::{self, Home};

/// List, show, explain, draw, hold, retry, signal and cancel instances.
#[derive(Debug, Subcommand)]
pub(crate) enum Instance {
    List(List),
    /// Show an instance: where it stands, what its steps did, and its tasks.
    Show(Named),
    /// Show everything that happened to an instance, and each attempt with its failure, cost and log.
    History(Named),
    /// Tell in words what an instance waits for, and how it came to that: which condition decided each edge, why each
    /// step was skipped, retried, failed or canceled.
    Why(Named),
    Export(Export),
    Cancel(Cancel),
    Retry(Retry),
    Pause(Pause),
    Resume(Resume),
    Signal(Signal),
    Graph(Graph),
}

/// List instances, newest first.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only instances of this workflow, of any version.
    #[arg(long, env = "STEPCELL_WORKFLOW", hide_env_values = true, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// Only instances with this status; may be given several times.
    #[arg(long, env = "STEPCELL_STATUS", hide_env_values = true, value_delimiter = ',')]
    status: Vec<WorkflowStatus>,
    /// Only this tenant's instances.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// Only instances that this user started.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
    /// Only instances that were started with this correlation id.
    #[arg(long, env = "STEPCELL_CORRELATION_ID", hide_env_values = true, value_name = "ID")]
    correlation_id: Option<String>,
    /// Only instances that steps of this instance started.
    #[arg(long, env = "STEPCELL_PARENT", hide_env_values = true, value_name = "ID", value_parser = instance_id)]
    parent: Option<InstanceId>,
    #[command(flatten)]
    page: Paging,
}

/// Which part of a list to show.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Paging {
    /// How many to show: 1 to 1000.
    #[arg(long, env = "STEPCELL_LIMIT", hide_env_values = true, default_value_t = 100, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How many to pass over first.
    #[arg(long, env = "STEPCELL_OFFSET", hide_env_values = true, default_value_t = 0, value_name = "N")]
    pub(crate) offset: u64,
}

impl Paging {
    /// The length of the page.
    pub(crate) const fn limit(self) -> PageLimit {
        PageLimit::clamped(self.limit)
    }

    /// How many rows to show at most.
    pub(crate) const fn len(self) -> usize {
        self.limit as usize
    }
}

/// One instance.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
}

/// Draw an instance's workflow, with how far it has come in colours.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// What to draw it as.
    #[arg(long, env = "STEPCELL_FORMAT", hide_env_values = true, default_value = "mermaid")]
    format: GraphFormat,
}

impl Instance {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        match settings.server()? {
            Some(server) => self.perform_on(settings, &server).await,
            None => self.perform_here(settings).await,
        }
    }

    async fn perform_here(self, settings: &Settings) -> anyhow::Result<Exit> {
        match self {
            Self::List(verb) => verb.perform(settings).await?,
            Self::Show(Named { id }) => {
                let visit = settings.read()?;
                let shown = Shown::load(visit.store(), id).await?;
                summary::print(settings, &shown, Home::Database)?;
            }
            Self::History(Named { id }) => {
                let visit = settings.read()?;
                history::print(settings, visit.store(), id).await?;
            }
            Self::Why(Named { id }) => why::print(settings, id).await?,
            Self::Export(verb) => verb.perform(settings).await?,
            Self::Cancel(verb) => return verb.perform(settings).await,
            Self::Retry(verb) => return verb.perform(settings).await,
            Self::Pause(verb) => verb.perform(settings).await?,
            Self::Resume(verb) => return verb.perform(settings).await,
            Self::Signal(verb) => return verb.perform(settings).await,
            Self::Graph(verb) => verb.perform(settings).await?,
        }
        Ok(Exit::Done)
    }
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let filter = InstanceFilter {
            workflow: self.workflow,
            statuses: self.status,
            tenant: self.tenant,
            created_by: self.user,
            correlation_id: self.correlation_id,
            parent: self.parent,
            after: None,
            limit: self.page.limit(),
            offset: self.page.offset,
        };
        let page = visit.store().list_instances(&filter).await?;
        let items: Vec<_> = page.items.iter().map(InstanceRow::from).collect();
        print_rows(settings, self.page, &items, page.total)
    }
}

/// Prints a part of the list.
fn print_rows(settings: &Settings, page: Paging, items: &[InstanceRow], total: u64) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, total);
    }
    let headings = ["ID", "WORKFLOW", "STATUS", "STEP", "STARTED", "FINISHED"];
    print::text(&print::table(headings, items.iter().map(row)))?;
    note_rest(items.len(), total, "instance", page.offset);
    Ok(())
}

/// Says how many there are where a table shows only some of them, or none.
pub(crate) fn note_rest(shown: usize, total: u64, what: &str, offset: u64) {
    match (shown as u64, total) {
        (_, 0) => print::note(format!("no {what}s")),
        (shown, total) if shown + offset < total => {
            print::note(format!("\n{shown} of {total} {what}s; `--offset {}` shows more", shown + offset));
        }
        _ => {}
    }
}

fn row(instance: &InstanceRow) -> [String; 6] {
    [
        instance.id.to_string(),
        format!("{} {}", instance.workflow_name, instance.workflow_version),
        instance.status.to_string(),
        print::or_dash(instance.current_step.as_ref()),
        instance.started_at.to_string(),
        print::or_dash(instance.completed_at.as_ref()),
    ]
}

impl Graph {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let store = visit.store();
        let missing = EngineError::InstanceNotFound { id: self.id };
        let instance = store.load_instance(self.id).await?.ok_or(missing)?;
        let record = store.find_definition_by_id(instance.identity.definition).await?;
        let definition = definition_of(&record.ok_or_else(|| Refused::unusable("the instance's definition is gone"))?)?;
        let state = stepcell_server::wire::state_of(&instance, &store.list_executions(self.id).await?);
        match self.format {
            GraphFormat::Mermaid => print::text(&definition.to_mermaid_with(&state)),
            GraphFormat::Dot => print::text(&definition.to_dot_with(&state)),
            GraphFormat::Json => print::json(&stepcell_server::wire::graph_json(&definition, &state)),
        }
    }
}

/// The whole history of an instance, page by page.
pub(crate) async fn load_history(
    store: &dyn WorkflowStore,
    id: InstanceId,
) -> anyhow::Result<Vec<stepcell::model::history::HistoryEntry>> {
    let mut history = Vec::new();
    loop {
        let after = history.last().map_or(0, |entry: &stepcell::model::history::HistoryEntry| entry.seq);
        let page = store.list_history(id, after, stepcell::store::LIST_LEN_MAX).await?;
        if page.is_empty() {
            return Ok(history);
        }
        history.extend(page);
    }
}
