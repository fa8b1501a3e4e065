//! `task`: what waits for a person.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use stepcell::model::id::{InstanceId, TaskId};
use stepcell::model::name::{GroupId, UserId};
use stepcell::model::record::TaskRecord;
use stepcell::model::status::TaskStatus;
use stepcell::model::time::Timestamp;
use stepcell::model::transition::{Actor, Standing};
use stepcell::store::TaskFilter;

use super::advance::advance;
use super::exit::Exit;
use super::input::{JsonSource, instance_id, task_id};
use super::instance::{Paging, note_rest};
use super::next::complete_command;
use super::open::{Output, Settings};
use super::print::{self, note, or_dash, plain};
use super::view;

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
    /// Who acts.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: UserId,
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
/// another process drives, such as `stepcell serve`, that one goes on with the instance.
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
        match self {
            Self::List(verb) => verb.perform(settings).await?,
            Self::Show(Named { id }) => {
                let visit = settings.read()?;
                print_task(settings, &visit.engine.get_task(id).await?)?;
            }
            Self::Claim(verb) => {
                let visit = settings.visit()?;
                let what = format!("can not claim task {}", verb.id);
                visit.engine.claim_task(verb.id, verb.who.actor()).await.context(what)?;
                print_task(settings, &visit.engine.get_task(verb.id).await?)?;
                visit.close().await;
            }
            Self::Complete(verb) => return verb.perform(settings).await,
            Self::Reassign(verb) => {
                let visit = settings.visit()?;
                let what = format!("can not reassign task {}", verb.id);
                visit.engine.reassign_task(verb.id, verb.to, &verb.reason, verb.user).await.context(what)?;
                print_task(settings, &visit.engine.get_task(verb.id).await?)?;
                visit.close().await;
            }
        }
        Ok(Exit::Done)
    }
}

impl Who {
    fn actor(self) -> Actor {
        let standing = if self.admin { Standing::Admin } else { Standing::Member };
        Actor { user: self.user, groups: self.group, standing }
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
        if settings.output == Output::Json {
            let items: Vec<_> = page.items.iter().map(view::task).collect();
            return print::json_list(&items, page.total);
        }
        let headings = ["ID", "TITLE", "STEP", "STATUS", "ASSIGNEE", "GROUP", "DUE"];
        print::text(&print::table(headings, page.items.iter().map(row)))?;
        note_rest(page.items.len(), page.total, "task", self.page.offset);
        Ok(())
    }
}

fn row(task: &TaskRecord) -> [String; 7] {
    [
        task.id.to_string(),
        print::shortened(&task.title),
        task.step.to_string(),
        task.status.to_string(),
        or_dash(task.assignee.as_ref()),
        or_dash(task.group.as_ref()),
        or_dash(task.due_at.as_ref()),
    ]
}

fn print_task(settings: &Settings, task: &TaskRecord) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(&view::task(task));
    }
    let fields = [
        ("task", Some(task.id.to_string())),
        ("title", Some(task.title.clone())),
        ("details", task.description.clone()),
        ("status", Some(task.status.to_string())),
        ("instance", Some(task.instance.to_string())),
        ("step", Some(task.step.to_string())),
        ("assignee", task.assignee.as_ref().map(ToString::to_string)),
        ("group", task.group.as_ref().map(ToString::to_string)),
        ("due", task.due_at.map(|at| at.to_string())),
        ("completed", task.completed_at.map(|at| at.to_string())),
        ("by", task.completed_by.as_ref().map(ToString::to_string)),
        ("comment", task.comment.clone()),
        ("form", task.form_schema.as_ref().map(ToString::to_string)),
    ];
    let lines = fields.into_iter().filter_map(|(label, value)| Some(format!("{label:<9} {}\n", plain(&value?))));
    print::text(&lines.collect::<String>())?;
    if task.status == TaskStatus::Pending {
        note(format!("\nTo complete it:\n  {}", complete_command(settings, task)));
    }
    Ok(())
}

impl Complete {
    async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let data = self.data.read("--data")?;
        let advanced = advance(settings, async |engine| {
            let what = format!("can not complete task {}", self.id);
            engine.complete_task(self.id, self.who.actor(), data, self.comment).await.context(what)?;
            Ok(engine.get_task(self.id).await?.instance)
        });
        advanced.await?.print(settings, "The task is completed")
    }
}
