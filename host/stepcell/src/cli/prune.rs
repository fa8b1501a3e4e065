//! `prune`: lets go of what finished long ago; and the same in the background of `serve`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell::model::name::{TenantId, WorkflowName};
use stepcell::model::time::{Span, Timestamp};
use stepcell::store::{LIST_LEN_MAX, Prunable, PruneFilter, PrunePace, StoreError, WorkflowStore, prune_all};
use tokio::task::JoinHandle;

use super::exit::{Exit, Refused};
use super::open::{Output, Settings};
use super::print::{self, counted, note};
use super::progress::Waiting;

/// How often `serve --retention` looks for what has become old enough. A look reads every instance once.
const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);

/// Delete instances that finished long ago, with everything that is kept of them.
///
/// Works in small batches beside a process that drives, and rests as long as each took. Instances stay whose parent or one of
/// whose children is not finished, of which a letter is to be handed over, and the one that the newest event is about. Their
/// idempotency keys are free afterwards, so that a start with one of them starts anew. The file does not shrink: the room is
/// used again.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// How long ago they finished at least, such as `30d` or `12h`.
    #[arg(long, env = "STEPCELL_OLDER_THAN", hide_env_values = true, value_name = "AGE")]
    older_than: Span,
    /// Only instances that finished so: completed, failed, canceled; may be given several times.
    #[arg(long, env = "STEPCELL_STATUS", hide_env_values = true, value_delimiter = ',')]
    status: Vec<WorkflowStatus>,
    /// Only instances of this workflow, of any version.
    #[arg(long, env = "STEPCELL_WORKFLOW", hide_env_values = true, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// Only this tenant's instances.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// Only tell what would go.
    #[arg(long, env = "STEPCELL_DRY_RUN", hide_env_values = true)]
    dry_run: bool,
    /// How many instances go at once: 1 to 1000.
    #[arg(long, env = "STEPCELL_BATCH", hide_env_values = true, default_value_t = PrunePace::BRISK.batch, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_LEN_MAX)))]
    batch: u32,
}

/// How many went, by workflow and end.
#[derive(Default)]
struct Sums {
    instances: BTreeMap<(WorkflowName, &'static str), usize>,
    rows: u64,
}

impl Prune {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(open) = self.status.iter().find(|status| !status.is_finished()) {
            let why = format!("`{open}` is no end of an instance; only completed, failed and canceled ones are pruned");
            return Err(Refused::input(why).into());
        }
        let filter = PruneFilter {
            ended_before: ago(self.older_than),
            statuses: self.status.clone(),
            workflow: self.workflow.clone(),
            tenant: self.tenant.clone(),
        };
        let mut sums = Sums::default();
        let waiting = Waiting::on("pruning");
        if self.dry_run {
            let visit = settings.read()?;
            sums.take_prunable(visit.store(), &filter).await?;
        } else {
            let visit = settings.visit()?;
            let pace = PrunePace { batch: self.batch, ..PrunePace::BRISK };
            let outcome = prune_all(visit.store(), &filter, pace, |found, pruned| {
                sums.take(found.iter().filter(|found| pruned.instances.contains(&found.id)));
                sums.rows += pruned.rows;
                waiting.say(format!("pruning: {}", counted(sums.total(), "instance")));
            });
            outcome.await?;
            visit.close().await;
        }
        drop(waiting);
        self.tell(settings, &filter, &sums)?;
        Ok(Exit::Done)
    }

    fn tell(&self, settings: &Settings, filter: &PruneFilter, sums: &Sums) -> anyhow::Result<()> {
        if settings.output == Output::Json {
            let item = |((workflow, status), count): (&(WorkflowName, &str), &usize)| json!({ "workflow_name": workflow, "status": status, "instances": count });
            return print::json(&json!({
                "items": sums.instances.iter().map(item).collect::<Vec<_>>(),
                "total": sums.total(),
                "rows": sums.rows,
                "dry_run": self.dry_run,
                "ended_before": filter.ended_before,
            }));
        }
        if sums.total() > 0 {
            let row = |((workflow, status), count): (&(WorkflowName, &str), &usize)| {
                [workflow.to_string(), (*status).to_owned(), count.to_string()]
            };
            print::text(&print::table(["WORKFLOW", "STATUS", "INSTANCES"], sums.instances.iter().map(row)))?;
        }
        let instances = counted(sums.total(), "instance");
        let before = filter.ended_before;
        note(match (self.dry_run, sums.total()) {
            (_, 0) => format!("nothing finished before {before} that may go"),
            (true, _) => format!("{instances} that finished before {before} would go; nothing was deleted"),
            (false, _) => format!("deleted {instances} that finished before {before}, {} rows", sums.rows),
        });
        Ok(())
    }
}

impl Sums {
    fn take<'a>(&mut self, found: impl Iterator<Item = &'a Prunable>) {
        for prunable in found {
            *self.instances.entry((prunable.workflow.clone(), prunable.status.as_str())).or_default() += 1;
        }
    }

    /// Counts what would go, but for what letters keep.
    async fn take_prunable(&mut self, store: &dyn WorkflowStore, filter: &PruneFilter) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let found = store.list_prunable(filter, after, LIST_LEN_MAX).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some(last.id);
            self.take(found.iter());
        }
    }

    fn total(&self) -> usize {
        self.instances.values().sum()
    }
}

/// Lets go of what is old in the background, as long as it is there.
pub(super) struct Retention(JoinHandle<()>);

impl Retention {
    /// Begins at once, and looks again every hour.
    pub(super) fn of(store: &Arc<dyn WorkflowStore>, age: Span) -> Self {
        Self(tokio::spawn(keep_pruning(Arc::clone(store), age)))
    }

    /// The same of records of the audit log.
    pub(super) fn of_audit(store: &Arc<dyn WorkflowStore>, age: Span) -> Self {
        Self(tokio::spawn(keep_forgetting(Arc::clone(store), age)))
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_pruning(store: Arc<dyn WorkflowStore>, age: Span) {
    loop {
        let ended_before = ago(age);
        let filter = PruneFilter { ended_before, statuses: Vec::new(), workflow: None, tenant: None };
        let mut gone = 0;
        let outcome = prune_all(store.as_ref(), &filter, PrunePace::LOW, |_, pruned| gone += pruned.instances.len());
        if let Err(error) = outcome.await {
            tracing::warn!(%error, "what is old could not be pruned; it is tried again in an hour");
        }
        if gone > 0 {
            note(format!("deleted {} that finished before {ended_before}", counted(gone, "instance")));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Forgets old records of the audit log in small batches, and rests as long as each took.
async fn keep_forgetting(store: Arc<dyn WorkflowStore>, age: Span) {
    loop {
        let (before, mut gone) = (ago(age), 0);
        loop {
            let began = Instant::now();
            match store.forget_audit(before).await {
                Ok(0) => break,
                Ok(some) => gone += some,
                Err(error) => {
                    tracing::warn!(%error, "old records of the audit log could not be deleted; it is tried again in an hour");
                    break;
                }
            }
            tokio::time::sleep(began.elapsed()).await;
        }
        if gone > 0 {
            note(format!("deleted {gone} records of the audit log from before {before}"));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// The time that long ago.
fn ago(age: Span) -> Timestamp {
    let age_ms = i64::try_from(age.length().as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_ms(chrono::Utc::now().timestamp_millis().saturating_sub(age_ms))
}
