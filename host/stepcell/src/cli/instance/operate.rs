//! What operators do to an instance: cancel, retry, pause, resume, signal.

mod remote;

use anyhow::Context as _;
use clap::Args;
use stepcell::WorkflowStatus;
use stepcell::engine::CancelRequest;
use stepcell::lock::DriverLock;
use stepcell::model::id::InstanceId;
use stepcell::model::name::{SignalName, StepName, UserId};
use stepcell::model::transition::Compensation;

use crate::cli::advance::advance;
use crate::cli::exit::Exit;
use crate::cli::input::{JsonSource, instance_id, json_or_null};
use crate::cli::open::Settings;
use crate::cli::print::note;
use crate::cli::shown::Shown;
use crate::cli::summary::{Home, print};

/// Cancel an instance: what runs is interrupted, and its pending tasks, timers and callbacks go.
///
/// With `--compensate` what it did is undone first, where a step names a component for that; this process drives it
/// through that, or whatever process drives the database does.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// Why, for whoever reads its history.
    #[arg(long, env = "STEPCELL_REASON", hide_env_values = true)]
    reason: String,
    /// Undo what it did, where that can be undone, before it is canceled.
    #[arg(long, env = "STEPCELL_COMPENSATE", hide_env_values = true)]
    compensate: bool,
    /// Who cancels it, for whoever reads its history.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
}

/// Let a failed instance go on: where it failed, or at an earlier step and everything after it.
///
/// What it did stays in its history, and its context is as it was. This process drives it on, or whatever process
/// drives the database does.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// The step to go on from, one that it came to before [default: where it failed].
    #[arg(long, env = "STEPCELL_FROM_STEP", hide_env_values = true, value_name = "STEP")]
    from_step: Option<StepName>,
    /// Who lets it go on, for whoever reads its history.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
}

/// Hold an instance: what runs ends, and nothing new begins until it is resumed.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// Who holds it, for whoever reads its history.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
}

/// Let an instance go on that is held; timers that became due meanwhile pass now.
///
/// This process drives it on, or whatever process drives the database does.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// Who lets it go on, for whoever reads its history.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
}

/// Send an instance a message by name: the step that waits for it takes it, and one that is still to come gets it then.
///
/// This process drives the instance on, or whatever process drives the database does.
#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// The instance's id.
    #[arg(value_parser = instance_id)]
    id: InstanceId,
    /// The message's name.
    name: SignalName,
    /// What it says [default: null].
    #[arg(long, env = "STEPCELL_DATA", hide_env_values = true, value_name = "JSON|@FILE|-")]
    data: Option<JsonSource>,
}

impl Cancel {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let what = format!("can not cancel {}", self.id);
        let compensation = if self.compensate { Compensation::Undo } else { Compensation::None };
        let request = CancelRequest { reason: self.reason, by: self.user, compensation };
        if compensation == Compensation::Undo {
            let advanced = advance(settings, async |engine| {
                engine.cancel_workflow_with(self.id, request).await.context(what)?;
                Ok(self.id)
            });
            let advanced = advanced.await?;
            let exit = advanced.print(settings, "The instance is to be canceled")?;
            // What was asked for is no failure.
            return Ok(if advanced.shown.instance.status == WorkflowStatus::Canceled { Exit::Done } else { exit });
        }
        let visit = settings.visit()?;
        visit.engine.cancel_workflow_with(self.id, request).await.context(what)?;
        let shown = Shown::load(visit.store(), self.id).await?;
        print(settings, &shown, Home::Database)?;
        let has_children = shown.instance.children.iter().any(|child| !child.status.is_finished());
        if has_children && DriverLock::find_holder(&settings.database())?.is_none() {
            note(
                "\nThe instances that it started are canceled by whatever process drives this database. None does yet:",
            );
            note(format!("  stepcell serve{}", settings.database_flag()));
        }
        visit.close().await;
        Ok(Exit::Done)
    }
}

impl Retry {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let advanced = advance(settings, async |engine| {
            let what = format!("can not retry {}", self.id);
            engine.retry(self.id, self.from_step.as_ref(), self.user).await.context(what)?;
            Ok(self.id)
        });
        advanced.await?.print(settings, "The instance is retried")
    }
}

impl Pause {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.visit()?;
        visit.engine.pause(self.id, self.user).await.with_context(|| format!("can not pause {}", self.id))?;
        let shown = Shown::load(visit.store(), self.id).await?;
        print(settings, &shown, Home::Database)?;
        visit.close().await;
        Ok(())
    }
}

impl Resume {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let advanced = advance(settings, async |engine| {
            engine.resume(self.id, self.user).await.with_context(|| format!("can not resume {}", self.id))?;
            Ok(self.id)
        });
        advanced.await?.print(settings, "The instance is resumed")
    }
}

impl Signal {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let data = json_or_null(self.data.as_ref(), "--data")?;
        let advanced = advance(settings, async |engine| {
            let what = format!("can not signal {}", self.id);
            engine.signal(self.id, &self.name, data).await.context(what)?;
            Ok(self.id)
        });
        advanced.await?.print(settings, "The signal is sent")
    }
}
