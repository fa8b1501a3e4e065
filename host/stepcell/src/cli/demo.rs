//! The main job in one command: real webhooks through a workflow whose steps two tenants supply, with a third tenant's
//! runaway step beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use stepcell::WorkflowEngine;
use stepcell::engine::StartRequest;
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::id::InstanceId;
use stepcell::model::json::Json;
use stepcell::model::name::{ComponentName, TenantId, WorkflowName};
use stepcell::model::record::{ExecutionRecord, InstanceSummary, TaskRecord};
use stepcell::model::status::{TaskStatus, WorkflowStatus};
use stepcell::store::TaskFilter;

use super::exit::Exit;
use super::open::{Settings, cannot_open};
use super::print;

/// The steps: the file that the build makes, and the name that it is registered under.
const COMPONENTS: [(&str, &str); 5] = [
    ("github_normalise.wasm", "shared/github-normalise"),
    ("triage_acme.wasm", "acme/triage"),
    ("triage_globex.wasm", "globex/triage"),
    ("runaway.wasm", "initech/triage"),
    ("archive.wasm", "shared/archive"),
];

/// The same workflow for each tenant, with the tenant's own policy in it.
const DEFINITIONS: [&str; 3] = [
    include_str!("../../../../example-steps/webhook-triage/acme.yaml"),
    include_str!("../../../../example-steps/webhook-triage/globex.yaml"),
    include_str!("../../../../example-steps/webhook-triage/initech.yaml"),
];

/// The tenants whose steps do their work; webhooks go to each in turn.
const WELL_BEHAVED: [&str; 2] = ["acme", "globex"];

/// The tenant whose step never ends, and how many webhooks it is sent.
const RUNAWAY: (&str, usize) = ("initech", 4);

/// How many instances are started and followed at once.
const AT_ONCE: usize = 64;

/// Send real webhooks through the steps of two tenants, with a third tenant's runaway step beside them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// The folder with the built example steps.
    #[arg(
        long,
        env = "STEPCELL_DEMO_STEPS",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "target/wasm32-wasip2/release"
    )]
    steps: PathBuf,
    /// The webhooks, one JSON object a line.
    #[arg(
        long,
        env = "STEPCELL_DEMO_DATA",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "example-steps/webhook-triage/github-webhooks.ndjson"
    )]
    data: PathBuf,
}

/// What came of the demo.
struct Outcome {
    instances: Vec<(InstanceSummary, Vec<ExecutionRecord>)>,
    /// One of the tasks that wait for a person.
    task: Option<TaskRecord>,
    took: Duration,
}

impl Demo {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let database = settings.database();
        let webhooks = read_webhooks(&self.data)?;
        let host = settings.drive(&database).await.with_context(|| cannot_open(&database))?;
        self.register(host.engine()).await?;
        let outcome = run_all(host.engine(), webhooks).await?;
        host.close().await;
        print::text(&told(&outcome, &database))?;
        Ok(Exit::Done)
    }

    async fn register(&self, engine: &WorkflowEngine) -> anyhow::Result<()> {
        let progress = progress_bar(COMPONENTS.len(), "compiling steps");
        for (file, name) in COMPONENTS {
            let path = self.steps.join(file);
            let bytes: Arc<[u8]> = std::fs::read(&path)
                .with_context(|| {
                    format!("can not read `{}`; build the steps with `cargo xtask guests`", path.display())
                })?
                .into();
            let name = ComponentName::new(name)?;
            engine.registry().register_component(name, semver::Version::new(1, 0, 0), bytes).await?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        for text in DEFINITIONS {
            engine.registry().register_definition(WorkflowDefinition::from_text(text)?).await?;
        }
        Ok(())
    }
}

fn read_webhooks(path: &Path) -> anyhow::Result<Vec<Json>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("can not read the webhooks in `{}`", path.display()))?;
    let webhooks: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            Json::parse(line.to_owned()).with_context(|| format!("line {} of `{}`", index + 1, path.display()))
        })
        .collect::<Result<_, _>>()?;
    ensure!(webhooks.len() >= RUNAWAY.1, "`{}` has too few webhooks for a demo", path.display());
    Ok(webhooks)
}

