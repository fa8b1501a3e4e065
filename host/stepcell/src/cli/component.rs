//! `component`: what steps run.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stepcell::engine::{Acceptance, EngineError, NewComponent, RegisteredComponent};
use stepcell::model::component::{Capability, Export, Purity};
use stepcell::model::definition::ComponentRef;
use stepcell::model::name::{ComponentName, TenantId};
use stepcell::model::record::ComponentRecord;
use stepcell::model::signature::ComponentSignature;
use stepcell::store::{ComponentFilter, Inserted, Owners};
use stepcell::{Access, Host};
use stepcell_server::wire;

use super::exit::{Exit, Refused};
use super::input::{Owner, version};
use super::open::{Output, Settings};
use super::print::{self, note};
use super::progress::Waiting;
use super::register::identity_of;

mod block;
mod remote;
mod sign;

pub(crate) use self::remote::upload;

/// Register and inspect components.
#[derive(Debug, Subcommand)]
pub(crate) enum Component {
    Push(Push),
    List(List),
    Inspect(Inspect),
    Keygen(sign::Keygen),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Revoke(block::Revoke),
    Restore(block::Restore),
    /// List the components that may not run.
    Blocked,
}

/// Check, compile and register a component.
///
/// Makes the database if there is none.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The component, as a `.wasm` file.
    file: PathBuf,
    /// Under which name, such as `acme/pay` [default: what the component's manifest says].
    #[arg(long, env = "STEPCELL_COMPONENT_NAME", hide_env_values = true)]
    name: Option<ComponentName>,
    /// As which version [default: what the component's manifest says].
    #[arg(long, env = "STEPCELL_COMPONENT_VERSION", hide_env_values = true, value_parser = version)]
    version: Option<semver::Version>,
    /// Whose it is, whose policy holds, and whose turn it is to compile [default: shared by all].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// A signature of it, as `component sign` makes it.
    #[arg(long, env = "STEPCELL_SIGNATURE", hide_env_values = true, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Take it even if it can do more than the newest version before it.
    #[arg(long, env = "STEPCELL_ACCEPT_CAPABILITIES", hide_env_values = true)]
    accept_capabilities: bool,
}

/// List components, by name and version.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only the versions of this one.
    name: Option<ComponentName>,
    /// Only what this tenant sees: its own, and the shared ones of names that it has none of [default: everybody's].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

/// Show what a component is: what it exports, imports and says of itself.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A file, or a registered component: `name@1.0.3`, `name@1`, `sha256:…`.
    #[arg(value_name = "FILE|REF")]
    component: String,
    #[command(flatten)]
    owner: Owner,
}

impl Component {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        match settings.server()? {
            Some(server) => self.perform_on(settings, &server).await,
            None => self.perform_here(settings).await,
        }
    }

    async fn perform_here(self, settings: &Settings) -> anyhow::Result<Exit> {
        match self {
            Self::Push(verb) => verb.perform(settings).await?,
            Self::List(verb) => verb.perform(settings).await?,
            Self::Inspect(verb) => verb.perform(settings).await?,
            Self::Keygen(verb) => verb.perform(settings)?,
            Self::Sign(verb) => verb.perform(settings)?,
            Self::Verify(verb) => verb.perform(settings)?,
            Self::Revoke(verb) => verb.perform(settings).await?,
            Self::Restore(verb) => verb.perform(settings).await?,
            Self::Blocked => block::list(settings).await?,
        }
        Ok(Exit::Done)
    }
}

fn bytes_of(file: &Path) -> anyhow::Result<Vec<u8>> {
    super::input::bytes_of_file(file)
        .map_err(|error| Refused::input(format!("can not read `{}`: {error}", file.display())).into())
}

