//! `definition`: which workflows there are, in which versions.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use stepcell::engine::{EngineError, Versions};
use stepcell::model::definition::{Visited, WorkflowDefinition};
use stepcell::model::json::Json;
use stepcell::model::name::{StepName, TenantId, WorkflowName};
use stepcell::model::problem::Problems;
use stepcell::model::record::DefinitionRecord;
use stepcell::store::Inserted;
use stepcell::{Access, Host};
use stepcell_server::wire;

use super::exit::{Exit, Refused};
use super::input::{Owner, text_of_file, version};
use super::open::{Output, Settings, cannot_open};
use super::print::{self, note, plain};
use super::register::{self, DefinitionFile};

mod grants;
mod remote;

/// How much of a digest is shown to people: `sha256:` and what tells it from others.
const DIGEST_CHARS: usize = 19;

/// Register, check, show and retire workflow definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum Definition {
    Apply(Apply),
    List(List),
    /// Show a version of a workflow: its steps, its components and its document.
    Show(Named),
    Validate(Validate),
    Graph(Graph),
    Grants(grants::Grants),
    /// Let a version start nothing new; what runs on it goes on.
    Deactivate(NamedVersion),
    /// Let a version that was deactivated start instances again.
    Activate(NamedVersion),
    /// Remove a version that nothing runs or ran on.
    Unregister(NamedVersion),
    /// Print the JSON Schema of definitions, for editors.
    Schema,
}

/// Register definitions, with the components that they name by path.
///
/// What is registered already with the same content stays as it is. Makes the database if there is none.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The definitions, as YAML or JSON.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    owner: Owner,
}

/// List workflows: the version of each that a start would take.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Every version of every workflow, deactivated ones included.
    #[arg(long, env = "STEPCELL_ALL", hide_env_values = true)]
    all: bool,
    /// Only what this tenant sees: its own, and the shared ones of names that it has none of [default: everybody's].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

/// One workflow.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The workflow's name.
    name: WorkflowName,
    /// Which version [default: the latest active release].
    #[arg(long, env = "STEPCELL_WORKFLOW_VERSION", hide_env_values = true, value_parser = version)]
    version: Option<semver::Version>,
    #[command(flatten)]
    owner: Owner,
}

/// One version of a workflow.
#[derive(Debug, Args)]
pub(crate) struct NamedVersion {
    /// The workflow's name.
    name: WorkflowName,
    /// Which version.
    #[arg(long, env = "STEPCELL_WORKFLOW_VERSION", hide_env_values = true, value_parser = version)]
    version: semver::Version,
    #[command(flatten)]
    owner: Owner,
}

/// Check a definition's file, and the components that it names by path.
///
/// Components that it names by version are looked up in the database, if there is one. Nothing is stored.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The definition, as YAML or JSON.
    file: PathBuf,
    #[command(flatten)]
    owner: Owner,
}

/// Draw a workflow.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// A registered workflow's name, or a definition's file.
    #[arg(value_name = "NAME|FILE")]
    workflow: String,
    /// Which version of a registered workflow [default: the latest active release].
    #[arg(long, env = "STEPCELL_WORKFLOW_VERSION", hide_env_values = true, value_parser = version)]
    version: Option<semver::Version>,
    /// What to draw it as.
    #[arg(long, env = "STEPCELL_FORMAT", hide_env_values = true, default_value = "mermaid")]
    format: GraphFormat,
    #[command(flatten)]
    owner: Owner,
}

/// What a graph is drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz digraph.
    Dot,
    /// Nodes and edges.
    Json,
}

impl GraphFormat {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mermaid => "mermaid",
            Self::Dot => "dot",
            Self::Json => "json",
        }
    }
}

