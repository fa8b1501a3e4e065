//! `task`: what waits for a person.

mod remote;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use stepcell::model::id::{InstanceId, TaskId};
use stepcell::model::name::{GroupId, UserId};
use stepcell::model::status::TaskStatus;
use stepcell::model::time::Timestamp;
use stepcell::model::transition::{Actor, Standing};
use stepcell::store::TaskFilter;
use stepcell_server::wire;

use super::advance::advance;
use super::exit::{Exit, Refused};
use super::input::{JsonSource, instance_id, task_id};
use super::instance::{Paging, note_rest};
use super::next::complete_command;
use super::open::{Output, Settings};
use super::print::{self, note, or_dash, plain};

/// List, show, claim, complete and reassign the tasks of people.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    List(List),
    /// Show a task: what to do, who may do it, and what the answer looks like.
    Show(Named),
    Claim(Claim),
    Complete(Complete),
    Reassign(Reassign),
}

/// List the tasks that wait, the most urgent first.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only tasks of this instance.
    #[arg(long, env = "STEPCELL_INSTANCE", hide_env_values = true, value_name = "ID", value_parser = instance_id)]
    instance: Option<InstanceId>,
    /// Only tasks that are assigned to this user, or to nobody.
    #[arg(long, env = "STEPCELL_ASSIGNEE", hide_env_values = true, value_name = "USER")]
    assignee: Option<UserId>,
    /// Only tasks of this group, or of none.
    #[arg(long, env = "STEPCELL_GROUP", hide_env_values = true)]
    group: Option<GroupId>,
    /// Only tasks that are overdue.
    #[arg(long, env = "STEPCELL_OVERDUE", hide_env_values = true)]
    overdue: bool,
    /// Also tasks that are completed or canceled.
    #[arg(long, env = "STEPCELL_ALL", hide_env_values = true)]
    all: bool,
    #[command(flatten)]
    page: Paging,
}

/// One task.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The task's id.
    #[arg(value_parser = task_id)]
    id: TaskId,
}

/// Take a task that is assigned to nobody.
#[derive(Debug, Args)]
pub(crate) struct Claim {
    /// The task's id.
    #[arg(value_parser = task_id)]
    id: TaskId,
    #[command(flatten)]
    who: Who,
}

/// Who acts, and as what.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// Who acts; on a server it is whoever's key it is.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
    /// A group that the user is a member of; may be given several times.
    #[arg(long, env = "STEPCELL_GROUP", hide_env_values = true, value_delimiter = ',')]
    group: Vec<GroupId>,
    /// The user is an admin, and may act on any task.
    #[arg(long, env = "STEPCELL_ADMIN", hide_env_values = true)]
    admin: bool,
}

/// Complete a task, and drive its instance until it is finished or waits for somebody outside.
///
/// This process takes over the database for that, and moves everything else meanwhile that can run there. Where
/// another process drives, such as `stepcell serve` or a server, that one goes on with the instance.
#[derive(Debug, Args)]
pub(crate) struct Complete {
    /// The task's id.
    #[arg(value_parser = task_id)]
    id: TaskId,
    #[command(flatten)]
    who: Who,
    /// The answer: JSON that fits the task's form, `@FILE`, or `-` for stdin.
    #[arg(long, env = "STEPCELL_DATA", hide_env_values = true, value_name = "JSON|@FILE|-")]
    data: JsonSource,
    /// What to say about it.
    #[arg(long, env = "STEPCELL_COMMENT", hide_env_values = true)]
    comment: Option<String>,
}

/// Give a task to somebody else.
#[derive(Debug, Args)]
pub(crate) struct Reassign {
    /// The task's id.
    #[arg(value_parser = task_id)]
    id: TaskId,
    /// Who shall do it.
    #[arg(long, env = "STEPCELL_TO", hide_env_values = true, value_name = "USER")]
    to: UserId,
    /// Why.
    #[arg(long, env = "STEPCELL_REASON", hide_env_values = true)]
    reason: String,
    /// Who gives it, for whoever reads the history.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
}