/// Sends every webhook through its tenant's workflow, the runaway tenant's among the others'.
async fn run_all(engine: &WorkflowEngine, webhooks: Vec<Json>) -> anyhow::Result<Outcome> {
    let mut starts: Vec<_> = webhooks
        .iter()
        .enumerate()
        .map(|(index, webhook)| (WELL_BEHAVED[index % WELL_BEHAVED.len()], webhook.clone()))
        .collect();
    for (index, webhook) in webhooks.iter().take(RUNAWAY.1).enumerate() {
        starts.insert(index * starts.len() / RUNAWAY.1, (RUNAWAY.0, webhook.clone()));
    }
    let progress = progress_bar(starts.len(), "webhooks");
    let began = Instant::now();
    let ids: Vec<_> = stream::iter(starts)
        .map(|(tenant, webhook)| follow(engine, tenant, webhook, &progress))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let took = began.elapsed();
    progress.finish_and_clear();
    let mut instances = Vec::with_capacity(ids.len());
    for id in ids {
        instances.push((engine.get_instance(id).await?, engine.store().list_executions(id).await?));
    }
    let pending = TaskFilter { status: Some(TaskStatus::Pending), ..TaskFilter::default() };
    let task = engine.store().list_tasks(&pending).await?.items.into_iter().next();
    Ok(Outcome { instances, task, took })
}

async fn follow(
    engine: &WorkflowEngine,
    tenant: &str,
    webhook: Json,
    progress: &ProgressBar,
) -> anyhow::Result<InstanceId> {
    let request = StartRequest {
        tenant: Some(TenantId::new(tenant)?),
        ..StartRequest::new(WorkflowName::new(format!("{tenant}/webhook-triage"))?).with_data(webhook)
    };
    let id = engine.start_workflow(request).await?.identity.id;
    engine.wait_until_settled(id).await?;
    progress.inc(1);
    Ok(id)
}

fn progress_bar(len: usize, what: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:16} {bar:40} {pos}/{len} {elapsed}").expect("the template is well formed");
    let bar = ProgressBar::with_draw_target(Some(len as u64), ProgressDrawTarget::stderr());
    bar.with_style(style).with_message(what)
}

fn told(outcome: &Outcome, database: &Path) -> String {
    let mut text = format!("{}\n", table_of(outcome));
    let executions: Vec<_> = outcome.instances.iter().flat_map(|(_, executions)| executions).collect();
    let attempts: u32 = executions.iter().map(|execution| execution.attempts).sum();
    let retries: u32 = executions.iter().map(|execution| execution.attempts.saturating_sub(1)).sum();
    let seconds = outcome.took.as_secs_f64();
    text += &format!(
        "{} instances, {} steps, {attempts} attempts in cells of their own ({retries} of them retries) in {seconds:.1} s: \
         {:.0} steps a second, every one durable.\n",
        outcome.instances.len(),
        executions.len(),
        executions.len() as f64 / seconds,
    );
    let stopped = outcome.instances.iter().filter(|(instance, _)| is_of(instance, RUNAWAY.0));
    if let Some(error) = stopped.clone().find_map(|(instance, _)| instance.error.as_ref()) {
        let times = stopped.count();
        text += &format!(
            "{}'s step never ends; it was stopped {times} times: {} ({}).\n",
            RUNAWAY.0, error.message, error.code
        );
    }
    text += &format!("Everything is in {}.\n\n{}", database.display(), next_commands(outcome, database));
    text
}

fn table_of(outcome: &Outcome) -> String {
    let mut by_tenant = BTreeMap::<String, BTreeMap<WorkflowStatus, usize>>::new();
    for (instance, _) in &outcome.instances {
        let tenant = instance.identity.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
        *by_tenant.entry(tenant).or_default().entry(instance.status).or_default() += 1;
    }
    let rows = by_tenant.into_iter().map(|(tenant, counts)| {
        let count = |status| counts.get(&status).copied().unwrap_or_default().to_string();
        let [completed, waiting, failed] =
            [WorkflowStatus::Completed, WorkflowStatus::Waiting, WorkflowStatus::Failed].map(count);
        [tenant, completed, waiting, failed]
    });
    print::table(["TENANT", "COMPLETED", "WAITING FOR A PERSON", "FAILED"], rows)
}

fn is_of(instance: &InstanceSummary, tenant: &str) -> bool {
    instance.identity.tenant.as_ref().is_some_and(|known| known.as_str() == tenant)
}

fn next_commands(outcome: &Outcome, database: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "stepcell".to_owned());
    let db = format!("--db {}", database.display());
    let mut text = format!("Go on from here:\n  {program} task list {db}\n");
    if let Some(TaskRecord { id, instance, .. }) = &outcome.task {
        text += &format!(
            "  {program} task complete {id} --user alice --group security --data '{{\"approved\": true}}' {db}\n"
        );
        text += &format!("  {program} instance history {instance} {db}\n");
    }
    text
}