impl Definition {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        match settings.server()? {
            Some(server) => self.perform_on(settings, &server).await,
            None => self.perform_here(settings).await,
        }
    }

    async fn perform_here(self, settings: &Settings) -> anyhow::Result<Exit> {
        match self {
            Self::Apply(verb) => verb.perform(settings).await?,
            Self::List(verb) => verb.perform(settings).await?,
            Self::Show(verb) => verb.perform(settings).await?,
            Self::Validate(verb) => verb.perform(settings).await?,
            Self::Grants(verb) => verb.perform(settings).await?,
            Self::Graph(verb) => verb.perform(settings).await?,
            Self::Deactivate(NamedVersion { name, version, owner }) => {
                let visit = settings.visit()?;
                let registry = owner.view(&visit.engine);
                registry.deactivate(&name, &version).await?;
                let record = registry.get_definition(&name, Some(&version)).await?;
                print_done(settings, &(&record).into(), "deactivated")?;
                visit.close().await;
            }
            Self::Activate(NamedVersion { name, version, owner }) => {
                let visit = settings.visit()?;
                let registry = owner.view(&visit.engine);
                registry.activate(&name, &version).await?;
                let record = registry.get_definition(&name, Some(&version)).await?;
                print_done(settings, &(&record).into(), "activated")?;
                visit.close().await;
            }
            Self::Unregister(NamedVersion { name, version, owner }) => {
                let visit = settings.visit()?;
                let registry = owner.view(&visit.engine);
                let record = registry.get_definition(&name, Some(&version)).await?;
                if record.tenant != owner.tenant {
                    // It is a shared one, which a tenant can not remove.
                    return Err(
                        EngineError::WorkflowNotFound { name, version: Some(version), known: Vec::new() }.into()
                    );
                }
                registry.unregister(&name, &version).await?;
                print_done(settings, &(&record).into(), "removed")?;
                visit.close().await;
            }
            Self::Schema => print::json(&WorkflowDefinition::json_schema())?,
        }
        Ok(Exit::Done)
    }
}

fn print_done(settings: &Settings, record: &wire::Definition, done: &str) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(record),
        Output::Table => print::line(&format!("{done} {} {}", record.name, record.version)),
    }
}

impl Apply {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        // All are read before anything is stored: a mistake in the last one is told at once.
        let files = self.files.iter().map(|file| DefinitionFile::read(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let host = settings.visit_with_sandbox().await?;
        let outcome = apply(settings, &host, files, &self.owner).await;
        host.close().await;
        outcome
    }
}

async fn apply(settings: &Settings, host: &Host, files: Vec<DefinitionFile>, owner: &Owner) -> anyhow::Result<()> {
    let mut items = Vec::new();
    for file in files {
        let registered = file.register(host, owner).await?;
        items.push(print_applied(settings, &(&registered.record).into(), registered.inserted)?);
    }
    if settings.output == Output::Json {
        print::json_list(&items, items.len() as u64)?;
    }
    Ok(())
}

/// Tells people that a version is registered, and returns what programs are told of it.
fn print_applied(settings: &Settings, record: &wire::Definition, inserted: Inserted) -> anyhow::Result<Value> {
    let is_new = inserted == Inserted::New;
    if settings.output == Output::Table {
        let done = if is_new { "registered" } else { "unchanged" };
        print::line(&format!("{done} {} {}", record.name, record.version))?;
        if !record.is_active {
            print::note(
                "This version is deactivated and starts nothing new; apply the file with a new `version:`, or let this one \
                 start instances again with `stepcell definition activate`.",
            );
        }
    }
    print::with_field(record, "tenant_id", ("is_new", is_new.into()))
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let registry = visit.engine.registry();
        let versions = if self.all { Versions::All } else { Versions::Active };
        let found = match &self.tenant {
            Some(_) => registry.view(self.tenant.as_ref()).list_summaries(versions).await?,
            None => registry.list_everybodys_summaries(versions).await?,
        };
        print_rows(settings, &found.iter().map(wire::Definition::from).collect::<Vec<_>>())
    }
}

fn print_rows(settings: &Settings, items: &[wire::Definition]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let row = |record: &wire::Definition| {
        let description = record.description.as_deref().map(print::shortened).unwrap_or_default();
        let row = [record.name.to_string(), record.version.clone(), activity(record.is_active).to_owned(), description];
        (record.tenant_id.clone(), row)
    };
    print::text(&print::table_with_tenants(["NAME", "VERSION", "STATUS", "DESCRIPTION"], items.iter().map(row)))?;
    if items.is_empty() {
        note(format!("no definitions; `stepcell definition apply FILE{}` registers one", settings.database_flag()));
    }
    Ok(())
}

impl Named {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let record = self.owner.view(&visit.engine).get_definition(&self.name, self.version.as_ref()).await?;
        print_whole(settings, &(&record).into())
    }
}

fn print_whole(settings: &Settings, record: &wire::DefinitionDetail) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(record);
    }
    let definition = read_document(&record.name, &record.version, &record.document)?;
    let activity = activity(record.is_active);
    let mut text = format!("workflow  {} {} ({activity})\n", record.name, plain(&record.version));
    if let Some(tenant) = &record.tenant_id {
        text.push_str(&format!("tenant    {}\n", plain(tenant.as_str())));
    }
    if let Some(description) = &record.description {
        text.push_str(&format!("purpose   {}\n", plain(description)));
    }
    text.push_str(&format!("created   {}\n\n", record.created_at));
    text.push_str(&print::table(["STEP", "TYPE", "COMPONENT", "LEADS TO"], rows_of(&definition, record)));
    print::text(&text)
}

