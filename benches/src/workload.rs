//! What instances do while they are measured: steps that do nothing, one after the other.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stepcell::engine::StartRequest;
use stepcell::model::definition::WorkflowDefinition;
use stepcell::model::name::{ComponentName, WorkflowName};
use stepcell::{
    Access, EngineError, Failure, Host, Json, Step, Version, WorkflowContext, WorkflowEngine, WorkflowStatus,
};

use crate::setup::Guests;

/// The name of the workflow.
pub(crate) const NAME: &str = "linear";

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A component that can reach nothing: whether it ran once or twice, nobody can tell.
    Pure,
    /// A component that could tell the time, and is granted that: it is on disk before it runs that it will.
    Effectful,
    /// A step of this process, in Rust, without a cell.
    Native,
}

/// When what happened is put on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Durability {
    /// As the engine does without a word about it: runs of pure steps share a commit.
    Fused,
    /// A commit after each step.
    EachStep,
}

/// Where instances are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    Memory,
    Sqlite(PathBuf),
}

/// Steps that do nothing, one after the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) steps: u32,
    pub(crate) kind: Kind,
    pub(crate) durability: Durability,
}

/// The step of this process.
struct Nothing;

#[async_trait]
impl Step for Nothing {
    fn name(&self) -> &str {
        "bench/nothing"
    }

    async fn execute(&self, _: &mut WorkflowContext) -> Result<Json, Failure> {
        Ok(Json::null())
    }
}

impl Workload {
    pub(crate) const fn pure(steps: u32) -> Self {
        Self { steps, kind: Kind::Pure, durability: Durability::Fused }
    }

    /// What the workload is, for a report.
    pub(crate) fn words(&self) -> String {
        let kind = match self.kind {
            Kind::Pure => "pure",
            Kind::Effectful => "effectful",
            Kind::Native => "host-native",
        };
        let durability = match self.durability {
            Durability::Fused => "fused",
            Durability::EachStep => "each step",
        };
        format!("{} {kind} steps, {durability}", self.steps)
    }

    /// The definition as a text, so that what it says is what operators write.
    fn definition(&self) -> anyhow::Result<WorkflowDefinition> {
        let mut text = format!("schema: stepcell/v1\nname: {NAME}\nversion: 1.0.0\ninitial_step: s0\n");
        if self.durability == Durability::EachStep {
            text.push_str("durability: each_step\n");
        }
        text.push_str("steps:\n");
        let step = match self.kind {
            Kind::Pure => "component: noop@1",
            Kind::Effectful => "component: noop-clock@1, grants: { clock: real }",
            Kind::Native => "component: host:bench/nothing",
        };
        for number in 0..self.steps {
            writeln!(text, "  s{number}: {{ type: machine, {step} }}")?;
        }
        text.push_str(if self.steps > 1 { "edges:\n" } else { "" });
        for number in 1..self.steps {
            writeln!(text, "  - {{ source: s{}, target: s{number} }}", number - 1)?;
        }
        WorkflowDefinition::from_text(&text).context("the workload is no definition")
    }

    /// Opens a host that has the workflow.
    pub(crate) async fn open(&self, guests: &Guests, place: &Place) -> anyhow::Result<Host> {
        self.open_for(guests, place, Access::Drive).await
    }

    /// The same, of a host that may be one that only visits.
    pub(crate) async fn open_for(&self, guests: &Guests, place: &Place, access: Access) -> anyhow::Result<Host> {
        let host = open_again(place, access).await?;
        let registry = host.engine().registry();
        for (name, file) in [("noop", "noop"), ("noop-clock", "noop_clock")] {
            let component = guests.load(file)?.into();
            registry.register_component(ComponentName::new(name)?, Version::new(1, 0, 0), component).await?;
        }
        registry.register_definition(self.definition()?).await?;
        let stored = registry.get_definition(&WorkflowName::new(NAME)?, None).await?;
        let expected = if self.kind == Kind::Pure { self.steps as usize } else { 0 };
        ensure!(
            stored.pure_steps.len() == expected,
            "{} of the steps are pure, and {expected} should be: does `noop-clock` still import the clock?",
            stored.pure_steps.len()
        );
        Ok(host)
    }
}

/// Opens a host with what its place holds already.
pub(crate) async fn open_again(place: &Place, access: Access) -> anyhow::Result<Host> {
    let builder = match place {
        Place::Memory => Host::in_memory(),
        Place::Sqlite(database) => {
            let folder = database.parent().context("a database lies in a folder")?;
            Host::on_sqlite(database).cache(folder.join("cache"))
        }
    };
    Ok(builder.access(access).open_with(|registry| registry.register_step(Arc::new(Nothing))).await?)
}

/// Starts an instance.
pub(crate) async fn start(engine: &WorkflowEngine) -> Result<stepcell::InstanceId, EngineError> {
    let name = WorkflowName::new(NAME).expect("letters are a name");
    let request = StartRequest::new(name).with_data(serde_json::json!({ "n": 1 }));
    Ok(engine.start_workflow(request).await?.identity.id)
}

/// Starts an instance, and waits until it has completed.
pub(crate) async fn run_one(engine: &WorkflowEngine) -> anyhow::Result<()> {
    let id = start(engine).await?;
    let status = engine.wait_until_settled(id).await?.status;
    ensure!(status == WorkflowStatus::Completed, "an instance is {status}");
    Ok(())
}
