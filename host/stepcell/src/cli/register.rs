//! From a definition's file to its registration: reads the file and the components that it names by path.
//!
//! A component from a file is registered under what its manifest says; without one, under the file's name and a
//! version made of its digest. The definition is stored with the digest, so that it means the same everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use stepcell::Host;
use stepcell::engine::RegisteredDefinition;
use stepcell::model::component::Export;
use stepcell::model::definition::{ComponentRef, Finding, LocatedDefinition, StepDefinition, WorkflowDefinition};
use stepcell::model::id::ComponentDigest;
use stepcell::model::json::Json;
use stepcell::model::name::ComponentName;
use stepcell::model::problem::{PROBLEMS_MAX, Problem, Problems};

use super::exit::Refused;
use super::input::{Owner, text_of_file};
use super::progress::Waiting;

/// A definition's file that was read.
pub(crate) struct DefinitionFile {
    pub(crate) path: PathBuf,
    pub(crate) located: LocatedDefinition,
}

/// A component's file that was read and checked.
pub(crate) struct ComponentFile {
    pub(crate) name: ComponentName,
    pub(crate) version: semver::Version,
    pub(crate) bytes: Arc<[u8]>,
}

/// What a definition's component files are, by the path that it names, and what is wrong with the others.
type ComponentFiles = (BTreeMap<String, ComponentFile>, Vec<Finding>);

impl DefinitionFile {
    /// Reads a definition's file.
    ///
    /// # Errors
    /// With everything that is wrong with it, by line and column.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        Self::parse(path, &text_of_file(path)?).map_err(|problems| refused(path, &problems))
    }

    /// Reads a definition's text, which stands in a file of that path.
    ///
    /// # Errors
    /// With everything that is wrong with it, by line and column.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        Ok(Self { path: path.to_owned(), located: LocatedDefinition::parse(text)? })
    }

    /// Whether a step names a component or a workflow that must be registered.
    pub(crate) fn names_what_is_registered(&self) -> bool {
        let definition = &self.located.definition;
        let mut names_workflow = false;
        definition.visit_steps(&mut |visited| names_workflow |= matches!(visited.step, StepDefinition::Workflow(_)));
        names_workflow || definition.components().iter().any(|used| path_of(used.component).is_none())
    }

    /// Everything that is wrong with the components that the definition names by path.
    pub(crate) fn problems_of_files(&self, host: &Host) -> Problems {
        self.located.locate(self.component_files(host).1)
    }

    /// Registers the definition and the components that it names by path, as an owner's.
    ///
    /// # Errors
    /// With everything that is wrong with it; nothing is stored then.
    pub(crate) async fn register(self, host: &Host, owner: &Owner) -> anyhow::Result<RegisteredDefinition> {
        let view = owner.view(host.engine());
        let (files, problems) = self.check(host, owner).await?;
        if !problems.is_empty() {
            return Err(refused(&self.path, &problems));
        }
        let definition = by_digest(self.located.definition, &files);
        for file in files.into_values() {
            let _waiting = Waiting::on(format!("compiling {} {}", file.name, file.version));
            view.register_component(file.name, file.version, file.bytes).await?;
        }
        let what = || format!("can not register `{}`", self.path.display());
        view.register_definition(definition).await.with_context(what)
    }

    /// The components that the definition names by path, and the definition with their digests instead.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub(crate) fn pack(self, host: &Host) -> anyhow::Result<(Vec<ComponentFile>, WorkflowDefinition)> {
        let (files, findings) = self.component_files(host);
        let problems = self.located.locate(findings);
        if !problems.is_empty() {
            return Err(refused(&self.path, &problems));
        }
        let definition = by_digest(self.located.definition, &files);
        Ok((files.into_values().collect(), definition))
    }

    /// Everything that is wrong with the definition beyond its own text.
    pub(crate) async fn problems(&self, host: &Host, owner: &Owner) -> anyhow::Result<Problems> {
        Ok(self.check(host, owner).await?.1)
    }

    async fn check(&self, host: &Host, owner: &Owner) -> anyhow::Result<(BTreeMap<String, ComponentFile>, Problems)> {
        let (files, mut findings) = self.component_files(host);
        let (_, unresolved) = owner.view(host.engine()).resolve(&self.located.definition).await?;
        findings.extend(unresolved.into_iter().filter(|finding| !self.is_of_file(finding)));
        Ok((files, self.located.locate(findings)))
    }

    /// Whether a finding is about a component that the definition names by path.
    fn is_of_file(&self, finding: &Finding) -> bool {
        let components = self.located.definition.components();
        components.iter().any(|used| used.path == finding.path && path_of(used.component).is_some())
    }

    fn component_files(&self, host: &Host) -> ComponentFiles {
        let mut files = BTreeMap::new();
        let mut findings = Vec::new();
        for used in self.located.definition.components() {
            let Some(named) = path_of(used.component) else { continue };
            let path = self.path.parent().unwrap_or(Path::new("")).join(named);
            match read_component(&path, used.needs, host) {
                Ok(file) => drop(files.insert(named.to_owned(), file)),
                Err(message) => findings.push(Finding { path: used.path, message }),
            }
        }
        (files, findings)
    }
}