impl Task {
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
                print_task(settings, &(&visit.engine.get_task(id).await?).into())?;
            }
            Self::Claim(verb) => {
                let actor = verb.who.actor()?;
                let visit = settings.visit()?;
                let what = format!("can not claim task {}", verb.id);
                visit.engine.claim_task(verb.id, actor).await.context(what)?;
                print_task(settings, &(&visit.engine.get_task(verb.id).await?).into())?;
                visit.close().await;
            }
            Self::Complete(verb) => return verb.perform(settings).await,
            Self::Reassign(verb) => {
                let visit = settings.visit()?;
                let what = format!("can not reassign task {}", verb.id);
                visit.engine.reassign_task(verb.id, verb.to, &verb.reason, verb.user).await.context(what)?;
                print_task(settings, &(&visit.engine.get_task(verb.id).await?).into())?;
                visit.close().await;
            }
        }
        Ok(Exit::Done)
    }
}

impl Who {
    fn actor(self) -> anyhow::Result<Actor> {
        let Some(user) = self.user else {
            return Err(Refused::input("say who acts: `--user USER`").into());
        };
        let standing = if self.admin { Standing::Admin } else { Standing::Member };
        Ok(Actor { user, groups: self.group, standing })
    }
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let now = Timestamp::from(chrono::Utc::now());
        let filter = TaskFilter {
            instance: self.instance,
            assignee: self.assignee,
            group: self.group,
            status: (!self.all).then_some(TaskStatus::Pending),
            overdue_at: self.overdue.then_some(now),
            tenant: None,
            after: None,
            limit: self.page.limit(),
            offset: self.page.offset,
        };
        let page = visit.store().list_tasks(&filter).await?;
        let items: Vec<_> = page.items.iter().map(wire::Task::from).collect();
        print_rows(settings, self.page, &items, page.total)
    }
}

/// Prints a part of the list.
fn print_rows(settings: &Settings, page: Paging, items: &[wire::Task], total: u64) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, total);
    }
    let headings = ["ID", "TITLE", "STEP", "STATUS", "ASSIGNEE", "GROUP", "DUE"];
    print::text(&print::table(headings, items.iter().map(row)))?;
    note_rest(items.len(), total, "task", page.offset);
    Ok(())
}

fn row(task: &wire::Task) -> [String; 7] {
    [
        task.id.to_string(),
        print::shortened(&task.title),
        task.step.to_string(),
        task.status.to_string(),
        or_dash(task.assignee_id.as_ref()),
        or_dash(task.assignee_group.as_ref()),
        or_dash(task.due_at.as_ref()),
    ]
}

fn print_task(settings: &Settings, task: &wire::Task) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(task);
    }
    let fields = [
        ("task", Some(task.id.to_string())),
        ("title", Some(task.title.clone())),
        ("details", task.description.clone()),
        ("status", Some(task.status.to_string())),
        ("instance", Some(task.instance_id.to_string())),
        ("step", Some(task.step.to_string())),
        ("assignee", task.assignee_id.as_ref().map(ToString::to_string)),
        ("group", task.assignee_group.as_ref().map(ToString::to_string)),
        ("due", task.due_at.map(|at| at.to_string())),
        ("completed", task.completed_at.map(|at| at.to_string())),
        ("by", task.completed_by.as_ref().map(ToString::to_string)),
        ("comment", task.comment.clone()),
        ("form", task.form_schema.as_ref().map(ToString::to_string)),
    ];
    let lines = fields.into_iter().filter_map(|(label, value)| Some(format!("{label:<9} {}\n", plain(&value?))));
    print::text(&lines.collect::<String>())?;
    if task.status == TaskStatus::Pending {
        note(format!("\nTo complete it:\n  {}", complete_command(settings, &task.into())));
    }
    Ok(())
}

impl Complete {
    async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let data = self.data.read("--data")?;
        let actor = self.who.actor()?;
        let advanced = advance(settings, async |engine| {
            let what = format!("can not complete task {}", self.id);
            engine.complete_task(self.id, actor, data, self.comment).await.context(what)?;
            Ok(engine.get_task(self.id).await?.instance)
        });
        advanced.await?.print(settings, "The task is completed")
    }
}
