//! Waits until an instance is finished or waits for somebody outside, whoever drives it.

use std::path::Path;
use std::time::Duration;

use stepcell::WorkflowEngine;
use stepcell::engine::EngineError;
use stepcell::lock::DriverLock;
use stepcell::model::id::InstanceId;

use super::exit::Refused;
use super::progress::Waiting;

/// How often an instance is looked at that another process drives.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How many looks in a row may find that no process drives before nobody is waited for any more.
const LOOKS_WITHOUT_DRIVER_MAX: u32 = 30;

/// Waits for an instance that this process drives.
pub(crate) async fn here(engine: &WorkflowEngine, id: InstanceId) -> Result<(), EngineError> {
    let waiting = Waiting::on("running");
    tokio::select! {
        settled = engine.wait_until_settled(id) => settled.map(drop),
        () = waiting.follow(engine, id) => Ok(()),
    }
}

/// Waits for an instance that another process drives.
pub(crate) async fn elsewhere(engine: &WorkflowEngine, database: &Path, id: InstanceId) -> anyhow::Result<()> {
    let _waiting = Waiting::on("running in another process");
    let mut alone = 0;
    while !engine.is_settled(id).await? {
        let is_driven = DriverLock::find_holder(database)?.is_some();
        alone = if is_driven { 0 } else { alone + 1 };
        if alone > LOOKS_WITHOUT_DRIVER_MAX {
            let why = format!("the process that drove `{}` has ended", database.display());
            let hint = "`stepcell serve` goes on with everything that is in the database";
            return Err(Refused::unusable(why).hint(hint).into());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}