impl Push {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let bytes = bytes_of(&self.file)?;
        let host = settings.visit_with_sandbox().await?;
        let outcome = self.push(settings, &host, bytes).await;
        host.close().await;
        outcome
    }

    async fn push(self, settings: &Settings, host: &Host, bytes: Vec<u8>) -> anyhow::Result<()> {
        let what = || format!("can not push `{}`", self.file.display());
        let signature = self.signature.as_deref().map(sign::signature_in).transpose()?;
        let (name, version) = self.identity(host, &bytes).with_context(what)?;
        let waiting = Waiting::on(format!("compiling {name} {version}"));
        let acceptance = if self.accept_capabilities { Acceptance::Anything } else { Acceptance::AsBefore };
        let (bytes, tenant) = (bytes.into(), self.tenant);
        let new = NewComponent { name, version, bytes, tenant, signature, acceptance };
        let registered = host.engine().registry().register(new).await;
        drop(waiting);
        let RegisteredComponent { record, inserted } = registered?;
        print_pushed(settings, &(&record).into(), inserted)
    }

    /// What it is registered as.
    fn identity(&self, host: &Host, bytes: &[u8]) -> anyhow::Result<(ComponentName, semver::Version)> {
        let facts = host.sandbox().inspect(bytes).map_err(|refusal| Refused::input(refusal.to_string()))?;
        match (self.name.clone(), self.version.clone()) {
            (Some(name), Some(version)) => Ok((name, version)),
            (name, version) if facts.manifest.is_some() => {
                let said = identity_of(&self.file, facts.manifest.as_ref(), &facts.digest);
                Ok((name.unwrap_or(said.0), version.unwrap_or(said.1)))
            }
            _ => Err(Refused::input("the component has no manifest: `--name` and `--version` must name it").into()),
        }
    }
}

fn print_pushed(settings: &Settings, record: &wire::Component, inserted: Inserted) -> anyhow::Result<()> {
    let is_new = inserted == Inserted::New;
    if settings.output == Output::Json {
        return print::json(&print::with_field(record, "exports", ("is_new", is_new.into()))?);
    }
    let done = if is_new { "pushed" } else { "unchanged" };
    let exports = record.exports.join(", ");
    print::line(&format!("{done} {}@{} {} exports {exports}", record.name, record.version, record.digest))
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let owners = self.tenant.map_or(Owners::All, Owners::SeenBy);
        let filter = ComponentFilter { owners, name: self.name.clone(), ..ComponentFilter::default() };
        let records = visit.store().list_components(&filter).await?.items;
        if let (Some(name), true) = (self.name, records.is_empty()) {
            return Err(EngineError::ComponentNotFound { name, known: Vec::new() }.into());
        }
        print_rows(settings, &records.iter().map(wire::Component::from).collect::<Vec<_>>())
    }
}

fn print_rows(settings: &Settings, items: &[wire::Component]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let row = |record: &wire::Component| {
        let summary = record.manifest.as_ref().and_then(|manifest| manifest.tree()["summary"].as_str());
        let row = [
            record.name.to_string(),
            record.version.clone(),
            record.digest.to_string().chars().take(19).collect(),
            format!("{} KiB", record.size_bytes.div_ceil(1024)),
            record.exports.join(", "),
            summary.map(print::shortened).unwrap_or_default(),
        ];
        (record.tenant.clone(), row)
    };
    let headings = ["NAME", "VERSION", "DIGEST", "SIZE", "EXPORTS", "SUMMARY"];
    print::text(&print::table_with_tenants(headings, items.iter().map(row)))?;
    if items.is_empty() {
        note(format!("no components; `stepcell component push FILE{}` registers one", settings.database_flag()));
    }
    Ok(())
}

impl Inspect {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let wanted = self.component.parse().ok().filter(|_| !Path::new(&self.component).is_file());
        let (record, bytes) = match wanted {
            None => (None, bytes_of(Path::new(&self.component))?),
            Some(ComponentRef::File(path)) => (None, bytes_of(Path::new(&path))?),
            Some(registered) => {
                let (record, bytes) = registered_bytes(settings, &registered, &self.owner).await?;
                (Some(record), bytes)
            }
        };
        let known = match &record {
            Some(record) => Known::of(settings, record).await?,
            None => Known::default(),
        };
        let host = Host::in_memory().access(Access::Read).concurrency(1).open().await?;
        let facts = host.sandbox().inspect(&bytes).map_err(|refusal| Refused::input(refusal.to_string()));
        let facts = facts.with_context(|| format!("can not inspect `{}`", self.component))?;
        let value = json!({
            "name": record.as_ref().map(|record| record.name.to_string()),
            "version": record.as_ref().map(|record| record.version.to_string()),
            "digest": facts.digest,
            "size_bytes": facts.size_bytes,
            "is_step": facts.exports.check(Export::Step).is_ok(),
            "is_gateway": facts.exports.check(Export::Gateway).is_ok(),
            "imports": facts.imports.iter().map(|import| json!({ "interface": import.name, "functions": import.functions })).collect::<Vec<_>>(),
            "manifest": facts.manifest,
            "exports": facts.exports.list(),
            "capabilities": facts.capabilities,
            "purity": purity_of(&facts.capabilities),
            "tenant": record.as_ref().and_then(|record| record.tenant.clone()),
            "signatures": known.signatures,
            "block": known.block,
        });
        host.close().await;
        match settings.output {
            Output::Json => print::json(&value),
            Output::Table => print::text(&in_words(&value)),
        }
    }
}