/// A definition that names what it named by path by digest.
fn by_digest(mut definition: WorkflowDefinition, files: &BTreeMap<String, ComponentFile>) -> WorkflowDefinition {
    definition.for_each_component_mut(&mut |component| {
        if let Some(file) = path_of(component).and_then(|path| files.get(path)) {
            *component = ComponentRef::Digest(ComponentDigest::of(&file.bytes));
        }
    });
    definition
}

fn path_of(component: &ComponentRef) -> Option<&str> {
    match component {
        ComponentRef::File(path) => Some(path),
        ComponentRef::Registered { .. } | ComponentRef::Digest(_) | ComponentRef::Host(_) => None,
    }
}

fn read_component(path: &Path, wanted: Export, host: &Host) -> Result<ComponentFile, String> {
    let bytes = super::input::bytes_of_file(path).map_err(|error| unreadable(path, &error))?;
    let facts = host.sandbox().inspect(&bytes).map_err(|refusal| format!("`{}`: {refusal}", path.display()))?;
    facts.exports.check(wanted).map_err(|lacks| format!("`{}` {lacks}", path.display()))?;
    let (name, version) = identity_of(path, facts.manifest.as_ref(), &facts.digest);
    Ok(ComponentFile { name, version, bytes: bytes.into() })
}

/// The name and version that a component's file is registered under unless somebody says otherwise.
pub(crate) fn identity_of(
    path: &Path,
    manifest: Option<&Json>,
    digest: &ComponentDigest,
) -> (ComponentName, semver::Version) {
    let said = |field: &str| manifest.and_then(|manifest| manifest.tree()[field].as_str());
    let named = said("name").and_then(|name| ComponentName::new(name).ok());
    let versioned = said("version").and_then(|version| semver::Version::parse(version).ok());
    if let (Some(name), Some(version)) = (named, versioned) {
        return (name, version);
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = stem.and_then(|stem| ComponentName::new(stem).ok());
    let name = name.unwrap_or_else(|| ComponentName::new("component").expect("letters are a name"));
    // A pre-release, so that no `name@0` ever means it by accident.
    let pre = semver::Prerelease::new(&format!("sha256-{}", &digest.hex()[..12])).unwrap_or_default();
    (name, semver::Version { pre, ..semver::Version::new(0, 0, 0) })
}

/// A definition that is refused, with each problem at its place.
pub(crate) fn refused(path: &Path, problems: &Problems) -> anyhow::Error {
    let details: Vec<_> = problems.as_slice().iter().map(|problem| located(path, problem)).collect();
    // Problems are kept up to a number, so there may be more.
    let at_least = if details.len() < PROBLEMS_MAX { "" } else { "at least " };
    let why = format!("`{}` has {at_least}{}", path.display(), super::print::counted(details.len(), "problem"));
    Refused::input(why).details(details).into()
}

/// A problem as compilers tell theirs: `file:line:column: path: message`.
fn located(path: &Path, problem: &Problem) -> String {
    let place = problem.span.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    let about = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    super::print::plain(&format!("{}{place}: {about}{}", path.display(), problem.message))
}

/// Says why a component can not be read, and what a build that is not there may lack.
fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "; build it with `cargo build --target wasm32-wasip2 --release`, from a crate with `crate-type = [\"cdylib\"]`"
        }
        _ => "",
    };
    format!("can not read `{}`: {error}{hint}", path.display())
}
