//! Changes an instance and goes on with it: here where nobody else drives the database, there where somebody does.

use stepcell::WorkflowEngine;
use stepcell::model::id::InstanceId;

use super::exit::Exit;
use super::open::{Hands, Settings};
use super::print::{note, plain};
use super::settle;
use super::shown::Shown;
use super::summary::{Home, print};

/// An instance after it was changed.
pub(crate) struct Advanced {
    pub(crate) shown: Shown,
    /// What the other process says of itself that goes on with it.
    driver: Option<String>,
}

/// Lets `change` change an instance, which it names, and drives it on until it settles.
///
/// Where another process drives the database, that one goes on, and the instance is shown as it stands.
pub(crate) async fn advance(
    settings: &Settings,
    change: impl AsyncFnOnce(&WorkflowEngine) -> anyhow::Result<InstanceId>,
) -> anyhow::Result<Advanced> {
    let hands = settings.drive_or_visit().await?;
    let outcome = match change(hands.engine()).await {
        Ok(id) => settled(&hands, id).await,
        Err(error) => Err(error),
    };
    let driver = match &hands {
        Hands::Driving(_) => None,
        Hands::Visiting(_, holder) => Some(holder.clone()),
    };
    hands.close().await;
    Ok(Advanced { shown: outcome?, driver })
}

/// An instance once it has settled, where this process drives; as it stands, where another does.
async fn settled(hands: &Hands, id: InstanceId) -> anyhow::Result<Shown> {
    let engine = hands.engine();
    if let Hands::Driving(_) = hands {
        settle_with_parents(engine, id).await?;
    }
    Ok(Shown::load(engine.store().as_ref(), id).await?)
}

/// Waits until an instance settles, and those that wait for it if it is finished then.
async fn settle_with_parents(engine: &WorkflowEngine, id: InstanceId) -> anyhow::Result<()> {
    let mut settling = Some(id);
    while let Some(id) = settling {
        settle::here(engine, id).await?;
        let summary = engine.get_instance(id).await?;
        settling = summary.identity.parent.map(|parent| parent.instance).filter(|_| summary.status.is_finished());
    }
    Ok(())
}

impl Advanced {
    /// Prints the instance, and ends as it ended. `done` says what was done, for when another process goes on with it.
    pub(crate) fn print(&self, settings: &Settings, done: &str) -> anyhow::Result<Exit> {
        print(settings, &self.shown, Home::Database)?;
        match &self.driver {
            None => Ok(Exit::of_status(self.shown.instance.status)),
            Some(driver) => {
                note(format!("\n{done}; another process goes on with the instance ({}).", plain(driver)));
                Ok(Exit::Done)
            }
        }
    }
}