/// What the operator knows of a registered component.
#[derive(Default)]
struct Known {
    signatures: Vec<ComponentSignature>,
    block: Option<Value>,
}

impl Known {
    async fn of(settings: &Settings, record: &ComponentRecord) -> anyhow::Result<Self> {
        let visit = settings.read()?;
        let signatures = visit.engine.list_signatures(&record.digest).await?;
        let block = visit.engine.find_block(&record.digest).await?.as_ref().map(block::as_json);
        Ok(Self { signatures, block })
    }
}

/// What a step that runs it is: pure, or effectful if it is granted what the component can make use of.
fn purity_of<'a>(capabilities: impl IntoIterator<Item = &'a Capability>) -> Value {
    let effects = capabilities.into_iter().filter(|capability| **capability != Capability::Secrets);
    let effects: Vec<_> = effects.map(|capability| capability.as_str()).collect();
    if effects.is_empty() {
        return json!({ "always": Purity::Pure });
    }
    json!({ "without_grants": Purity::Pure, "effectful_with_any_of": effects })
}

async fn registered_bytes(
    settings: &Settings,
    wanted: &ComponentRef,
    owner: &Owner,
) -> anyhow::Result<(ComponentRecord, Vec<u8>)> {
    let visit = settings.read()?;
    let record = match wanted {
        ComponentRef::Digest(digest) => {
            let missing = || Refused::state(format!("there is no component {digest}"));
            // A digest means the same to everybody: without a tenant, whoever has it.
            let owners = owner.tenant.clone().map_or(Owners::All, Owners::SeenBy);
            visit.store().find_component_by_digest(digest, &owners).await?.ok_or_else(missing)?
        }
        other => owner.view(&visit.engine).get_component(other).await?,
    };
    let gone = || Refused::unusable(format!("the bytes of {} {} are gone", record.name, record.version));
    let bytes = visit.store().load_component_bytes(&record.digest).await?.ok_or_else(gone)?;
    Ok((record, bytes.to_vec()))
}

fn in_words(value: &Value) -> String {
    let mut text = String::new();
    let mut line = |label: &str, told: String| text.push_str(&format!("{label:<11} {}\n", print::plain(&told)));
    if let (Some(name), Some(version)) = (value["name"].as_str(), value["version"].as_str()) {
        line("name", format!("{name}@{version}"));
    }
    if let (Some(name), Some(version)) = (value["manifest"]["name"].as_str(), value["manifest"]["version"].as_str()) {
        line("manifest", format!("{name}@{version}"));
    }
    line("digest", value["digest"].as_str().unwrap_or_default().to_owned());
    line("size", format!("{} bytes", value["size_bytes"]));
    let exports = value["exports"].as_array().into_iter().flatten().filter_map(Value::as_str);
    line("exports", exports.collect::<Vec<_>>().join(", "));
    match value["purity"]["effectful_with_any_of"].as_array() {
        None => line("purity", "pure, whatever it is granted".to_owned()),
        Some(with) => {
            let with: Vec<_> = with.iter().filter_map(Value::as_str).collect();
            line("purity", format!("pure, unless a step grants it {}", with.join(" or ")));
        }
    }
    for signature in value["signatures"].as_array().into_iter().flatten() {
        line("signed by", signature["key"].as_str().unwrap_or_default().to_owned());
    }
    if let (Some(state), Some(reason)) = (value["block"]["state"].as_str(), value["block"]["reason"].as_str()) {
        line(state, reason.to_owned());
    }
    for import in value["imports"].as_array().into_iter().flatten() {
        line("imports", import["interface"].as_str().unwrap_or_default().to_owned());
    }
    let manifest = &value["manifest"];
    for (field, label) in [("summary", "summary"), ("input_schema", "input"), ("output_schema", "output")] {
        match &manifest[field] {
            Value::Null => {}
            Value::String(said) => line(label, said.clone()),
            said => line(label, said.to_string()),
        }
    }
    text
}
