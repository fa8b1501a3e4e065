//! Waits until an instance of a server is finished or waits for somebody outside.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use stepcell::WorkflowStatus;
use stepcell::model::id::InstanceId;
use stepcell_server::wire::Instance;

use super::{Ask, Server};
use crate::cli::progress::Waiting;

/// How soon an instance that moves is looked at again.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// How late at most an instance is looked at that has not moved for long. Protects the server.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// The most instances that are looked at below one. Protects the server.
const CHILDREN_LEN_MAX: usize = 1_000;

/// What holds of an instance that moves by itself, as `instance why` calls it.
const MOVING: [&str; 7] = ["undoing", "time", "retry", "room", "reached", "attempt", "failure_hook"];

/// As much of an explanation as it takes.
#[derive(Debug, Deserialize)]
struct Explained {
    status: WorkflowStatus,
    now: Vec<Point>,
}

#[derive(Debug, Deserialize)]
struct Point {
    about: String,
    child: Option<InstanceId>,
}

/// How an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Only somebody outside moves it on.
    Settled,
    /// It moves, and that shows in itself.
    Moving,
    /// It waits for an instance that moves.
    ChildMoving,
}

impl Server {
    /// Waits until only somebody outside moves an instance on, and returns it.
    pub(crate) async fn settled(&self, id: InstanceId) -> anyhow::Result<Instance> {
        let _waiting = Waiting::on("running on the server");
        let text = id.to_string();
        let path = ["instances", text.as_str()];
        let (mut interval, mut tag, mut look) = (LOOK_INTERVAL_MIN, None, Look::Moving);
        loop {
            let answer = self.send(Ask::get(&path).head("if-none-match", tag.clone())).await?;
            let has_changed = answer.status != StatusCode::NOT_MODIFIED;
            if has_changed || look == Look::ChildMoving {
                look = self.look(id).await?;
            }
            if look == Look::Settled {
                return self.instance(id).await;
            }
            interval = if has_changed { LOOK_INTERVAL_MIN } else { (interval * 3 / 2).min(LOOK_INTERVAL_MAX) };
            tag = answer.tag().or(tag);
            tokio::time::sleep(interval).await;
        }
    }

    /// Looks at an instance, and at those that it waits for.
    async fn look(&self, id: InstanceId) -> anyhow::Result<Look> {
        let mut open = vec![id];
        let mut seen = 0;
        while let Some(next) = open.pop() {
            let explained: Explained = self.get(&["instances", &next.to_string(), "why"]).await?;
            let is_child = next != id;
            let moving = if is_child { Look::ChildMoving } else { Look::Moving };
            match explained.status {
                // A child that has finished has yet to tell that.
                WorkflowStatus::Completed | WorkflowStatus::Failed | WorkflowStatus::Canceled if is_child => {
                    return Ok(moving);
                }
                WorkflowStatus::Completed
                | WorkflowStatus::Failed
                | WorkflowStatus::Canceled
                | WorkflowStatus::Paused => {}
                WorkflowStatus::Pending => return Ok(moving),
                WorkflowStatus::Running | WorkflowStatus::Waiting => {
                    let now = &explained.now;
                    if now.is_empty() || now.iter().any(|point| MOVING.contains(&point.about.as_str())) {
                        return Ok(moving);
                    }
                    open.extend(now.iter().filter_map(|point| point.child));
                }
            }
            seen += 1;
            if seen > CHILDREN_LEN_MAX {
                return Ok(Look::ChildMoving);
            }
        }
        Ok(Look::Settled)
    }
}