const fn activity(is_active: bool) -> &'static str {
    if is_active { "active" } else { "inactive" }
}

/// A row for each step, members and callbacks of groups among them, and for each component that undoes one.
fn rows_of(definition: &WorkflowDefinition, record: &wire::DefinitionDetail) -> Vec<[String; 4]> {
    let digest_of = |step: &StepName| {
        let digest = record.components.get(step)?;
        Some(digest.to_string().chars().take(DIGEST_CHARS).collect::<String>())
    };
    let mut rows = Vec::new();
    definition.visit_steps(&mut |Visited { name, step, .. }| {
        let each = step.for_each().map(|(key, _)| format!(", for each of {key}")).unwrap_or_default();
        let to = definition.edges.iter().filter(|edge| edge.source == name).map(|edge| edge.target.to_string());
        let to = to.collect::<Vec<_>>().join(", ");
        rows.push([
            name.to_string(),
            format!("{}{each}", step.step_type()),
            print::or_dash(digest_of(&name).as_ref()),
            to,
        ]);
        if let Some(digest) = name.part(StepName::COMPENSATE).ok().and_then(|undo| digest_of(&undo)) {
            rows.push([format!("{name}/{}", StepName::COMPENSATE), "machine".to_owned(), digest, String::new()]);
        }
    });
    rows
}

impl Validate {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let problems = self.problems(settings).await?;
        let is_valid = problems.is_empty();
        if settings.output == Output::Json {
            let problem = |problem: &stepcell::model::problem::Problem| {
                let (line, column) = (problem.span.map(|at| at.line), problem.span.map(|at| at.column));
                json!({ "path": problem.path, "message": problem.message, "line": line, "column": column })
            };
            let told: Vec<_> = problems.as_slice().iter().map(problem).collect();
            print::json(&json!({ "valid": is_valid, "problems": told }))?;
        } else if is_valid {
            print::line(&format!("`{}` is valid", self.file.display()))?;
        }
        if is_valid { Ok(()) } else { Err(register::refused(&self.file, &problems)) }
    }

    async fn problems(&self, settings: &Settings) -> anyhow::Result<Problems> {
        let text = text_of_file(&self.file)?;
        let file = match DefinitionFile::parse(&self.file, &text) {
            Ok(file) => file,
            Err(problems) => return Ok(problems),
        };
        let database = settings.database();
        let builder = match database.exists() {
            true => Host::on_sqlite(&database).access(Access::Read),
            false => Host::in_memory().access(Access::Read),
        };
        let host = builder.concurrency(1).open().await.with_context(|| cannot_open(&database))?;
        let problems = if database.exists() {
            file.problems(&host, &self.owner).await?
        } else {
            if file.names_what_is_registered() {
                note(format!(
                    "there is no database `{}`: components that are named by version, and workflows, were not looked up",
                    database.display()
                ));
            }
            file.problems_of_files(&host)
        };
        host.close().await;
        Ok(problems)
    }
}

impl Graph {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let definition = self.definition(settings).await?;
        match self.format {
            GraphFormat::Mermaid => print::text(&definition.to_mermaid()),
            GraphFormat::Dot => print::text(&definition.to_dot_with(&Default::default())),
            GraphFormat::Json => print::json(&definition.graph()),
        }
    }

    fn names_file(&self) -> bool {
        let path = Path::new(&self.workflow);
        let extension = path.extension().and_then(|extension| extension.to_str());
        path.is_file() || matches!(extension, Some("yaml" | "yml" | "json"))
    }

    async fn definition(&self, settings: &Settings) -> anyhow::Result<WorkflowDefinition> {
        if self.names_file() {
            return Ok(DefinitionFile::read(Path::new(&self.workflow))?.located.definition);
        }
        let name = WorkflowName::new(&self.workflow).map_err(|error| Refused::input(error.to_string()))?;
        let visit = settings.read()?;
        definition_of(&self.owner.view(&visit.engine).get_definition(&name, self.version.as_ref()).await?)
    }
}

/// The definition that a record holds as a document.
pub(crate) fn definition_of(record: &DefinitionRecord) -> anyhow::Result<WorkflowDefinition> {
    read_document(&record.name, &record.version, &record.document)
}

fn read_document(name: &WorkflowName, version: &impl Display, document: &Json) -> anyhow::Result<WorkflowDefinition> {
    serde_json::from_str(document.text())
        .map_err(|error| Refused::unusable(format!("`{name}` {version} does not read: {error}")).into())
}
